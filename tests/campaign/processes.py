"""Finds the processes to fault, and keeps FlashGuard's own commands running."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from flashguard.embedded.program import Program

FLASHGUARD = (sys.executable, "-m", "flashguard")
START_AGAIN_SECONDS = 0.2


def clean_env(**more: str) -> dict[str, str]:
    """Return this process's environment without FlashGuard's variables, plus these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")} | more


def children(pid: int) -> list[int]:
    """Return the direct children of this process."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(process.name))
    return found


def workers(api: int) -> list[int]:
    """Return the worker processes of an api: those that multiprocessing spawned to serve."""
    return [pid for pid in children(api) if b"spawn_main" in command_line(pid)] or [api]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def hit(number: signal.Signals, *pids: int) -> None:
    """Send a signal to these processes; ignore ended ones."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Kept:
    """One of FlashGuard's commands, restarted whenever it ends."""

    def __init__(self, name: str, env: Mapping[str, str], say: Callable[[str, str], None]) -> None:
        self.name = name
        self.ended = 0
        self._env = dict(env)
        self._say = say
        self._program: Program | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        assert self._program is not None
        return self._program.pid

    async def start(self, **more_env: str) -> None:
        death_signal = signal.SIGTERM if self.name == "api" else signal.SIGKILL  # as `flashguard up` does it
        command = [*FLASHGUARD, self.name]
        self._program = Program(self.name, command, self._env | more_env, self._say, death_signal)
        await self._program.start()
        self._watch = asyncio.create_task(self._keep(self._program))

    async def _keep(self, program: Program) -> None:
        while True:
            code = await program.wait()
            self.ended += 1
            self._say(self.name, f"ended with exit code {code}")
            await asyncio.sleep(START_AGAIN_SECONDS)
            await program.start()

    async def stop(self) -> None:
        if self._program is not None and self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            await self._program.stop(5.0)
