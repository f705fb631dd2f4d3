"""A bug in a copy of the code, and the rounds of the campaign that have to find it."""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
MIXED: Final = "mixed: "
"""Before a fault of the mixed load, where kinds of rounds are named."""


class Mutation(NamedTuple):
    """A bug, as replacements in the source, and what must find it."""

    name: str
    edits: list[tuple[str, str, str]]
    """(file below src/flashguard, old text, new text)."""
    kinds: list[str]
    """Kinds of fault under which it must show, `mixed: ` and a fault of the mixed load among them; none: a
    test shows it."""
    test: str = ""


def copy_with(mutation: Mutation, folder: Path) -> Path:
    """Return the folder of the source with this bug; fail if the text to replace is not there."""
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in mutation.edits:
        path = source / "flashguard" / name
        text = path.read_text()
        assert text.count(old) >= 1, f"{name} has no {old!r} any more"
        path.write_text(text.replace(old, new))
    return source


@contextmanager
def source_with(mutation: Mutation) -> Iterator[Path]:
    """Yield the folder of a copy of the source with this bug; remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fg-mutant-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield copy_with(mutation, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_with(source: Path, command: Sequence[str], **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with this source in place of the checkout's."""
    env = os.environ | {"PYTHONPATH": str(source)} | settings
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)


class Caught(NamedTuple):
    """What the rounds of the campaign came to."""

    what: str
    """The first broken promise; '': every promise was kept."""
    rounds: int
    seconds: float


def play(mutation: Mutation, seed: str, rounds: int, seconds: float = math.inf) -> Caught:
    """Put a bug into a copy of the code, and run rounds of the mutation's kinds until one breaks a promise.

    Raises:
        AssertionError: no round ran.
    """
    kinds: dict[str, list[str]] = {}
    for kind in mutation.kinds:
        is_mixed = kind.startswith(MIXED)
        words = kinds.setdefault("tests.campaign.mixed" if is_mixed else "tests.campaign.campaign", [])
        words += ["--fault" if is_mixed else "--kind", kind.removeprefix(MIXED)]
    started, ran, errors = time.monotonic(), 0, ""
    with source_with(mutation) as source:
        for module, words in kinds.items():
            command = [sys.executable, "-m", module, "--until-broken", "--seed", seed]
            command += ["--rounds", str(rounds), "--seconds", str(seconds / len(kinds)), *words]
            done = run_with(source, [*command, "--keep", str(source / "kept")])
            lines = done.stdout.splitlines()
            ran, errors = ran + sum(" answers " in line for line in lines), done.stderr
            broken = [line.strip() for line in lines if line.strip().startswith("VIOLATED")]
            if broken:
                what = broken[0].removeprefix("VIOLATED ")
                return Caught(what, ran, time.monotonic() - started)
    assert ran, f"nothing ran: {errors[-1500:]}"
    return Caught("", ran, time.monotonic() - started)
