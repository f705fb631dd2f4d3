"""Keeps parts running: restarts one that ends, with a longer delay each time. Parts stop in reverse order."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from flashguard.errors import FlashGuardError

from .program import Say

FIRST_DELAY_SECONDS: Final = 0.05
MAX_DELAY_SECONDS: Final = 10.0
MAX_FAILURES: Final = 20
"""Failures in a row, about two minutes in all, before a part is given up. Failures on a full disk don't
count."""
OBSTACLE_POLL_SECONDS: Final = 0.5
"""Seconds between checks whether a full disk has room again, so that its parts then start at once."""
STEADY_SECONDS: Final = 5.0
"""A part that ran this long before it ended was killed and did not fail by itself: its failures start from
0."""
STEADY_SERVER_SECONDS: Final = 0.5
"""The same for a part whose `start` returns only once it answers, so that its tenth restart is not slower."""


class Part(Protocol):
    """Something that runs until it is stopped."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    async def start(self) -> None: ...
    async def wait(self) -> int: ...
    async def stop(self, timeout_seconds: float) -> None: ...


class PartFailedError(FlashGuardError):
    """A part failed too often in a row and is not restarted."""


class _Watched(NamedTuple):
    part: Part
    patience_seconds: float
    watch: asyncio.Task[None]


class Supervisor:
    """Starts parts in the order in which they are added, and stops them in reverse.

    Parameters:
        say: shows a line.
        changed: called when a part runs again; must not raise.
        obstacle: returns why no part can run now, such as a full disk, or None. While there is an obstacle, a
            failing part is restarted without limit.
    """

    def __init__(
        self, say: Say, changed: Callable[[], None], obstacle: Callable[[], str | None] = lambda: None
    ) -> None:
        self._say = say
        self._changed = changed
        self._obstacle = obstacle
        self._watched: list[_Watched] = []

    @property
    def pids(self) -> dict[str, int]:
        return {each.part.name: each.part.pid for each in self._watched}

    async def add(self, part: Part, patience_seconds: float, steady_seconds: float = STEADY_SECONDS) -> None:
        """Start a part and keep it running.

        Parameters:
            patience_seconds: time to end by itself when it is stopped.
            steady_seconds: after running this long, its end does not count as another failure in a row.
        """
        await part.start()
        watch = asyncio.create_task(self._watch(part, steady_seconds))
        self._watched.append(_Watched(part, patience_seconds, watch))

    async def failure(self) -> None:
        """Wait until a part is given up, and raise its PartFailedError."""
        ended, _ = await asyncio.wait(
            [each.watch for each in self._watched], return_when=asyncio.FIRST_EXCEPTION
        )
        for watch in ended:
            watch.result()

    async def stop(self) -> None:
        """Stop every part, the last first; a part that can't be stopped does not prevent the others."""
        while self._watched:
            part, patience_seconds, watch = self._watched[-1]
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            try:
                await part.stop(patience_seconds)
            except Exception as problem:
                self._say("flashguard", f"{part.name} did not stop cleanly: {describe(problem)}")
            self._watched.pop()

    async def _watch(self, part: Part, steady_seconds: float) -> None:
        failures = 0
        started = time.monotonic()
        while True:
            reason = f"ended with exit code {await part.wait()}"
            if time.monotonic() - started > steady_seconds:
                failures = 0
            failures += 1
            obstacle = self._obstacle()
            while not await self._start_again(part, reason, failures, obstacle):
                reason = "did not start"
                failures = failures + 1 if obstacle is None else min(failures, MAX_FAILURES // 2)
                obstacle = self._obstacle()
            started = time.monotonic()
            self._changed()

    async def _start_again(self, part: Part, reason: str, failures: int, obstacle: str | None) -> bool:
        if failures > MAX_FAILURES and obstacle is None:
            raise PartFailedError(
                f"{part.name} failed {failures} times in a row; see the lines above for the reason."
            )
        delay_seconds = min(FIRST_DELAY_SECONDS * 2 ** (min(failures, MAX_FAILURES) - 1), MAX_DELAY_SECONDS)
        why = f" ({obstacle})" if obstacle else ""
        self._say("flashguard", f"{part.name} {reason}{why}; restarting it in {delay_seconds:g} s")
        await self._pause(delay_seconds, obstacle)
        try:
            await part.start()
        except Exception as problem:  # of any kind: the other parts run on, and this one is retried
            self._say("flashguard", f"{part.name}: {describe(problem)}")
            return False
        return True

    async def _pause(self, delay_seconds: float, obstacle: str | None) -> None:
        """Wait before the next start; with an obstacle, at most until it is gone."""
        if obstacle is None:
            await asyncio.sleep(delay_seconds)
            return
        for _ in range(math.ceil(delay_seconds / OBSTACLE_POLL_SECONDS)):
            await asyncio.sleep(min(delay_seconds, OBSTACLE_POLL_SECONDS))
            if self._obstacle() is None:
                return


def describe(problem: Exception) -> str:
    """Return an error in words; other errors than FlashGuard's with the name of their class."""
    return str(problem) if isinstance(problem, FlashGuardError) else f"{type(problem).__name__}: {problem}"
