"""Runs `flashguard …` in processes of their own that begin with its imports done.

They are forked from a process that has imported the command line and runs nothing: most of the CPU of a
command that is started in a new Python goes into imports. The rest is as in any other process: arguments,
environment, signals, exit code.
"""

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from flashguard.cli import main

MOST_SECONDS = 60.0

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([
    __name__, "flashguard.cli.api", "flashguard.cli.recorder", "flashguard.cli.deliverer",
    "flashguard.api.app", "flashguard.api.server.wire", "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop", "uvicorn.server",
])  # fmt: skip


class _Stream:
    """A file of this process, duplicated for the one that starts."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> Any:
        return _received, (DupFd(self.fd),)


def _received(duplicate: Any) -> _Stream:
    return _Stream(duplicate.detach())


def _command(words: tuple[str, ...], cwd: Path, env: dict[str, str], streams: list[_Stream]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream.fd, number)
        os.close(stream.fd)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 it is open until the process ends
    os.environ.clear()
    os.environ.update(env)
    if "PYTHONUNBUFFERED" in env:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    time.tzset()
    os.chdir(cwd)
    sys.argv = ["flashguard", *words]
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined] # it may fork
    try:
        main()
    finally:
        atexit._run_exitfuncs()


class Flashguard:
    """A running `flashguard …`, with what tests use of a `subprocess.Popen`.

    Parameters:
        env: its whole environment.
        stdin: a file to read; without one it reads nothing.
        stdout: a file to write to; without one, our own output.
        stderr: the same for its errors.
    """

    def __init__(
        self,
        *words: str,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdin: int | None = None,
        stdout: int = 1,
        stderr: int = 2,
    ) -> None:
        with Path(os.devnull).open() as nothing:
            fds = [nothing.fileno() if stdin is None else stdin, stdout, stderr]
            given = (words, cwd or Path.cwd(), dict(env), [_Stream(fd) for fd in fds])
            self._process = _forks.Process(target=_command, args=given, daemon=True)
            self._process.start()
        assert self._process.pid is not None
        self.args = ("flashguard", *words)
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or minus the number of the signal that ended it, once that is known."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def run_flashguard(
    *words: str, env: Mapping[str, str], cwd: Path | None = None, stdin: int | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `flashguard …` to its end. Without `stdin` it reads nothing."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Flashguard(*words, env=env, cwd=cwd, stdin=stdin, stdout=out.fileno(), stderr=err.fileno())
        try:
            code = process.wait(MOST_SECONDS)
        finally:
            process.kill()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(process.args, code, *texts)
