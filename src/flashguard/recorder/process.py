"""One recorder process: claims its share of the partitions, and hands it over when it ends."""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import asyncpg

from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.model import Position
from flashguard.settings import Settings

from .admission import beat
from .beats import Beats, WaitingOnce, asking
from .catalogue import keep_catalogue
from .expiry import expire_holds
from .guests import Guests
from .meters import Meters
from .partition import PartitionRecorder
from .shared_list import SharedLists
from .shares import Roll, share
from .states import Fenced
from .together import Together
from .transfers import Transfers, repair_spread_sales
from .watchdog import NEXT_STEP, Stalls, marks_of

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces

log = logging.getLogger("flashguard.recorder")

BEAT_SECONDS: Final = 0.5
SHARES_SECONDS: Final = 0.25
"""How often a recorder computes its share: a share waits this long when its recorder leaves."""
HAND_OVER_SECONDS: Final = 1.0
"""How long a recorder that leaves goes on recording while the others have not begun."""
END_SECONDS: Final = 2.0
"""How long a partition may take to end its group; then its task is cancelled, which breaks no promise."""
UNKNOWN_SECONDS: Final = 5.0
"""If the live recorders stay unknown this long, claim every partition. Compare-and-set on the position keeps
that safe."""
LEDGER_WATCH_SECONDS: Final = 2.0
ABLE_SECONDS: Final = 6.0
"""A recorder that PostgreSQL has not answered for this long has no share: others may reach PostgreSQL."""
FORGET_RECORDER_MS: Final = 60_000


