"""A process imports what it runs: its start and its memory do not pay for the other commands."""

import subprocess
import sys

import pytest
import typer

import flashguard
from flashguard.cli import app
from flashguard.cli.commands import COMMANDS
from flashguard.errors import FlashGuardError
from flashguard.simulator.plan import Plan
from flashguard.simulator.run import run_simulation

OF_OTHERS = (
    "aiohttp", "redis", "psutil", "opentelemetry.sdk", "rich", "flashguard.recorder.process",
    "flashguard.simulator.run", "flashguard.webhooks.deliverer", "flashguard.payments", "stripe",
)  # fmt: skip
"""What other commands have and the API's process needs not."""
FRAMEWORK = ("fastapi", "flashguard.api.app", "flashguard.api.routes")


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("flashguard.client", (*OF_OTHERS, *FRAMEWORK, "asyncpg", "pydantic", "flashguard.guard")),
        ("flashguard.cli", (*OF_OTHERS, *FRAMEWORK, "uvicorn", "flashguard.doctor.examine")),
        ("flashguard.cli.api", (*OF_OTHERS, *FRAMEWORK)),
        ("flashguard.cli.recorder", ("uvicorn", "redis", "rich", *FRAMEWORK)),
        ("flashguard.api.app", OF_OTHERS),
        ("flashguard.cli.simulate", ("redis",)),
        ("flashguard.cli.deliverer", ("flashguard.payments", "stripe")),
    ],
)
def test_a_process_imports_only_what_it_runs(module: str, never: tuple[str, ...]):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert sorted(set(never) & set(done.stdout.split())) == []


def test_every_name_of_the_package_is_there_when_it_is_asked_for():
    assert all(getattr(flashguard, name) for name in flashguard.__all__)
    assert not set(flashguard.__all__) - set(dir(flashguard))
    with pytest.raises(AttributeError, match="no attribute 'Sail'"):
        _ = flashguard.Sail  # type: ignore[attr-defined]


async def test_a_rival_without_its_client_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flashguard.simulator.run.find_spec", lambda _: None)
    with pytest.raises(FlashGuardError, match="extra `simulator`"):
        await run_simulation(Plan(buyers=10, stock=1, strategies=("naive",)))


def test_every_command_is_found_by_its_name_and_a_mistyped_one_is_not():
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [commands[name].name for name in COMMANDS] == list(COMMANDS)
    assert commands.get("recordr") is None
