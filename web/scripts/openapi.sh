#!/bin/sh
# Writes the API's contract as the app says it; commit the result, so that the build needs no Python.
cd "$(dirname "$0")/../.." && .venv/bin/python -c '
import json
from flashguard.api.app import create_app
print(json.dumps(create_app().openapi(), indent=1, sort_keys=True))' > web/openapi.json
