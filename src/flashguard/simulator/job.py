"""A simulation as its own process: `python -m flashguard.simulator.job <order>`.

It sends buyers to the service that started it, writes its events to the board and its report to the ledger.
It ends early if the board asks for it, if it loses its slot there, or at SIGTERM.
"""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from typing import Final

import msgspec
import uvloop

from flashguard.errors import FlashGuardError
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.simulations import SimulationBook
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel

from .board import CLAIM_MS, Board
from .order import Order
from .plan import Event, LogLine, Plan
from .progress import BoardEvent, Progress, RunEnded
from .run import run_simulation

log = logging.getLogger("flashguard")

WRITE_SECONDS: Final = 0.1
RENEW_SECONDS: Final = 1.0
STOP_SECONDS: Final = 3.0
"""Seconds that a stopped run has to count its sales; then they are not counted."""
REPORT_ATTEMPTS: Final = 30
"""Attempts, one per second, to write the report while the ledger does not answer."""
MAX_UNWRITTEN: Final = 5_000
"""Events kept while Valkey/Redis does not answer; more drop the oldest. The report has them all."""


class Job:
    """One simulation, from its order to its report."""

    def __init__(self, order: Order, settings: Settings, board: Board, book: SimulationBook) -> None:
        self.stop = asyncio.Event()
        self._order = order
        self._settings = settings
        self._board = board
        self._book = book
        self._progress = Progress(order.simulation)
        self._unwritten: list[BoardEvent] = []
        self._lost: str | None = None
        self._simulated = asyncio.Event()

    async def run(self) -> None:
        writer = asyncio.create_task(self._write_on())
        try:
            status, detail = await self._simulate()
        finally:
            self._simulated.set()  # not cancelled: a write that is under way would lose its events
            await writer
        await self._report(status, detail)

    async def _simulate(self) -> tuple[str, str | None]:
        """Return how the simulation ended, and why if it failed."""
        settings, asked = self._settings, self._order.simulation
        plan = Plan(
            buyers=asked.buyers,
            stock=asked.stock,
            strategies=asked.strategies,
            url=self._order.url,
            admin_key=settings.admin_key.get_secret_value() if settings.admin_key else "",
            redis_url=settings.redis_url or "",
            database_url=settings.database_url or "",
        )
        running = asyncio.create_task(run_simulation(plan, self._take, self.stop, embedded=settings.embedded))
        stopped = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(STOP_SECONDS if self.stop.is_set() else None):
                await running
        except TimeoutError:
            self._say("stopped before the sales of the last strategy were counted", "warning")
        except (FlashGuardError, OSError) as error:
            return "failed", str(error) or type(error).__name__
        except Exception as error:
            log.exception("the simulation failed")
            return "failed", f"{type(error).__name__}: {error}"
        finally:
            stopped.cancel()
        if self._lost:
            return "failed", self._lost
        return ("stopped" if self.stop.is_set() else "finished"), None

    def _say(self, text: str, level: str) -> None:
        at_ms = self._progress.report.series[-1].at_ms if self._progress.report.series else 0
        self._take(LogLine(at_ms=at_ms, text=text, level=level))

    def _take(self, event: Event) -> None:
        self._progress.apply(event)
        self._unwritten.append(event)
        del self._unwritten[:-MAX_UNWRITTEN]

    async def _write_on(self) -> None:
        """Write events, renew the slot, and check whether to stop, while the simulation runs."""
        renewed_at = answered_at = time.monotonic()
        while not self._simulated.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._simulated.wait(), WRITE_SECONDS)
            now = time.monotonic()
            try:
                await self._write()
                if now - renewed_at >= RENEW_SECONDS:
                    renewed_at = now
                    if not await self._board.renew(self._order.simulation.id):
                        self._give_up("It lost its slot: memory was lost, or it was considered dead.")
                    if await self._board.asked_to_stop(self._order.simulation.id):
                        self.stop.set()
                answered_at = now
            except MemoryAway as error:
                if now - answered_at > CLAIM_MS / 1000:
                    self._give_up(f"Valkey/Redis does not answer: {error}")

    def _give_up(self, why: str) -> None:
        self._lost = self._lost or why
        self.stop.set()

    async def _write(self) -> None:
        events, self._unwritten = self._unwritten, []
        if not events:
            return
        try:
            await self._board.write(self._order.simulation.id, events)
        except MemoryAway:
            self._unwritten = [*events, *self._unwritten][-MAX_UNWRITTEN:]
            raise

    async def _report(self, status: str, detail: str | None) -> None:
        """Write the report to the ledger first: once the slot is free, an unfinished simulation counts as
        dead."""
        id_ = self._order.simulation.id
        if detail:
            self._say(detail, "error")
        finished_at = None
        for _ in range(REPORT_ATTEMPTS):
            try:
                finished_at = await self._book.finish(id_, status, detail, self._progress.encoded_report())
                break
            except LedgerAway as error:
                log.warning("cannot write the report: %s; retrying in 1 s", error)
                with contextlib.suppress(MemoryAway):
                    await self._board.renew(id_)
                await asyncio.sleep(1)
        with contextlib.suppress(MemoryAway):
            if finished_at is not None:
                self._unwritten.append(RunEnded(status=status, detail=detail, finished_at=finished_at))
            await self._write()
            await self._board.free(id_)


async def main(order: Order) -> None:
    settings = Settings()
    ledger = await Ledger.connect(settings.database_url or "", connections=2)
    client = connect_kernel(settings.redis_url or "", settings)
    try:
        job = Job(order, settings, Board(client), SimulationBook(ledger))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, job.stop.set)
        await job.run()
    finally:
        await client.aclose()
        await ledger.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Order)))
