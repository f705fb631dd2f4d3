"""Load generators as child processes: started together, released together, each reporting one line of JSON.

The parent uses `Generators`; a child loops over `turns` and answers each with `tell`.
"""

import asyncio
import json
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flashguard.errors import FlashGuardError

ROOT = Path(__file__).parents[1]
READY_SECONDS = 90.0
LAST_SECONDS = 60.0
END_SECONDS = 5.0
MOST_LINE_BYTES = 32 * 2**20
"""A report contains every latency."""
READY = "ready"

_cpu_began = 0.0


class Generators:
    """Child processes that work each time they are released.

    Parameters:
        arguments: of each child; `seconds` says how long a turn takes.
    """

    def __init__(self, module: str, arguments: Sequence[Mapping[str, Any]], env: Mapping[str, str]) -> None:
        self._module = module
        self._arguments = arguments
        self._env = dict(env)
        self._children: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> "Generators":
        try:
            for arguments in self._arguments:
                self._children.append(
                    await asyncio.create_subprocess_exec(
                        sys.executable, "-m", self._module, json.dumps(arguments),
                        env=self._env, cwd=ROOT, limit=MOST_LINE_BYTES,
                        stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
                    )
                )  # fmt: skip
            async with asyncio.timeout(READY_SECONDS):
                await self._all_ready()
        except BaseException:
            for child in self._children:
                child.kill()
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in self._children:
            assert child.stdin is not None
            child.stdin.close()
        for child in self._children:
            try:
                await asyncio.wait_for(child.wait(), END_SECONDS)
            except TimeoutError:
                child.kill()
                await child.wait()

    async def work(self) -> list[dict[str, Any]]:
        """Run one turn of all children at once, and return their reports.

        Raises:
            FlashGuardError: a child ended.
        """
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write(b"go\n")
        async with asyncio.timeout(float(self._arguments[0]["seconds"]) + LAST_SECONDS):
            lines = [await self._line(child) for child in self._children]
            await self._all_ready()
        return [json.loads(line) for line in lines]

    async def _all_ready(self) -> None:
        for child in self._children:
            if await self._line(child) != READY:
                raise FlashGuardError(f"{self._module} did not get ready")

    async def _line(self, child: asyncio.subprocess.Process) -> str:
        assert child.stdout is not None
        line = await child.stdout.readline()
        if not line:
            raise FlashGuardError(f"{self._module} ended too early")
        return line.decode().strip()


def given() -> dict[str, Any]:
    """Return a child's arguments."""
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    return arguments


async def turns() -> AsyncIterator[None]:
    """Yield a child's turns: each begins when the parent releases it, until the parent is gone."""
    global _cpu_began
    while True:
        print(READY, flush=True)
        if not await asyncio.to_thread(sys.stdin.readline):
            return
        _cpu_began = time.process_time()
        yield


def tell(report: Mapping[str, Any]) -> None:
    """Report a child's turn to the parent, with its CPU time."""
    print(json.dumps({**report, "cpu_seconds": time.process_time() - _cpu_began}), flush=True)
