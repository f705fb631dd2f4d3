"""`make audit-dependencies` reads the answers of pip-audit and npm, and never takes silence for safety."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts" / "audit_dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit = _script()


def test_vulnerabilities_are_named_with_the_version_that_has_none() -> None:
    python = {
        "dependencies": [
            {"name": "fine", "version": "1", "vulns": []},
            {"name": "bad", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]},
        ]
    }
    assert audit.of_pip_audit(json.dumps(python)) == ["bad 2: CVE-1, fixed in 2.1"]
    npm = {"vulnerabilities": {"bad": {"range": "<2", "severity": "high"}}, "metadata": {}}
    assert audit.of_npm(json.dumps(npm)) == ["bad <2: high"]
    assert audit.of_npm(json.dumps({"vulnerabilities": {}})) == []


@pytest.mark.parametrize("answer", ["", "not JSON", "[]", '{"message": "ENOTFOUND", "error": {}}'])
def test_what_is_no_report_is_not_a_clean_one(answer: str) -> None:
    with pytest.raises(audit.NotAsked):
        audit.of_npm(answer)


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_without_a_network_a_sentence_says_what_was_not_audited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    assert audit.report("web", lambda: audit.lock(ROOT / "web")) is None
    said = capsys.readouterr().out
    assert said.startswith("web: not audited: ")
    assert "127.0.0.1:1" in said
