"""A `flashguard up` in another process, for tests that start, kill and start it again."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flashguard.embedded.run_file import Run, find_run
from tests.support.forked import Flashguard, run_flashguard
from tests.support.ledgers import put_ledger

READY = "Ctrl-C stops it"
START_TIMEOUT_SECONDS = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account can pass; pytest's own are private, out of reach for root's PostgreSQL."""
    path = Path(tempfile.mkdtemp(prefix="fg-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


async def run_cli(*words: str, cwd: Path, stdin: int | None = None, **env: str) -> Ran:
    """Runs `flashguard ...` in an environment without our settings, but these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")}
    ran = await asyncio.to_thread(
        run_flashguard, *words, cwd=cwd, stdin=stdin, env=clean | {"COLUMNS": "200"} | env
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


class Up:
    """A `flashguard up` in another process, by this Python or another; its output is in a file.

    Parameters:
        fresh: it makes its ledger itself; else a data directory that is not there gets one that is migrated.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        data: str = "data",
        python: str = sys.executable,
        fresh: bool = False,
        **env: str,
    ) -> None:
        self.data_dir = folder / data
        if not (fresh or "FLASHGUARD_DATABASE_URL" in env or self.data_dir.exists()):
            put_ledger(self.data_dir)
        self._output = folder / f"output-{time.monotonic_ns()}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")}
        with self._output.open("wb") as output:
            words = ("up", "--data-dir", str(self.data_dir), *options)
            out = output.fileno()
            self.process = (
                Flashguard(*words, env=clean | env, stdout=out, stderr=out)
                if python == sys.executable
                else subprocess.Popen(
                    [python, "-m", "flashguard", *words],
                    stdout=out, stderr=subprocess.STDOUT, env=clean | env,
                )
            )  # fmt: skip

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str) -> str:
        wait_until(lambda: text in self.output or self.process.poll() is not None, START_TIMEOUT_SECONDS)
        assert text in self.output, self.output
        return self.output

    def run(self) -> Run:
        run = find_run(self.data_dir)
        assert run is not None, self.output
        return run


def wait_until(holds: Callable[[], bool], timeout_seconds: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sh(line: str) -> str:
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
