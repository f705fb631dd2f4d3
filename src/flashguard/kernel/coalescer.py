"""Groups requests into calls: all requests that arrive while one call is in flight go into the next.

The hotter a sale, the larger its batches, and the cheaper each request. The queue is bounded: a full queue
refuses at once (backpressure).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final, Generic, TypeVar

from .pace import Pace

T = TypeVar("T")

ENOUGH: Final = 16
"""So many members go at once: the fixed cost of their call is small beside theirs, and waiting for more
leaves processors idle. With 32, closed loops of 64 connections lost a tenth of their rate."""


class QueueFull(Exception):
    """The queue is full; nothing was accepted."""


class Coalescer(Generic[T]):
    """Sends members that are submitted during one event-loop tick, or while a call is in flight, in one call.

    Parameters:
        send: sends a batch, in the order of submission. It settles every member itself and does not raise.
        max_batch: most members of one call.
        max_queue: most members that wait.
        pace: how long a call of fewer than ENOUGH members rests after the one before; None: not at all.
    """

    def __init__(
        self,
        send: Callable[[list[T]], Awaitable[None]],
        *,
        max_batch: int,
        max_queue: int,
        pace: Pace | None = None,
    ) -> None:
        self._send = send
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._pace = pace
        self._waiting: deque[T] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._rested: asyncio.Future[None] | None = None

    def submit(self, member: T) -> None:
        """Queue a member for the next call.

        Raises:
            QueueFull: the queue is full.
        """
        if len(self._waiting) >= self._max_queue:
            raise QueueFull
        self._waiting.append(member)
        if self._runner is None:
            self._runner = asyncio.get_running_loop().create_task(
                self._run(),
                context=Context(),  # the log must not name the first member's request in what is done for all
            )
        elif self._rested is not None and len(self._waiting) >= ENOUGH:
            _settle(self._rested)

    async def _run(self) -> None:
        waiting, pace = self._waiting, self._pace
        try:
            while waiting:
                if pace is None:
                    await self._send(self._batch())
                    continue
                if len(waiting) < ENOUGH and (seconds := pace.rest_seconds):
                    await self._rest(seconds)
                pace.begin()
                await self._send(self._batch())
                pace.end()
        finally:
            self._runner = None

    def _batch(self) -> list[T]:
        count = min(len(self._waiting), self._max_batch)
        return [self._waiting.popleft() for _ in range(count)]

    async def _rest(self, seconds: float) -> None:
        """Wait this long, or until enough members wait."""
        loop = asyncio.get_running_loop()
        self._rested = loop.create_future()
        timer = loop.call_later(seconds, _settle, self._rested)
        try:
            await self._rested
        finally:
            self._rested = None
            timer.cancel()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def drain(self) -> None:
        """Wait until nothing is queued or in flight."""
        while self._runner is not None:
            await asyncio.wait([self._runner])


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
