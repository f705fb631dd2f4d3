"""Secrets come from files, too: an orchestrator's mounts, which no process list and no inspection shows."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from flashguard.settings import Settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLASHGUARD_ADMIN_KEY", "FLASHGUARD_REDIS_URL", "FLASHGUARD_PORT", "FLASHGUARD_SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_named_as_the_variable_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flashguard_admin_key").write_text("fg_admin_from-a-file\n")
    (tmp_path / "FLASHGUARD_PORT").write_text("8123")
    (tmp_path / "postgres_password").write_text("not ours")
    monkeypatch.setenv("FLASHGUARD_SECRETS_DIR", str(tmp_path))
    settings = Settings()
    assert settings.admin_key is not None
    assert settings.admin_key.get_secret_value() == "fg_admin_from-a-file"
    assert settings.port == 8123
    assert settings.redis_url is None


def test_a_variable_counts_more_than_a_file_and_code_more_than_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flashguard_port").write_text("1111")
    monkeypatch.setenv("FLASHGUARD_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("FLASHGUARD_PORT", "2222")
    assert Settings().port == 2222
    assert Settings(port=3333).port == 3333


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASHGUARD_SECRETS_DIR", str(tmp_path / "gone"))
    with pytest.raises(ValidationError, match="is not a folder"):
        Settings()


def test_a_file_that_can_not_be_is_said_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flashguard_redis_url").write_text("http://memory")
    monkeypatch.setenv("FLASHGUARD_SECRETS_DIR", str(tmp_path))
    with pytest.raises(ValidationError, match="redis_url"):
        Settings()
