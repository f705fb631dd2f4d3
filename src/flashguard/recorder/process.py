"""One recorder process: takes its share of the partitions, and hands it over when it ends."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import asyncpg

from flashguard.kernel.kernel import Kernel, MemoryAway
from flashguard.ledger import Ledger, LedgerAway
from flashguard.model import Position
from flashguard.settings import Settings

from .catalogue import keep_catalogue
from .expiry import expire_holds
from .meters import Meters
from .partition import PartitionRecorder
from .shares import Roll, share
from .states import Fenced
from .transfers import tend
from .watchdog import NEXT_STEP, Stalls, marks_of

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces

log = logging.getLogger("flashguard.recorder")

BEAT_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 0.25
"""How often a recorder looks who else is there: what a share waits for when its recorder leaves."""
HAND_OVER_SECONDS: Final = 1.0
"""How long one that leaves goes on recording while the others have not begun."""
END_SECONDS: Final = 2.0
"""How long a partition may take to end its group; then it is cancelled, which no promise minds."""
UNKNOWN_SECONDS: Final = 5.0
"""Who can't learn for so long who is there takes all: the position keeps two from applying one group."""
LEDGER_WATCH_SECONDS: Final = 2.0
ABLE_SECONDS: Final = 6.0
"""A recorder to which the ledger did not answer for so long takes no share: others may reach it."""
FORGET_RECORDER_MS: Final = 60_000


