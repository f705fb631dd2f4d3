"""Follows one simulation's events for all its viewers in this process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from flashguard.errors import FlashGuardError
from flashguard.live import Channel, event

from .board import Board
from .plan import Counters, LogLine, RunFinished
from .progress import Happened, Over, Progress, untagged

log = logging.getLogger("flashguard")

BLOCK_MS: Final = 1000
RETRY_SECONDS: Final = 0.5
LINGER_READS: Final = 10
"""How many idle seconds it is followed without viewers."""


class Follow:
    """One simulation: its state, and the channel of its viewers.

    Parameters:
        progress: as it stands; followed from its own place on.
        look: the simulation as the ledger has it, to find out about one that died silently.
    """

    def __init__(self, progress: Progress, board: Board, look: Callable[[], Awaitable[Progress]]) -> None:
        self.channel = Channel(self._snapshot)
        self._progress = progress
        self._board = board
        self._look = look
        self._task: asyncio.Task[None] | None = None
        if progress.over:
            self.channel.end()

    @property
    def done(self) -> bool:
        return self.channel.ended

    def start(self, done: Callable[[], object]) -> None:
        """Follows until it is over, or nobody views it; then calls `done`."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: done())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _snapshot(self) -> bytes:
        return event("simulation", self._progress.view())

    async def _run(self) -> None:
        lonely = 0
        try:
            while not self._progress.over and lonely < LINGER_READS:
                try:
                    events = await self._read()
                    if not events:
                        await self._look_whether_over()
                except FlashGuardError as error:
                    log.info("following simulation %s: %s", self._progress.id, error)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for place, happened in events:
                    self._progress.take(happened, place)
                    self._publish(happened)
                lonely = 0 if self.channel.viewers else lonely + 1
        except Exception:
            log.exception("following simulation %s", self._progress.id)
        finally:
            self.channel.end()

    async def _read(self) -> list[tuple[bytes, Happened]]:
        return await self._board.read(self._progress.id, self._progress.place, block_ms=BLOCK_MS)

    async def _look_whether_over(self) -> None:
        found = await self._look()
        if found.over:
            self._progress = found
            self.channel.publish(self._snapshot())

    def _publish(self, happened: Happened) -> None:
        match happened:
            case Counters():
                self.channel.publish(event("counters", untagged(happened)))
            case LogLine():
                self.channel.publish(event("log", untagged(happened)))
            case RunFinished(result=result):
                self.channel.publish(event("run", result))
            case Over():
                self.channel.publish(self._snapshot())
