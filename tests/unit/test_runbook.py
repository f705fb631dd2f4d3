"""The runbook: an alarm at night must lead to a section that says what to do, with commands that exist."""

import re
import shlex

import click
import pytest
import typer
import yaml

from flashguard.cli import app
from tests.support.deploy_files import DEPLOY, ROOT

RUNBOOK = ROOT / "docs" / "how-to" / "runbook.md"
TEXT = RUNBOOK.read_text()
SECTIONS = {
    found[1].strip(): found[2]
    for found in re.finditer(r"^#{2,3} ([^\n]+)\n(.*?)(?=^#{2,3} |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alarm_leads_to_a_section_with_a_first_look_and_an_action(rule: dict) -> None:
    section = SECTIONS[rule["alert"]]
    assert section.strip()
    assert "**First**" in section
    assert "**Then**" in section
    assert section.index("**First**") < section.index("**Then**")
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOK.relative_to(ROOT)}#{anchor(rule['alert'])}"


def test_no_section_is_for_an_alarm_that_does_not_exist() -> None:
    named = {title for title in SECTIONS if title.startswith("FlashGuard")}
    assert named == {rule["alert"] for rule in ALERTS}


def test_every_jump_lands() -> None:
    anchors = {anchor(title) for title in SECTIONS}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors


def commands() -> list[str]:
    """What the runbook has people type, each up to what ends a command."""
    code = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for block in code for line in block.splitlines()] + re.findall(
        r"`(flashguard [^`]+)`", TEXT
    )
    said = [re.split(r"&&|\||;|#", part)[0].strip() for line in lines for part in line.split("&& ")]
    return sorted({each for each in said if each.startswith("flashguard ")})


@pytest.mark.parametrize("line", commands())
def test_every_command_exists_with_the_options_it_is_given(line: str) -> None:
    words = shlex.split(line.replace("…", ""))[1:]
    command: click.Command = typer.main.get_command(app)
    while getattr(command, "commands", None) and words:
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    options = {name for each in command.params for name in [*each.opts, *each.secondary_opts]}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_commands_are_found_at_all() -> None:
    assert len(commands()) > 20
