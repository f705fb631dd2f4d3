"""Groups requests into calls: all requests that arrive while one call is in flight go into the next.

The hotter a sale, the larger its batches, and the cheaper each request. The queue is bounded: a full queue
refuses at once (backpressure).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueFull(Exception):
    """The queue is full; nothing was accepted."""


class Coalescer(Generic[T]):
    """Sends members that are submitted during one event-loop tick, or while a call is in flight, in one call.

    Parameters:
        send: sends a batch, in the order of submission. It settles every member itself and does not raise.
        max_batch: most members of one call.
        max_queue: most members that wait.
    """

    def __init__(self, send: Callable[[list[T]], Awaitable[None]], *, max_batch: int, max_queue: int) -> None:
        self._send = send
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._waiting: deque[T] = deque()
        self._runner: asyncio.Task[None] | None = None

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
        """Wait until nothing is queued or in flight."""
        while self._runner is not None:
            await asyncio.wait([self._runner])
