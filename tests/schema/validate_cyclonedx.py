"""Validates CycloneDX JSON files against the published schema of their version, strictly.

    python3 validate_cyclonedx.py FILE...

Beyond the schema it asks what a schema cannot: that every bom-ref is unique and every reference
leads to one, and that every purl parses. One line a fault; exit code 1 where there is any.
"""

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL


def components(document):
    yield document["metadata"]["component"]
    yield from document.get("components", [])


def faults(text):
    document = json.loads(text)
    version = SchemaVersion.from_version(document["specVersion"])
    error = JsonStrictValidator(version).validate_str(text)
    if error is not None:
        yield str(error)[:2000]
        return
    references = [component["bom-ref"] for component in components(document)]
    if len(set(references)) != len(references):
        yield "a bom-ref stands twice"
    for composition in document.get("compositions", []):
        for reference in composition.get("assemblies", []) + composition.get("dependencies", []):
            if reference not in references:
                yield f"{reference!r} leads nowhere"
    for component in components(document):
        if "purl" in component:
            PackageURL.from_string(component["purl"])


def main(files):
    found = 0
    for file in files:
        for fault in faults(Path(file).read_text(encoding="utf-8")):
            print(f"{file}: {fault}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
