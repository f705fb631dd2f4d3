"""Starts and ends child processes that never outlive this process."""

import asyncio
import os
import pwd
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import IO, NamedTuple

from flashguard.errors import ConfigurationError

from . import trampoline


class Account(NamedTuple):
    """The operating system account that a child runs under."""

    name: str
    uid: int
    gid: int

    @classmethod
    def with_uid(cls, uid: int) -> "Account":
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(str(uid), uid, uid)
        return cls(entry.pw_name, uid, entry.pw_gid)


async def spawn(
    command: Sequence[str | Path],
    *,
    death_signal: Signals,
    output: int | IO[bytes],
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Process:
    """Start a command, in its own session, that gets `death_signal` when this process dies.

    Its own session shields it from Ctrl-C on the terminal, because this process decides in which order
    children end. Call this from the main thread, or from one that lives as long as the child should.
    """
    if sys.platform != "linux":
        raise ConfigurationError(
            "`flashguard up` and the embedded servers run only on Linux. Elsewhere, run `flashguard api` and "
            "`flashguard recorder` with FLASHGUARD_REDIS_URL and FLASHGUARD_DATABASE_URL set to your own "
            "servers."
        )
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        trampoline.__file__,
        str(os.getpid()),
        str(int(death_signal)),
        f"{account.uid}:{account.gid}" if account else "-",
        *map(str, command),
        stdin=DEVNULL,
        stdout=output,
        stderr=STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )


async def end(process: Process, steps: Sequence[tuple[Signals, float]]) -> None:
    """End a child: send each signal and wait its seconds, then SIGKILL."""
    for signal, patience_seconds in steps:
        if process.returncode is not None:
            return
        process.send_signal(signal)
        try:
            await asyncio.wait_for(process.wait(), patience_seconds)
        except TimeoutError:
            continue
    if process.returncode is None:
        process.kill()
        await process.wait()
