"""Runs `flashguard …` in processes of their own that begin with its imports done.

They are forked from a process that has imported the command line and runs nothing: most of the CPU of a
command that is started anew goes into imports.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from flashguard.cli import main

MOST_SECONDS = 60.0

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])


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
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 it is open until the process ends
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    sys.argv = ["flashguard", *words]
    main()


async def run_forked(
    words: tuple[str, ...], cwd: Path, env: dict[str, str], stdin: int | None
) -> tuple[int, str, str]:
    """Return a command's exit code, output and errors. Without `stdin` it reads nothing."""
    with Path(os.devnull).open() as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = [nothing.fileno() if stdin is None else stdin, out.fileno(), err.fileno()]
        given = (words, cwd, env, [_Stream(fd) for fd in streams])
        process = _forks.Process(target=_command, args=given, daemon=True)
        await asyncio.to_thread(process.start)
        try:
            await asyncio.to_thread(process.join, MOST_SECONDS)
            assert process.exitcode is not None, f"{words} did not end"
        finally:
            process.kill()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
        return process.exitcode, texts[0], texts[1]
