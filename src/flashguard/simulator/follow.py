"""Follows one simulation's events for all its viewers in this process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from flashguard.errors import FlashGuardError
from flashguard.live import Channel, event

from .board import Board
from .plan import LiveCounters, LogLine, RunFinished
from .progress import BoardEvent, Progress, RunEnded, untagged

log = logging.getLogger("flashguard")

BLOCK_MS: Final = 1000
BOARD_RETRY_SECONDS: Final = 0.5
LINGER_READS: Final = 10
"""Idle reads, of a second each, before a simulation without viewers is no longer followed."""


class Follow:
    """Follows one simulation: its state, and the channel of its viewers.

    Parameters:
        progress: its current state; events after its place are followed.
        get: returns the simulation as the ledger has it, to notice one whose process died.
    """

    def __init__(self, progress: Progress, board: Board, get: Callable[[], Awaitable[Progress]]) -> None:
        self.channel = Channel(self._snapshot)
        self._progress = progress
        self._board = board
        self._get = get
        self._task: asyncio.Task[None] | None = None
        if progress.ended:
            self.channel.end()

    @property
    def done(self) -> bool:
        return self.channel.ended

    def start(self, done: Callable[[], object]) -> None:
        """Follow until it has ended or has no viewers; then call `done`."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: done())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _snapshot(self) -> bytes:
        return event("simulation", self._progress.view())

    async def _run(self) -> None:
        idle = 0
        try:
            while not self._progress.ended and idle < LINGER_READS:
                try:
                    events = await self._read()
                    if not events:
                        await self._check_ended()
                except FlashGuardError as error:
                    log.info(
                        "cannot follow simulation %s: %s; retrying in %g s",
                        self._progress.id,
                        error,
                        BOARD_RETRY_SECONDS,
                    )
                    await asyncio.sleep(BOARD_RETRY_SECONDS)
                    continue
                for place, board_event in events:
                    self._progress.apply(board_event, place)
                    self._publish(board_event)
                idle = 0 if self.channel.viewers else idle + 1
        except Exception:
            log.exception("stopped following simulation %s after an error", self._progress.id)
        finally:
            self.channel.end()

    async def _read(self) -> list[tuple[bytes, BoardEvent]]:
        return await self._board.read(self._progress.id, self._progress.place, block_ms=BLOCK_MS)

    async def _check_ended(self) -> None:
        found = await self._get()
        if found.ended:
            self._progress = found
            self.channel.publish(self._snapshot())

    def _publish(self, board_event: BoardEvent) -> None:
        match board_event:
            case LiveCounters():
                self.channel.publish(event("counters", untagged(board_event)))
            case LogLine():
                self.channel.publish(event("log", untagged(board_event)))
            case RunFinished(result=result):
                self.channel.publish(event("run", result))
            case RunEnded():
                self.channel.publish(self._snapshot())