class Recorder:
    """Records this process' share of an installation's partitions, and does their other duties.

    Several may run; a single one claims all partitions. A share only says which recorder tries first:
    compare-and-set on the position keeps two from applying one group, see `flashguard.ledger.recording`.
    """

    def __init__(
        self,
        kernel: Kernel,
        ledger: Ledger,
        settings: Settings,
        partitions: int,
        traces: "Traces | None" = None,
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.meters = Meters()
        self._together = Together(ledger)
        self._claimed: dict[int, PartitionRecorder] = {}
        self._suspects: dict[int, Callable[[str], None]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._partitions = partitions
        self._kernel = kernel
        self._ledger = ledger
        self._settings = settings
        self._traces = traces
        self._ledger_seen = -ABLE_SECONDS
        self._stalls = Stalls()
        self._doubted: set[int] = set()
        """As read before: a partition's own recorder rebuilds it before they are read again."""
        self._leaving = asyncio.Event()
        lists = SharedLists(
            asking(kernel, partitions, Verb.SERVE_LIST),
            Transfers(kernel, ledger, partitions).move,
            time.monotonic,
        )
        self._guests = Guests(ledger)
        ask = asking(kernel, partitions, Verb.ADMIT)
        self._rooms = Beats("room", partial(beat, ask, WaitingOnce(ask).ask, self._guests.of))
        self._lists = Beats("waiting list", lists.serve)

    @property
    def partitions(self) -> list[PartitionRecorder]:
        """The partitions that it has claimed."""
        return list(self._claimed.values())

    @property
    def leaving(self) -> bool:
        """Whether it was told to leave."""
        return self._leaving.is_set()

    def leave(self) -> None:
        """Make `run` hand its partitions over to the other recorders, end the groups in hand, and return."""
        self._leaving.set()

    async def run(self) -> None:
        """Run until told to leave. Cancelled, it ends now: a group in hand is then wholly in the ledger, or
        not at all."""
        await self._compare_positions()
        await self._send_heartbeat()
        async with asyncio.TaskGroup() as tasks:
            roles = [tasks.create_task(role) for role in (self._send_heartbeats(), self._claim_shares(tasks))]
            duties = (
                self._watch_ledger(tasks),
                expire_holds(
                    self._kernel, self._settings, self._suspects, self._rooms.note, self._lists.note
                ),
                self._guests.run(),
                self._rooms.run(),
                self._lists.run(),
                keep_catalogue(self._kernel, self._ledger, self._settings, self._suspects),
                repair_spread_sales(self._kernel, self._ledger),
            )
            rest = [tasks.create_task(duty) for duty in duties]
            await self._leaving.wait()
            for role in roles:
                role.cancel()
            await asyncio.wait(roles)
            await self._hand_over()
            for role in rest:
                role.cancel()

    async def _claim_shares(self, tasks: asyncio.TaskGroup) -> None:
        """Claim the partitions of our share and give up the others, while recorders come and go."""
        loop = asyncio.get_running_loop()
        roll, known_at = Roll(), loop.time()
        while True:
            try:
                names = roll.note(await self._kernel.sharing(), loop.time())
                known_at = loop.time()
                mine = share(names, self.name, self._partitions) if names else None
            except MemoryAway as error:
                log.debug("recorder %s: the live recorders are unknown: %s", self.name, error)
                unknown = loop.time() - known_at > UNKNOWN_SECONDS
                mine = frozenset(range(self._partitions)) if unknown else None
            if mine is not None:
                self._claim(mine - self._claimed.keys(), tasks)
                for number in self._claimed.keys() - mine:
                    if not self._claimed[number].handing_over:
                        self._claimed[number].hand_over()
                        tasks.create_task(self._give_up([number]))
            await asyncio.sleep(SHARES_SECONDS)

    def _claim(self, numbers: frozenset[int], tasks: asyncio.TaskGroup) -> None:
        for number in sorted(numbers):
            recorder = PartitionRecorder(
                number, self._kernel, self._ledger, self._settings, self.meters, self._together, self._traces
            )
            self._claimed[number], self._suspects[number] = recorder, recorder.suspect
            self._tasks[number] = tasks.create_task(recorder.run())
        if numbers:
            log.info("recorder %s claims partitions %s", self.name, ", ".join(map(str, sorted(numbers))))

    async def _give_up(self, numbers: list[int]) -> None:
        """Record on until another recorder does, for a moment at most; then end the group in hand."""
        running = [self._tasks[number] for number in numbers]
        if not running:
            return
        for number in numbers:
            self._claimed[number].hand_over()
        await asyncio.wait(running, timeout=HAND_OVER_SECONDS)
        for number in numbers:
            self._claimed[number].end()
        _, late = await asyncio.wait(running, timeout=END_SECONDS)
        for task in late:
            task.cancel()
        for number in numbers:
            del self._claimed[number], self._suspects[number], self._tasks[number]
        log.info("recorder %s handed over partitions %s", self.name, ", ".join(map(str, sorted(numbers))))

    async def _hand_over(self) -> None:
        """Announce that we leave. While other recorders live, record our partitions until they claim them."""
        alone = True
        try:
            await self._kernel.leave(self.name)
            alone = not Roll().note(await self._kernel.sharing(), 0.0)
        except MemoryAway as error:
            log.debug("recorder %s: memory was not told that it leaves: %s", self.name, error)
        numbers = [number for number, recorder in self._claimed.items() if not recorder.handing_over]
        if alone:
            for number in numbers:
                self._claimed[number].end()
        await self._give_up(numbers)

    async def _watch_ledger(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(LEDGER_WATCH_SECONDS)
            positions = await self._compare_positions()
            if positions is not None:
                await self._restart_stalled(positions, tasks)

    async def _restart_stalled(self, positions: Mapping[int, Position], tasks: asyncio.TaskGroup) -> None:
        """Restart the task of each partition that records nothing while PostgreSQL answers us."""
        ours = {
            number: positions[number]
            for number, recorder in self._claimed.items()
            if not isinstance(recorder.state, Fenced) and not recorder.handing_over
        }
        try:
            marks = await marks_of(self._kernel, ours)
        except MemoryAway as error:
            log.debug("recorder %s: cannot watch for stalled partitions: %s", self.name, error)
            return
        stalled = self._stalls.note(marks, asyncio.get_running_loop().time())
        await asyncio.gather(*(self._restart(number, seconds, tasks) for number, seconds in stalled.items()))

    async def _restart(self, number: int, seconds: float, tasks: asyncio.TaskGroup) -> None:
        """Cancel a partition's task and start another one. Compare-and-set on the position keeps that safe,
        even where the old task does not end."""
        recorder = self._claimed.get(number)
        if recorder is None or recorder.handing_over:
            return
        log.error(
            "partition %d: nothing was recorded for %.0f s while PostgreSQL answers (its task was %s). Its "
            "task is restarted. %s",
            number, seconds, recorder.state.label, NEXT_STEP,
        )  # fmt: skip
        self.meters.note_restart()
        self._tasks[number].cancel()
        await asyncio.wait([self._tasks[number]], timeout=END_SECONDS)
        if self._claimed.get(number) is recorder and not recorder.handing_over:
            self._claim(frozenset([number]), tasks)

    async def _compare_positions(self) -> Mapping[int, Position] | None:
        """Compare the ledger's positions with ours; return them, or None when PostgreSQL does not answer.

        While nothing is sold, only this notices a ledger that fell back.
        """
        ours = {number: recorder.position for number, recorder in self._claimed.items()}
        try:
            ledgers = await self._ledger.positions.all()
            doubted = await self._ledger.positions.doubted()
        except (LedgerAway, asyncpg.PostgresError) as error:
            log.debug("recorder %s: cannot read the ledger's positions: %s", self.name, error)
            return None
        self._ledger_seen = asyncio.get_running_loop().time()
        for number, mine in ours.items():
            if number in self._claimed:
                self._claimed[number].compare(mine, ledgers[number])
        for number in doubted & self._doubted & self._claimed.keys():
            self._claimed[number].doubt()
        self._doubted = doubted
        return ledgers

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._send_heartbeat()

    async def _send_heartbeat(self) -> None:
        """Write our heartbeat, which readiness, `flashguard doctor` and the other recorders read."""
        able = asyncio.get_running_loop().time() - self._ledger_seen < ABLE_SECONDS
        try:
            await self._kernel.beat(self.name, FORGET_RECORDER_MS, shares=able)
        except MemoryAway as error:
            log.debug("recorder %s: cannot write its heartbeat: %s", self.name, error)
