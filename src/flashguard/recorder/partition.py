"""Records one partition: reads its journal in order and writes it into the ledger, group by group.

What it does next is decided in states.py; here is how it does it.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from flashguard.journal import Announcement, Entry, decode_sound, encode_announcement
from flashguard.kernel import keys
from flashguard.kernel.errors import MemoryAway, MemoryBroken
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.pace import Pace
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.model import Position, ReservationId
from flashguard.settings import Settings

from .admit import Unreplayable
from .meters import Meters
from .rebuild import Memory, Overtaken, close_for_operator, inspect, note_rebuild, rebuild
from .runs import next_group
from .states import (
    Away,
    Defect,
    Doubt,
    End,
    Event,
    Failed,
    Finished,
    HandingOver,
    HandOver,
    Lost,
    Older,
    Outrun,
    Recording,
    Sound,
    Starting,
    State,
    after,
    doubt_of,
    pause_of,
    work_of,
)
from .together import Together
from .write import write_doubtful

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces

log = logging.getLogger("flashguard.recorder")

IDLE_MS: Final = 500
"""How long a read waits for an entry before the recorder checks whether memory is still there."""
CROWD: Final = 4
"""Entries of a group that show many processes with small calls. They call again once they hear of the commit:
the next group rests meanwhile. One process with large calls has one or two entries in a group."""
NOTE_SECONDS: Final = 0.1
"""How often the recorded position is noted in memory, where replays and the backlog bound read it."""


class PartitionRecorder:
    """Records one partition."""

    def __init__(
        self,
        partition: int,
        kernel: Kernel,
        ledger: Ledger,
        settings: Settings,
        meters: Meters | None = None,
        together: Together | None = None,
        traces: "Traces | None" = None,
    ) -> None:
        self.partition = partition
        self.position: Position | None = None
        self.state: State = Starting()
        self._logged = Starting.label
        self._kernel = kernel
        self._ledger = ledger
        self._settings = settings
        self._meters = meters or Meters()
        self._together = together or Together(ledger)
        self._traces = traces
        self._pace = Pace()
        self._tail: deque[tuple[float, int]] = deque()
        self._noted_at = 0.0
        self._noted_seq = 0
        self._trimmed = 0

    @property
    def handing_over(self) -> bool:
        """Whether it was told to give its partition up."""
        return isinstance(self.state, HandingOver | Finished)

    async def run(self) -> None:
        """Record until cancelled or told to end. After every fault it compares memory and ledger again."""
        while not isinstance(self.state, Finished):
            try:
                await asyncio.sleep(pause_of(self.state))
                if not self._is_recording():
                    await self._settle()
                await self._follow()
            except Overtaken:
                self._note(Outrun())
            except MemoryBroken as error:
                self.suspect(str(error))
            except (MemoryAway, LedgerAway) as error:
                self._note(Away(str(error)))
            except asyncpg.PostgresError as error:
                self._note(Failed(f"PostgreSQL: {error}"))
            except Exception:
                log.exception("partition %d: its task failed; it starts again", self.partition)
                self._note(Defect())

    def hand_over(self) -> None:
        """Give the partition up: record on until another recorder is faster with a group."""
        self._note(HandOver())

    def end(self) -> None:
        """End after the group in hand."""
        self._note(End())

    def suspect(self, why: str) -> None:
        """Rebuild memory at the next step: it was found wrong."""
        self._note(Lost(why, time.monotonic()))

    def doubt(self) -> None:
        """Rebuild memory because the ledger asks for it, and no recorder does it."""
        if self._is_recording():
            self.suspect("the ledger asks for it: an operator, or a recorder that died")

    def compare(self, ours: Position | None, ledgers: Position) -> None:
        """Check that the ledger is not behind where we left it, as after a restore or a failover."""
        if ours is not None and (ledgers.epoch, ledgers.seq) < (ours.epoch, ours.seq):
            log.error(
                "partition %d: the ledger fell back from %d-%d to %d-%d",
                self.partition, ours.epoch, ours.seq, ledgers.epoch, ledgers.seq,
            )  # fmt: skip
            if self._is_recording():
                self._note(Outrun())

    def _is_recording(self) -> bool:
        return isinstance(work_of(self.state), Recording)

    def _note(self, event: Event) -> None:
        """Go to the state that follows, and log what an operator should know, each change once."""
        self.state = after(self.state, event)
        label = self.state.label
        if isinstance(event, Sound):
            self._logged = label
        if label == self._logged or isinstance(self.state, Finished):
            return
        if isinstance(event, Older):
            log.warning("partition %d is fenced: %s; run `flashguard recover`", self.partition, event.why)
            self._logged = label
        elif isinstance(event, Away | Failed) or (isinstance(event, Lost) and event.certain):
            log.warning("partition %d is %s: %s", self.partition, label, event.why)
            self._logged = label

    async def _settle(self) -> None:
        """Find the position; rebuild memory when it is not the history that the ledger recorded.

        Raises:
            Overtaken: another recorder moved the position, or rebuilds memory.
        """
        position = await self._ledger.positions.get(self.partition)
        try:
            memory, why = await inspect(self._kernel, self.partition, position)
            await self._kernel.sales(self.partition)
        except MemoryBroken as error:
            await self._kernel.wipe(self.partition)
            memory, why = Memory.LOST, str(error)
        if memory is Memory.NEWER:
            if await self._ledger.positions.get(self.partition) != position:
                raise Overtaken
            await close_for_operator(self._kernel, self.partition, why)
            self._note(Older(why))
            return
        if memory is Memory.SOUND and await self._ledger.positions.is_doubted(self.partition):
            memory, why = Memory.LOST, "the ledger refused some of memory's grants"
        if memory is Memory.LOST or self._must_rebuild(position):
            position = await self._rebuild(why)
        self.position = position
        self._tail.clear()
        self._trimmed = 0
        self._noted_seq = 0
        self._note(Sound())

    def _must_rebuild(self, position: Position) -> bool:
        """Return whether memory that looks sound is still in doubt: no other recorder has rebuilt it."""
        doubt = doubt_of(self.state)
        rebuilt = self.position is not None and position.epoch > self.position.epoch
        return doubt is not None and doubt.certain and not rebuilt

    async def _rebuild(self, why: str) -> Position:
        """Build memory again; what its journal still has that chains is recorded first."""
        self._note(Lost(why, time.monotonic(), certain=False))
        doubt = doubt_of(self.state) or Doubt(why, time.monotonic())
        why = doubt.why if doubt.certain else why

        async def drain(position: Position) -> None:
            doubt.entries += await self._drain(position)

        done = await rebuild(
            self._kernel, self._ledger, self.partition,
            why=why, closed_sale_hours=self._settings.closed_sale_hours, drain=drain,
        )  # fmt: skip
        if not done.first:
            seconds = time.monotonic() - doubt.noticed_at
            await note_rebuild(self._ledger, self.partition, done, why, seconds, doubt.entries)
        return done.position

    async def _drain(self, position: Position) -> int:
        """Write what the fenced journal has after this position; return the number of entries."""
        count = 0
        while True:
            raw = await self._kernel.entries(
                self.partition, position.epoch, position.seq + 1, count=self._settings.group_entries
            )
            run, end, _ = next_group(decode_sound(raw)[0], position)
            if not run:
                return count
            await self._write(run, position, end, doubtful=True)
            position, count = end, count + len(run)

    async def _follow(self) -> None:
        """Read and record group after group, for as long as memory is sound."""
        while self._is_recording():
            position = self._at()
            if seconds := self._pace.rest_seconds:
                await asyncio.sleep(seconds)
            raw = await self._kernel.entries(
                self.partition, position.epoch, position.seq,
                count=self._settings.group_entries, block_ms=IDLE_MS,
            )  # fmt: skip
            if not self._is_recording() and not isinstance(self.state, Finished):
                return  # memory was found wrong meanwhile, or the ledger fell back
            if not raw:
                await self._look()
                continue
            self._pace.begin()
            entries, broken = decode_sound(raw)
            run, end, whole = next_group(entries, position)
            if run:
                if self._traces is None:
                    refused = await self._write(run, position, end)
                else:
                    with self._traces.transaction(self.partition, [entry.token for entry in run]):
                        refused = await self._write(run, position, end)
                self.position = end
                await self._announce(run, refused)
                if CROWD <= len(run) < self._settings.group_entries:
                    self._pace.end()
                if refused:
                    self.suspect(f"the ledger refused {len(refused)} of memory's grants")
            if not whole:
                self.suspect(f"the journal does not continue entry {end.epoch}-{end.seq}")
            if broken:
                self.suspect(broken)

    def _at(self) -> Position:
        if self.position is None:
            raise AssertionError("settle comes before follow")
        return self.position

    async def _look(self) -> None:
        """Check, while no entry comes, that memory is still there and where we left it."""
        position = self._at()
        memory, why = await inspect(self._kernel, self.partition, position)
        if memory is not Memory.SOUND:
            self.suspect(why)
        elif position.seq > self._noted_seq:
            await self._announce((), ())

    async def _write(
        self, run: Sequence[Entry], position: Position, end: Position, *, doubtful: bool = False
    ) -> Sequence[ReservationId]:
        """Write a group in one transaction, without what the ledger refuses; return the refused orders.

        Raises:
            Overtaken: another recorder moved the position, or the partition was closed for an operator
                because the ledger lacks a sale or an item of the run.
        """
        try:
            return await self._write_run(run, position, end, doubtful)
        except Unreplayable as error:
            why = f"{error}, and the journal can't restore it: the ledger is older than memory"
            log.error("partition %d: %s", self.partition, why)
            await close_for_operator(self._kernel, self.partition, why, stuck=position)
            raise Overtaken from error

    async def _write_run(
        self, run: Sequence[Entry], position: Position, end: Position, doubtful: bool
    ) -> Sequence[ReservationId]:
        started, where = time.perf_counter(), (self.partition, run, position, end)
        written = write_doubtful(self._ledger, *where) if doubtful else self._together.write(*where)
        applied, drift, refused = await written
        if not applied:
            raise Overtaken
        self._meters.note_group(run, refused, time.perf_counter() - started)
        if drift:
            why = f"memory's counters differ from the ledger's: {', '.join(drift)}"
            log.error("partition %d: %s", self.partition, why)
            self.suspect(why)
        return refused

    async def _announce(self, run: Sequence[Entry], refused: Sequence[ReservationId]) -> None:
        """Tell the waiting callers what is recorded; every 0.1 s, note it in memory and trim the journal."""
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
            Verb.ANNOUNCE, self.partition, [],
            (
                *msgspec.structs.astuple(position), keys.recorded(self.partition), message, note, trim,
                self._kernel.client.sharded,
            ),
        )  # fmt: skip
        if reply.status or reply.results[0] != "announced":
            self.suspect(f"memory lost entry {position.epoch}-{position.seq} after it was recorded")
        elif note:
            self._noted_at, self._noted_seq = now, position.seq

    def _trim_below(self, now: float) -> int:
        """Return the entry below which the journal is trimmed; 0 for none. The position's own entry stays."""
        tail, below = self._tail, self._at().seq - self._settings.journal_tail_entries
        while tail and now - tail[0][0] > self._settings.journal_tail_seconds:
            below = max(below, tail.popleft()[1])
        if below <= self._trimmed:
            return 0
        self._trimmed = below
        return below
