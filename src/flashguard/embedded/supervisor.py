"""Keeps parts running: one that ends is started again, later each time. The last one in is the first out."""

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
"""In a row, some two minutes in all: then one more try helps nobody. Failures on a full disk don't count."""
OBSTACLE_POLL_SECONDS: Final = 0.5
"""How often is looked whether a full disk has room again, so that its parts start at once then."""
STEADY_SECONDS: Final = 5.0
"""A part that ran for so long before it ended was killed, and did not fail by itself: a clean slate."""
STEADY_SERVER_SECONDS: Final = 0.5
"""The same for one whose `start` returns only once it answers: nobody waits longer for it the tenth time."""


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
    """A part ended so often in a row that it is not started again."""


class _Watched(NamedTuple):
    part: Part
    patience_seconds: float
    watch: asyncio.Task[None]


class Supervisor:
    """Starts parts in the order they are added, and stops them in the reverse.

    Parameters:
        say: shows a line.
        changed: is called when a part runs again; it must not raise.
        obstacle: returns why no part can run now, such as a full disk, or None. While there is one, a part
            that fails is started again without end: it comes back when the obstacle is gone.
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
        """Starts a part and keeps it running.

        Parameters:
            patience_seconds: what it gets to end by itself.
            steady_seconds: how long it must have run for its end not to count as one more failure.
        """
        await part.start()
        watch = asyncio.create_task(self._watch(part, steady_seconds))
        self._watched.append(_Watched(part, patience_seconds, watch))

    async def failure(self) -> None:
        """Waits until a part is given up, and raises that; else it waits for ever."""
        ended, _ = await asyncio.wait(
            [each.watch for each in self._watched], return_when=asyncio.FIRST_EXCEPTION
        )
        for watch in ended:
            watch.result()

    async def stop(self) -> None:
        """Stop every part, the last first; one that can't be stopped keeps no other from it."""
        while self._watched:
            part, patience_seconds, watch = self._watched[-1]
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            try:
                await part.stop(patience_seconds)
            except Exception as problem:
                self._say("flashguard", f"{part.name} did not stop as it should: {describe(problem)}")
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
            raise PartFailedError(f"{part.name} failed {failures} times in a row; the lines above say why.")
        delay_seconds = min(FIRST_DELAY_SECONDS * 2 ** (min(failures, MAX_FAILURES) - 1), MAX_DELAY_SECONDS)
        why = f" ({obstacle})" if obstacle else ""
        self._say("flashguard", f"{part.name} {reason}{why}; starting it again in {delay_seconds:g} s")
        await self._pause(delay_seconds, obstacle)
        try:
            await part.start()
        except Exception as problem:  # whatever it is: the other parts run on, and this one is tried again
            self._say("flashguard", f"{part.name}: {describe(problem)}")
            return False
        return True

    async def _pause(self, delay_seconds: float, obstacle: str | None) -> None:
        """Wait before the next start; if there is an obstacle, at most until it is gone."""
        if obstacle is None:
            await asyncio.sleep(delay_seconds)
            return
        for _ in range(math.ceil(delay_seconds / OBSTACLE_POLL_SECONDS)):
            await asyncio.sleep(min(delay_seconds, OBSTACLE_POLL_SECONDS))
            if self._obstacle() is None:
                return


def describe(problem: Exception) -> str:
    """Return an error in words: our own speak for themselves, others want their name."""
    return str(problem) if isinstance(problem, FlashGuardError) else f"{type(problem).__name__}: {problem}"
