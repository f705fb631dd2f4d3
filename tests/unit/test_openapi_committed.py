"""The pages' client is generated from web/openapi.json: it must be what the app says."""

import json
from pathlib import Path

from flashguard.api.app import create_app

COMMITTED = Path(__file__).parents[2] / "web" / "openapi.json"


def test_the_committed_contract_is_the_apps_own() -> None:
    said = json.loads(json.dumps(create_app().openapi()))
    assert json.loads(COMMITTED.read_text()) == said, "run web/scripts/openapi.sh and commit web/openapi.json"