class Recorder:
    """Records this process' share of an installation's partitions, and gives ended holds back there.

    As many as you like may run; alone, one takes all. A share is only who tries first: that no two apply one
    group is the position's matter, see `flashguard.recorder.write`.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, settings: Settings, partitions: int) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.meters = Meters()
        self.traces: Traces | None = None
        self._taken: dict[int, PartitionRecorder] = {}
        self._suspects: dict[int, Callable[[str], None]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._partitions = partitions
        self._kernel = kernel
        self._ledger = ledger
        self._settings = settings
        self._ledger_seen = -ABLE_SECONDS
        self._stalls = Stalls()
        self._doubted: set[int] = set()
        """Of the look before: a recorder that doubts its own partition rebuilds it before the next one."""
        self._leaving = asyncio.Event()

    @property
    def partitions(self) -> list[PartitionRecorder]:
        """Those that it records now."""
        return list(self._taken.values())

    @property
    def leaving(self) -> bool:
        """Whether it was told to leave."""
        return self._leaving.is_set()

    def leave(self) -> None:
        """Has `run` hand its partitions over to the other recorders, end the groups in hand, and return."""
        self._leaving.set()

    async def run(self) -> None:
        """Runs until told to leave. Cancelled, it ends at once: a group in hand is then either wholly in the
        ledger or not at all."""
        await self._look_at_the_ledger()
        await self._appear()
        async with asyncio.TaskGroup() as tasks:
            roles = [tasks.create_task(role) for role in (self._beat(), self._take_shares(tasks))]
            duties = (
                self._watch_the_ledger(tasks),
                expire_holds(self._kernel, self._settings, self._suspects),
                keep_catalogue(self._kernel, self._ledger, self._settings, self._suspects),
                tend(self._kernel, self._ledger),
            )
            rest = [tasks.create_task(duty) for duty in duties]
            await self._leaving.wait()
            for role in roles:
                role.cancel()
            await asyncio.wait(roles)
            await self._hand_over()
            for role in rest:
                role.cancel()

    async def _take_shares(self, tasks: asyncio.TaskGroup) -> None:
        """Takes what is ours and gives up what is not, whoever comes and goes."""
        loop = asyncio.get_running_loop()
        roll, known_at = Roll(), loop.time()
        while True:
            try:
                names = roll.note(await self._kernel.sharing(), loop.time())
                known_at = loop.time()
                mine = share(names, self.name, self._partitions) if names else None
            except MemoryAway as error:
                log.debug("who records: %s", error)
                unknown = loop.time() - known_at > UNKNOWN_SECONDS
                mine = frozenset(range(self._partitions)) if unknown else None
            if mine is not None:
                self._take(mine - self._taken.keys(), tasks)
                for number in self._taken.keys() - mine:
                    if not self._taken[number].handing_over:
                        self._taken[number].hand_over()
                        tasks.create_task(self._give_up([number]))
            await asyncio.sleep(LOOK_SECONDS)

    def _take(self, numbers: frozenset[int], tasks: asyncio.TaskGroup) -> None:
        for number in sorted(numbers):
            one = PartitionRecorder(
                number, self._kernel, self._ledger, self._settings, self.meters, self.traces
            )
            self._taken[number], self._suspects[number] = one, one.suspect
            self._tasks[number] = tasks.create_task(one.run())
        if numbers:
            log.info("taking partitions %s", ", ".join(map(str, sorted(numbers))))

    async def _give_up(self, numbers: list[int]) -> None:
        """Records on until another recorder is at it, a little while at most; then ends the group in hand."""
        running = [self._tasks[number] for number in numbers]
        if not running:
            return
        for number in numbers:
            self._taken[number].hand_over()
        await asyncio.wait(running, timeout=HAND_OVER_SECONDS)
        for number in numbers:
            self._taken[number].end()
        _, late = await asyncio.wait(running, timeout=END_SECONDS)
        for task in late:
            task.cancel()
        for number in numbers:
            del self._taken[number], self._suspects[number], self._tasks[number]
        log.info("handed over partitions %s", ", ".join(map(str, sorted(numbers))))

    async def _hand_over(self) -> None:
        """Says that we leave; where somebody stays, our partitions are recorded on until they are taken."""
        alone = True
        try:
            await self._kernel.leave(self.name)
            alone = not Roll().note(await self._kernel.sharing(), 0.0)
        except MemoryAway as error:
            log.debug("leaving: %s", error)
        numbers = [number for number, one in self._taken.items() if not one.handing_over]
        if alone:
            for number in numbers:
                self._taken[number].end()
        await self._give_up(numbers)

    async def _watch_the_ledger(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(LEDGER_WATCH_SECONDS)
            positions = await self._look_at_the_ledger()
            if positions is not None:
                await self._restart_stalled(positions, tasks)

    async def _restart_stalled(self, positions: Mapping[int, Position], tasks: asyncio.TaskGroup) -> None:
        """Restart the task of each partition that records nothing while PostgreSQL answers us."""
        ours = {
            number: positions[number]
            for number, one in self._taken.items()
            if not isinstance(one.state, Fenced) and not one.handing_over
        }
        try:
            marks = await marks_of(self._kernel, ours)
        except MemoryAway as error:
            log.debug("watching for stalled partitions: %s", error)
            return
        stalled = self._stalls.note(marks, asyncio.get_running_loop().time())
        await asyncio.gather(*(self._restart(number, seconds, tasks) for number, seconds in stalled.items()))

    async def _restart(self, number: int, seconds: float, tasks: asyncio.TaskGroup) -> None:
        """Cancel a partition's task and start another one. Compare-and-set on the position keeps that safe,
        even where the old task does not end."""
        one = self._taken.get(number)
        if one is None or one.handing_over:
            return
        log.error(
            "partition %d: nothing was recorded for %.0f s while PostgreSQL answers (its task was %s). Its "
            "task is restarted. %s",
            number, seconds, one.state.label, NEXT_STEP,
        )  # fmt: skip
        self.meters.note_restart()
        self._tasks[number].cancel()
        await asyncio.wait([self._tasks[number]], timeout=END_SECONDS)
        if self._taken.get(number) is one and not one.handing_over:
            self._take(frozenset([number]), tasks)

    async def _look_at_the_ledger(self) -> Mapping[int, Position] | None:
        """Compare the ledger's positions with ours: while nothing is sold, nothing else would notice.

        Return them; None when the ledger does not answer.
        """
        ours = {number: one.position for number, one in self._taken.items()}
        try:
            ledgers = await self._ledger.positions.all()
            doubted = await self._ledger.positions.doubted()
        except (LedgerAway, asyncpg.PostgresError) as error:
            log.debug("the ledger's positions: %s", error)
            return None
        self._ledger_seen = asyncio.get_running_loop().time()
        for number, mine in ours.items():
            if number in self._taken:
                self._taken[number].compare(mine, ledgers[number])
        for number in doubted & self._doubted & self._taken.keys():
            self._taken[number].doubt()
        self._doubted = doubted
        return ledgers

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._appear()

    async def _appear(self) -> None:
        """Says that we run, where readiness, `flashguard doctor` and the other recorders look."""
        able = asyncio.get_running_loop().time() - self._ledger_seen < ABLE_SECONDS
        try:
            await self._kernel.beat(self.name, FORGET_RECORDER_MS, shares=able)
        except MemoryAway as error:
            log.debug("heartbeat: %s", error)
