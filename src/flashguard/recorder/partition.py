"""The recorder: reads each partition's journal in order and writes it into the ledger, group by group."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from flashguard.errors import FlashGuardError
from flashguard.journal import Announcement, Entry, decode_sound, encode_announcement, last_position
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel, MemoryAway, MemoryBroken, Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.model import Position, ReservationId
from flashguard.settings import Settings

from .admit import Unreplayable
from .meters import Meters
from .rebuild import Memory, Overtaken, Recovery, close_for_operator, inspect, rebuild
from .refuse import REFUSALS
from .write import write_doubtful_group, write_group

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces

log = logging.getLogger("flashguard.recorder")

IDLE_MS = 500
"""How long a read waits for an entry before the recorder looks whether memory is still there."""
NOTE_SECONDS = 0.1
"""How often the recorded position is noted in memory, where replays and the backlog bound look."""
OTHER_RECORDER_SECONDS = 0.25
"""How long a recorder steps back after another one moved the position: one of them is about to go."""
PAUSE_SECONDS_MOST = 0.25
"""Between two looks at a server that is away: it shall not wait for us once it is back."""
DEFECT_SECONDS = 1.0
"""How long a partition rests after a fault that nobody foresaw."""


class LostHistory(FlashGuardError):
    """Memory is not the history that the ledger recorded; it must be built again."""


class PartitionRecorder:
    """Records one partition."""

    def __init__(
        self, partition: int, kernel: Kernel, ledger: Ledger, settings: Settings, meters: Meters | None = None
    ) -> None:
        self.partition = partition
        self.position: Position | None = None
        self.state = "starting"
        self.traces: Traces | None = None
        self.handing_over = False
        """It ends with the first group that another recorder was faster with."""
        self.ending = False
        """It ends after the group in hand."""
        self._kernel = kernel
        self._ledger = ledger
        self._settings = settings
        self._meters = meters or Meters()
        self._lost: str | None = None
        self._fell_back = False
        self._recovery: Recovery | None = None
        self._tail: deque[tuple[float, int]] = deque()
        self._noted_at = 0.0
        self._noted_seq = 0
        self._trimmed = 0

    async def run(self) -> None:
        """Records until cancelled, or told to end. Every fault ends in another look at where memory and
        ledger stand."""
        pause = 0.0
        while not self.ending:
            try:
                if pause:
                    await asyncio.sleep(pause)
                await self._settle()
                pause = 0.0
                await self._follow()
            except Overtaken:
                if self.handing_over:
                    return
                pause = OTHER_RECORDER_SECONDS
            except (LostHistory, MemoryBroken) as error:
                self.suspect(str(error))
            except (MemoryAway, LedgerAway) as error:
                self._say("waiting", str(error))
                pause = min(PAUSE_SECONDS_MOST, pause * 2 or 0.05)
            except asyncpg.PostgresError as error:
                self._say("waiting", f"PostgreSQL: {error}")
                pause = DEFECT_SECONDS
            except Exception:
                log.exception("partition %d", self.partition)
                pause = DEFECT_SECONDS

    def suspect(self, why: str) -> None:
        """Memory was found wrong: it is built again at the next look."""
        self._say("recovering", why)
        self._lost = self._lost or why
        self._recovery = self._recovery or Recovery(self.partition)

    def doubt(self) -> None:
        """The ledger says that memory must be built again, and nobody does it: an operator asked for it."""
        if self.state == "recording":
            self.suspect("the ledger asks for it: an operator, or a recorder that died")

    def compare(self, ours: Position | None, ledgers: Position) -> None:
        """Looks whether the ledger is behind where we once left it: it was restored, or failed over."""
        if ours is not None and (ledgers.epoch, ledgers.seq) < (ours.epoch, ours.seq):
            log.error(
                "partition %d: the ledger fell back from %d-%d to %d-%d",
                self.partition, ours.epoch, ours.seq, ledgers.epoch, ledgers.seq,
            )  # fmt: skip
            self._fell_back = True

    def _say(self, state: str, why: str) -> None:
        if self.state != state:
            log.warning("partition %d is %s: %s", self.partition, state, why)
        self.state = state

    async def _settle(self) -> None:
        """Finds the position; builds memory again when it is not the history the ledger recorded."""
        position = await self._ledger.positions.get(self.partition)
        try:
            memory, why = await inspect(self._kernel, self.partition, position)
            await self._kernel.sales(self.partition)
        except MemoryBroken as error:
            await self._kernel.wipe(self.partition)
            memory, why = Memory.LOST, str(error)
        if memory is Memory.NEWER:
            if await self._ledger.positions.get(self.partition) == position:
                await close_for_operator(self._kernel, self.partition, why)
                self._say("fenced", f"{why}; run `flashguard recover`")
            raise Overtaken
        if memory is Memory.SOUND and await self._ledger.positions.is_doubted(self.partition):
            memory, why = Memory.LOST, "the ledger refused some of memory's grants"
        mended = memory is Memory.SOUND and self.position is not None and position.epoch > self.position.epoch
        if memory is Memory.LOST or (self._lost and not mended):  # not once more after another recorder
            position = await self._recover(self._lost or why)
        self._lost = self._recovery = None
        self._fell_back = False
        self.position = position
        self._tail.clear()
        self._trimmed = 0
        self._noted_seq = 0
        self.state = "recording"

    async def _recover(self, why: str) -> Position:
        """Builds memory again; what its journal still has that chains is recorded first."""
        recovery = self._recovery = self._recovery or Recovery(self.partition)

        async def drain(position: Position) -> None:
            recovery.entries += await self._drain(position)

        done = await rebuild(
            self._kernel, self._ledger, self.partition,
            why=why, closed_sale_hours=self._settings.closed_sale_hours, drain=drain,
        )  # fmt: skip
        await recovery.tell(self._ledger, why, done)
        return done.position

    async def _drain(self, position: Position) -> int:
        """Writes all that the fenced journal has after this position; returns how many entries."""
        count = 0
        while True:
            raw = await self._kernel.entries(
                self.partition, position.epoch, position.seq + 1, count=self._settings.group_entries
            )
            run, end, _ = last_position(decode_sound(raw)[0], position)
            if not run:
                return count
            await self._write(run, position, end)
            position, count = end, count + len(run)

    async def _follow(self) -> None:
        """Reads and records group after group."""
        while not self.ending:
            position = self._at()
            raw = await self._kernel.entries(
                self.partition,
                position.epoch,
                position.seq,
                count=self._settings.group_entries,
                block_ms=IDLE_MS,
            )
            if self._lost:
                raise LostHistory(self._lost)
            if self._fell_back:
                raise Overtaken
            if not raw:
                await self._look()
                continue
            entries, broken = decode_sound(raw)
            run, end, whole = last_position(entries, position)
            if run:
                if self.traces is None:
                    refused = await self._write(run, position, end)
                else:
                    with self.traces.transaction(self.partition, [entry.token for entry in run]):
                        refused = await self._write(run, position, end)
                self.position = end
                await self._announce(run, refused)
                if refused:
                    raise LostHistory(f"the ledger refused {len(refused)} of memory's grants")
            if not whole:
                raise LostHistory(f"the journal does not continue entry {end.epoch}-{end.seq}")
            if broken:
                raise LostHistory(broken)

    def _at(self) -> Position:
        if self.position is None:
            raise AssertionError("settle comes before follow")
        return self.position

    async def _look(self) -> None:
        """Nothing came: is memory still there, and where we think it is?"""
        position = self._at()
        memory, why = await inspect(self._kernel, self.partition, position)
        if memory is not Memory.SOUND:
            raise LostHistory(why)
        if position.seq > self._noted_seq:
            await self._announce((), ())

    async def _write(
        self, run: Sequence[Entry], position: Position, end: Position
    ) -> Sequence[ReservationId]:
        """One transaction; what the ledger refuses is found and left out. Returns the refused orders.

        Raises:
            Overtaken: another recorder moved the position, or the partition was closed for an operator
                because the ledger lacks a sale or an item of the run.
        """
        try:
            return await self._write_run(run, position, end)
        except Unreplayable as error:
            why = f"{error}, and the journal can't restore it: the ledger is older than memory"
            log.error("partition %d: %s", self.partition, why)
            await close_for_operator(self._kernel, self.partition, why, stuck=position)
            raise Overtaken from error

    async def _write_run(
        self, run: Sequence[Entry], position: Position, end: Position
    ) -> Sequence[ReservationId]:
        started = time.perf_counter()
        async with self._ledger.connection() as connection:
            try:
                applied, drift = await write_group(connection, self.partition, run, position, end)
                refused: Sequence[ReservationId] = ()
            except REFUSALS as error:
                log.error("partition %d: the ledger refuses a group: %s", self.partition, error)
                applied, refused = await write_doubtful_group(connection, self.partition, run, position, end)
                drift = []
        if not applied:
            raise Overtaken
        self._meters.note_group(run, refused, time.perf_counter() - started)
        if drift:
            self._lost = f"memory's counters differ from the ledger's: {', '.join(drift)}"
            log.error("partition %d: %s", self.partition, self._lost)
        return refused

    async def _announce(self, run: Sequence[Entry], refused: Sequence[ReservationId]) -> None:
        """Tells the waiting what is recorded, notes it in memory now and then, trims the journal's tail."""
        position, now = self._at(), time.monotonic()
        if run:
            self._tail.append((now, position.seq))
        # A refused grant is not noted as recorded: until memory is built again, its key must ask the ledger.
        note = not refused and (now - self._noted_at >= NOTE_SECONDS or not run)
        trim = self._trim_below(now) if note else 0
        message = encode_announcement(
            Announcement(position.epoch, [(e.seq, e.token) for e in run], list(refused))
        )
        reply = await self._kernel.run(
            Verb.ANNOUNCE,
            self.partition,
            [],
            (
                *msgspec.structs.astuple(position),
                keys.recorded(self.partition),
                message,
                note,
                trim,
                self._kernel.client.sharded,
            ),
        )
        if reply.status or reply.results[0] != "announced":
            raise LostHistory(f"memory lost entry {position.epoch}-{position.seq} after it was recorded")
        if note:
            self._noted_at, self._noted_seq = now, position.seq
        if self._lost:
            raise LostHistory(self._lost)

    def _trim_below(self, now: float) -> int:
        """The entry below which the journal's recorded tail may go; 0 for none. The position's own stays."""
        tail, below = self._tail, self._at().seq - self._settings.journal_tail_entries
        while tail and now - tail[0][0] > self._settings.journal_tail_seconds:
            below = max(below, tail.popleft()[1])
        if below <= self._trimmed:
            return 0
        self._trimmed = below
        return below
