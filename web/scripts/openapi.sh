#!/bin/sh
# Writes the app's OpenAPI contract to web/openapi.json. Commit it: the build of the pages needs no Python.
cd "$(dirname "$0")/../.." && .venv/bin/python -c '
import json
from flashguard.api.app import create_app
print(json.dumps(create_app().openapi(), indent=1, sort_keys=True))' > web/openapi.json
