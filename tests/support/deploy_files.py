"""What tests of the files in deploy/ share: how to read them, and what they may name."""

import re
from pathlib import Path
from typing import Any

import typer
import yaml
from typer.core import TyperGroup

from flashguard.cli import app
from flashguard.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKER = DEPLOY / "docker"


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def commands() -> set[str]:
    """The commands of the program."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return set(group.commands)


def unknown_settings(text: str) -> set[str]:
    """Variables of ours that a file names and the program does not have."""
    known = {f"FLASHGUARD_{name.upper()}" for name in Settings.model_fields}
    return set(re.findall(r"\bFLASHGUARD_[A-Z_]*[A-Z]\b", text)) - known


def ignored(path: str) -> bool:
    """Whether the build can't see this path: the last pattern that fits decides."""
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    hidden = False
    for line in lines:
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        words = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{words}(/.*)?", path):
            hidden = not line.startswith("!")
    return hidden
