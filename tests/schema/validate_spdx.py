"""Validates SPDX 2.3 JSON files with the SPDX project's own library.

    python3 validate_spdx.py FILE...

Beyond it asks that every purl parses. One line a fault; exit code 1 where there is any.
"""

import json
import sys
from pathlib import Path

from packageurl import PackageURL
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def faults(file):
    try:
        document = parse_file(file)
    except SPDXParsingError as error:
        yield from error.get_messages()
        return
    for message in validate_full_spdx_document(document, "SPDX-2.3"):
        yield message.validation_message
    for package in json.loads(Path(file).read_text(encoding="utf-8"))["packages"]:
        for reference in package.get("externalRefs", []):
            if reference["referenceType"] == "purl":
                PackageURL.from_string(reference["referenceLocator"])


def main(files):
    found = 0
    for file in files:
        for fault in faults(file):
            print(f"{file}: {str(fault)[:500]}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
