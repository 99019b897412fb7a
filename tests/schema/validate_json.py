"""Validates JSON files against a JSON schema.

    python3 validate_json.py SCHEMA FILE...

One line a fault; exit code 1 where there is any.
"""

import json
import sys
from pathlib import Path

import jsonschema

schema = json.loads(Path(sys.argv[1]).read_text())
validator = jsonschema.validators.validator_for(schema)(schema)
broken = False
for name in sys.argv[2:]:
    for error in validator.iter_errors(json.loads(Path(name).read_text())):
        broken = True
        print(f"{name}: {error.json_path}: {error.message[:500]}")
sys.exit(broken)
