"""Runs one of FlashGuard's own commands as a child and passes its output on line by line."""

import asyncio
import contextlib
import os
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Final

from flashguard.errors import FlashGuardError

from .child import end, spawn

Say = Callable[[str, str], None]
"""Shows a line: the name of its source, and the text."""

MAX_LINE_BYTES: Final = 16 * 1024
"""A longer line is passed on in pieces."""
DRAIN_SECONDS: Final = 1.0
"""Maximum seconds that a grandchild may keep the output open after the child has ended."""


class Program:
    """A command that is started, listened to and ended, with every process that it starts."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        env: Mapping[str, str],
        say: Say,
        death_signal: Signals = Signals.SIGKILL,
    ) -> None:
        self.name = name
        self._command = command
        self._env = env
        self._say = say
        self._death_signal = death_signal
        self._process: Process | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self._started().pid

    async def start(self) -> None:
        # An own pipe: with asyncio's, `wait` would wait for every grandchild that holds it open.
        output, input_end = os.pipe()
        try:
            self._process = await spawn(
                self._command, death_signal=self._death_signal, output=input_end, env=self._env
            )
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(input_end)
        self._listening = asyncio.create_task(self._listen(output))

    async def wait(self) -> int:
        """Return the exit code once the command and its processes have ended and the last line is shown."""
        process = self._started()
        exit_code = await process.wait()
        with contextlib.suppress(ProcessLookupError):  # its workers, if it crashed; they share its session
            os.killpg(process.pid, SIGKILL)
        if self._listening is not None:
            await asyncio.wait([self._listening], timeout=DRAIN_SECONDS)
        return exit_code

    async def stop(self, timeout_seconds: float) -> None:
        if self._process is not None:
            await end(self._process, [(Signals.SIGTERM, timeout_seconds)])
            await self.wait()
            self._process = None

    def _started(self) -> Process:
        if self._process is None:
            raise FlashGuardError(f"{self.name} is not running")
        return self._process

    async def _listen(self, output: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(output, "rb", 0)
        )
        rest = b""
        try:
            while chunk := await reader.read(MAX_LINE_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._say(self.name, line.decode(errors="replace").rstrip("\r"))
            if rest:
                self._say(self.name, rest.decode(errors="replace"))
        finally:
            transport.close()
