"""A `flashguard up` in another process, for tests that start, kill and start it again."""

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
from tests.support.forked import run_forked

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
    return Ran(*await run_forked(words, cwd, clean | {"COLUMNS": "200"} | env, stdin))


class Up:
    """A `flashguard up` in another process, by this Python or another; its output is in a file."""

    def __init__(
        self, folder: Path, *options: str, data: str = "data", python: str = sys.executable, **env: str
    ) -> None:
        self.data_dir = folder / data
        self._output = folder / f"output-{time.monotonic_ns()}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [python, "-m", "flashguard", "up", "--data-dir", str(self.data_dir), *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean | env,
            )

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
