"""Starts simulations as child processes, one at a time, and shows every simulation, also of other
processes."""

import asyncio
import logging
import os
import secrets
import sys
from signal import SIGTERM
from typing import Any, Final

import msgspec

from flashguard.embedded.program import Program
from flashguard.errors import Code, FlashGuardError
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import Ledger
from flashguard.ledger.simulations import SimulationBook, StoredSimulation
from flashguard.live import Hub, Viewer
from flashguard.model import Refused
from flashguard.settings import Settings
from flashguard.valkey.client import ValkeyClient

from .board import Board
from .follow import Follow
from .order import Order
from .plan import LogLine, environment
from .progress import Progress, RunEnded

log = logging.getLogger("flashguard")

STOP_SECONDS: Final = 3.0
"""Seconds that a simulation has to end when the process that started it stops."""
LISTED: Final = 50
DIED: Final = "Its process ended before it could report"


class UnknownSimulation(Exception):
    """There is no such simulation."""


class NotStarted(Exception):
    """No simulation was started.

    Parameters:
        refused: the answer to the caller.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code.value)
        self.refused = refused


class Desk:
    """Starts, stops and shows simulations for the API."""

    def __init__(self, ledger: Ledger, client: ValkeyClient, hub: Hub, settings: Settings) -> None:
        self._book = SimulationBook(ledger)
        self._board = Board(client)
        self._client = client
        self._hub = hub
        self._settings = settings
        self._followed: dict[str, Follow] = {}
        self._child: Program | None = None
        self._waiting: asyncio.Task[None] | None = None

    async def start(
        self, buyers: int, stock: int, strategies: tuple[str, ...], url: str, *, retry_id: str | None = None
    ) -> tuple[Progress, bool]:
        """Start a simulation; return it, and whether an earlier request with the same key had started it.

        Parameters:
            retry_id: the id that a retry of this request has too; None: it has no idempotency key.

        Raises:
            NotStarted: another simulation runs, or the same key started a different one.
            FlashGuardError: a server does not answer, or child processes can't be started here.
        """
        wanted = buyers, stock, strategies
        if retry_id is not None and (earlier := await self._started_before(retry_id, wanted)) is not None:
            return earlier, True
        id_ = retry_id or secrets.token_hex(16)
        if not await self._board.claim(id_):
            running = await self._board.running()
            raise NotStarted(
                Refused(code=Code.REQUEST_IN_FLIGHT, detail=f"Simulation {running} is still running.")
            )
        try:
            # Another request with this key may have run a whole simulation since the check above.
            if retry_id is not None and (earlier := await self._started_before(retry_id, wanted)) is not None:
                await self._board.free(id_)
                return earlier, True
            stored = await self._book.create(
                id_,
                environment=environment(self._settings.embedded),
                buyers=buyers,
                stock=stock,
                strategies=strategies,
            )
        except BaseException:
            await self._board.free(id_)
            raise
        await self._spawn(stored, url)
        return Progress(stored), False

    async def _started_before(self, id_: str, wanted: tuple[int, int, tuple[str, ...]]) -> Progress | None:
        """Return the simulation that an earlier request with the same key started, if there is one.

        Raises:
            NotStarted: that request started a different simulation.
        """
        stored = await self._book.get(id_)
        if stored is None:
            return None
        if (stored.buyers, stored.stock, stored.strategies) != wanted:
            raise NotStarted(Refused(code=Code.IDEMPOTENCY_MISMATCH))
        return await self.get(id_)

    async def _spawn(self, stored: StoredSimulation, url: str) -> None:
        order = msgspec.json.encode(Order(stored, url)).decode()
        last_line: list[str] = []

        def say(_: str, line: str) -> None:
            log.warning("simulation: %s", line)
            last_line[:] = [line]

        command = [sys.executable, "-m", "flashguard.simulator.job", order]
        child = Program("simulation", command, _environment_of(self._settings), say, SIGTERM)
        try:
            await child.start()
        except (FlashGuardError, OSError) as error:
            await self._mark_failed(stored.id, f"Cannot start its process: {error}")
            return
        self._child = child
        self._waiting = asyncio.create_task(self._wait(child, stored.id, last_line))

    async def _wait(self, child: Program, id_: str, last_line: list[str]) -> None:
        exit_code = await child.wait()
        why = f"{DIED} (exit code {exit_code}){': ' + last_line[0] if last_line else '.'}"
        try:
            await self._mark_failed(id_, why)
        except FlashGuardError as error:
            log.warning("cannot mark simulation %s as failed: %s", id_, error)

    async def stop(self, id_: str) -> Progress:
        """Ask a simulation to end early; one that has ended stays as it is. Raises UnknownSimulation."""
        progress = await self.get(id_)
        if not progress.ended:
            await self._board.ask_to_stop(id_)
        return progress

    async def get(self, id_: str) -> Progress:
        """Return a simulation as it is now. Raises UnknownSimulation."""
        stored = await self._book.get(id_)
        if stored is None:
            raise UnknownSimulation
        progress = Progress(stored)
        if progress.ended:
            return progress
        await self._catch_up(progress)
        if progress.ended or await self._board.running() == id_:
            return progress
        await self._mark_failed(id_, f"{DIED}.")
        stored = await self._book.get(id_)
        if stored is None:
            raise UnknownSimulation
        return Progress(stored)

    async def newest(self) -> list[dict[str, Any]]:
        """Return the newest simulations, without logs and series."""
        views = []
        for stored in await self._book.newest(LISTED):
            progress = Progress(stored) if stored.finished_at else await self.get(stored.id)
            views.append(progress.view(whole=False))
        return views

    async def watch(self, id_: str) -> Viewer:
        """Return a viewer of its events: the whole simulation first, and again at its end.

        Raises:
            UnknownSimulation: there is no such simulation.
            Full, Ending: this process has too many viewers, or stops.
        """
        progress = None if id_ in self._followed else await self.get(id_)
        follow = self._followed.get(id_)
        if follow is None and progress is not None:
            follow = Follow(progress, self._board, lambda: self.get(id_))
            if not progress.ended:
                self._followed[id_] = follow
                follow.start(lambda: self._followed.pop(id_, None))
        if follow is None:
            raise AssertionError("it is followed, or was just read")
        return self._hub.watch(follow.channel)

    async def close(self) -> None:
        """End the simulation that this process started, and stop following."""
        for follow in list(self._followed.values()):
            follow.stop()
        if self._child is not None:
            await self._child.stop(STOP_SECONDS)
        if self._waiting is not None:
            await asyncio.wait([self._waiting], timeout=STOP_SECONDS)
        await self._client.aclose()

    async def _catch_up(self, progress: Progress) -> None:
        """Apply all its events on the board."""
        while events := await self._board.read(progress.id, progress.place):
            for place, event in events:
                progress.apply(event, place)

    async def _mark_failed(self, id_: str, why: str) -> None:
        """Mark a simulation that never reported as failed, with the figures of its events; else do
        nothing."""
        stored = await self._book.get(id_)
        if stored is not None and stored.finished_at is None:
            progress = Progress(stored)
            try:
                await self._catch_up(progress)
            except MemoryAway as error:
                log.warning("cannot read the events of simulation %s: %s", id_, error)
            last_ms = progress.report.log[-1].at_ms if progress.report.log else 0
            line = LogLine(at_ms=last_ms, text=why, level="error")
            progress.apply(line)
            at = await self._book.finish(id_, "failed", why, progress.encoded_report())
            if at is not None:
                ended = RunEnded(status="failed", detail=why, finished_at=at)
                await self._board.write(id_, [line, ended])
        await self._board.free(id_)


def _environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment of a child that uses the same servers and keys."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")}
    return ours | {
        "FLASHGUARD_REDIS_URL": settings.redis_url or "",
        "FLASHGUARD_DATABASE_URL": settings.database_url or "",
        "FLASHGUARD_ADMIN_KEY": settings.admin_key.get_secret_value() if settings.admin_key else "",
        "FLASHGUARD_EMBEDDED": "true" if settings.embedded else "false",
        "PYTHONUNBUFFERED": "1",
    }
