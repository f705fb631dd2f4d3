"""Many requests, one call: all that arrive while one call is in flight go into the next.

The hotter the sale, the larger the batch, the cheaper each request. The queue is bounded: a full one
refuses at once instead of growing (backpressure).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueFull(Exception):
    """The coalescer's queue is at its bound; nothing was accepted."""


class Coalescer(Generic[T]):
    """Groups what is submitted during one event-loop tick, or while a call is in flight, into one call.

    Parameters:
        send: takes a batch, in the order of submission. It must settle every member itself and not raise.
        max_batch: members of one call at most.
        max_queue: members waiting at most.
    """

    def __init__(self, send: Callable[[list[T]], Awaitable[None]], *, max_batch: int, max_queue: int) -> None:
        self._send = send
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._waiting: deque[T] = deque()
        self._runner: asyncio.Task[None] | None = None

    def submit(self, member: T) -> None:
        """Queues a member for the next call.

        Raises:
            QueueFull: the queue is at its bound.
        """
        if len(self._waiting) >= self._max_queue:
            raise QueueFull
        self._waiting.append(member)
        if self._runner is None:
            self._runner = asyncio.get_running_loop().create_task(
                self._run(),
                context=Context(),  # what is done for all must not be logged as done for the first
            )

    async def _run(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                count = min(len(waiting), self._max_batch)
                await self._send([waiting.popleft() for _ in range(count)])
        finally:
            self._runner = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def drain(self) -> None:
        """Waits until nothing is queued or in flight."""
        while self._runner is not None:
            await asyncio.wait([self._runner])
