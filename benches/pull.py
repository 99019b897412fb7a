#!/usr/bin/env python3
"""Pulling an image from a registry on this machine, beside the peer and the limit, in one run.

    cargo build --release && python3 benches/pull.py [MIB_PER_LAYER [LAYERS]]

Makes an image (256 MiB in 4 layers each where nothing is said), pushes it to Debian's docker-registry,
and measures, in turn and three times each, the least wall clock time and the most memory of:

    portcullis   pull, digest, decompress, diff ID, walk the archive and list the packages; nothing is stored
    skopeo copy  pull, digest, and store as a layout
    curl         pull each layer and hash it with sha256sum, one after another

Needs docker-registry, skopeo and curl.
"""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

PORTCULLIS = Path(__file__).parent.parent / "target/release/portcullis"
IMAGE = "application/vnd.oci.image."
FILE = 1 << 20
TEXT = (b"may this image enter? " * FILE)[:FILE]


def layer(mib, seed):
    """A layer that deflates about as programs do: a third of its bytes are noise."""
    noise = random.Random(seed)
    packed = io.BytesIO()
    diff_id = hashlib.sha256()

    class Both:
        def __init__(self, inner):
            self.inner = inner

        def write(self, data):
            diff_id.update(data)
            return self.inner.write(data)

    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as stream:
        with tarfile.open(fileobj=Both(stream), mode="w|") as archive:
            for n in range(mib):
                content = noise.randbytes(FILE // 3) + TEXT[FILE // 3 :]
                entry = tarfile.TarInfo(f"opt/{seed}/{n}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue(), "sha256:" + diff_id.hexdigest()


class Layout:
    def __init__(self, folder):
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def add(self, media_type, data):
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}


def build(folder, mib, count):
    layout = Layout(folder)
    layers, diff_ids = [], []
    for seed in range(count):
        data, diff_id = layer(mib, seed)
        layers.append(layout.add(IMAGE + "layer.v1.tar+gzip", data))
        diff_ids.append(diff_id)
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": IMAGE + "manifest.v1+json",
        "config": layout.add(IMAGE + "config.v1+json", json.dumps(config).encode()),
        "layers": layers,
    }
    root = layout.add(IMAGE + "manifest.v1+json", json.dumps(manifest).encode())
    root["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    return layers


def start_registry(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    settings = folder / "registry.yaml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\nhttp: {{addr: {address}}}\n"
    )
    registry = subprocess.Popen(["docker-registry", "serve", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(address.split(":")[:1] + [int(address.split(":")[1])]).close()
            return registry, address
        except OSError:
            time.sleep(0.1)
    raise SystemExit("docker-registry did not start")


def run(command, shell=False):
    """Seconds, and MiB at the most, of a command."""
    begun = time.monotonic()
    child = subprocess.Popen(command, shell=shell, stdout=subprocess.DEVNULL, executable="/bin/bash" if shell else None)
    most = 0
    # Not by `wait4`: it counts the memory of this script, which the child has until it runs its program.
    while child.poll() is None:
        try:
            status = Path(f"/proc/{child.pid}/status").read_text()
            lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
            most = max([most] + [int(line[1]) for line in lines])
        except OSError:
            pass
        time.sleep(0.01)
    if child.returncode != 0:
        raise SystemExit(f"{command} ended with {child.returncode}")
    return time.monotonic() - begun, most / 1024


def main():
    mib, count = (int(text) for text in (sys.argv[1:] + ["256", "4"][len(sys.argv) - 1:]))
    folder = Path(tempfile.mkdtemp(prefix="portcullis-bench-"))
    registry = None
    try:
        print(f"making {count} layers of {mib} MiB", file=sys.stderr)
        layers = build(folder / "image", mib, count)
        stored = sum(one["size"] for one in layers) / (1 << 20)
        registry, address = start_registry(folder)
        reference = f"{address}/bench/app:v1"
        subprocess.run(
            ["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false",
             f"oci:{folder / 'image'}:v1", f"docker://{reference}"], check=True)
        shutil.rmtree(folder / "image")
        urls = [f"http://{address}/v2/bench/app/blobs/{one['digest']}" for one in layers]
        curl = "set -e -o pipefail; " + "; ".join(f"curl -sSf {url} | sha256sum" for url in urls)
        best = {}
        for _ in range(3):
            shutil.rmtree(folder / "copy", ignore_errors=True)
            for name, command, shell in [
                ("portcullis", [str(PORTCULLIS), "sbom", "--no-cache", reference, "--insecure-registry", address, "-o", "inventory"], False),
                ("skopeo copy", ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false",
                                 f"docker://{reference}", f"oci:{folder / 'copy'}:v1"], False),
                ("curl", curl, True),
            ]:
                seconds, memory = run(command, shell)
                known = best.get(name, (seconds, memory))
                best[name] = (min(known[0], seconds), max(known[1], memory))
        print(f"{mib * count} MiB in {count} layers, {stored:.0f} MiB stored")
        for name, (seconds, memory) in best.items():
            ratio = best["portcullis"][0] / seconds
            print(f"{name:12} {seconds:6.2f} s  {stored / seconds:6.0f} MiB/s stored  {memory:5.0f} MiB memory"
                  f"  portcullis takes {ratio:.2f} of its time")
    finally:
        if registry is not None:
            registry.terminate()
            registry.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
