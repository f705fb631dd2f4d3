"""Asks the kernel in batches and, where the promise needs it, waits until the ledger has the answer."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from flashguard.journal import Recorded, Watermark, decode_sound
from flashguard.kernel import keys
from flashguard.kernel.circuit import Circuits
from flashguard.kernel.coalescer import Coalescer, QueueFull
from flashguard.kernel.kernel import Kernel, MemoryAway, MemoryGone, Reply, Verb, new_token
from flashguard.ledger import Ledger, LedgerAway, RecordedReservation
from flashguard.model import SaleId, partition_of
from flashguard.settings import Settings
from flashguard.telemetry.metrics import Batches

from .listening import Listening

if TYPE_CHECKING:  # OpenTelemetry is an extra
    from opentelemetry.trace import Span

    from flashguard.telemetry.tracing.otel import Traces

log = logging.getLogger("flashguard")

LEDGER_CHECK_SECONDS: Final = 1.0
"""How long a waiter relies on announcements before it asks the ledger itself."""


WARN_SECONDS: Final = 1.0
"""How often the log says that memory refuses: a crowd meets the same refusal."""


class Fate(Enum):
    """What became of a decision."""

    DECIDED = auto()
    """Answered by memory; where the promise needs it, also committed in the ledger."""
    REFUSED_BY_LEDGER = auto()
    LOST = auto()
    """Memory forgot it before it was recorded: nothing happened, the request may be made again."""
    UNKNOWN = auto()
    """No answer in time. The idempotency key tells the outcome later."""
    RECOVERING = auto()
    OVERLOADED = auto()


class Decision:
    """One request's answer: the kernel's result (empty unless DECIDED) and its fate."""

    __slots__ = ("fate", "now_ms", "result")

    def __init__(self, fate: Fate, result: list[Any], now_ms: int = 0) -> None:
        self.fate = fate
        self.result = result
        self.now_ms = now_ms


Same = Callable[[list[Any], RecordedReservation], bool]
"""Tells from the kernel's result whether an order of the ledger is the one that was asked for: a memory that
lost its history may grant a key again that the ledger has for another basket."""


def _any_order(_: list[Any], __: RecordedReservation) -> bool:
    return True


class _Ask:
    __slots__ = ("durable", "future", "id", "name", "request", "sale", "same", "span")

    def __init__(
        self,
        sale: SaleId,
        id_: str,
        name: str,
        request: tuple[Any, ...],
        durable: Callable[[list[Any]], bool] | None,
        same: Same,
        future: "asyncio.Future[Decision]",
    ) -> None:
        self.sale = sale
        self.id = id_
        self.name = name or id_
        self.request = request
        self.durable = durable
        self.same = same
        self.future = future
        self.span: Span | None = None

    def settle(self, decision: Decision) -> None:
        if not self.future.done():
            self.future.set_result(decision)


_STATUS_FATE: Final = {"recovering": Fate.RECOVERING, "overloaded": Fate.OVERLOADED}


class Decisions:
    """One coalescer per partition and verb, over one kernel, one ledger and one watermark."""

    def __init__(
        self, kernel: Kernel, ledger: Ledger, watermark: Watermark, settings: Settings, partitions: int
    ) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._watermark = watermark
        self._settings = settings
        self.partitions = partitions
        self._coalescers: dict[tuple[int, Verb], Coalescer[_Ask]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._warned_at = -WARN_SECONDS
        self.circuits = Circuits(partitions, kernel)
        self.batches = Batches()
        self.traces: Traces | None = None
        self.listening: Listening | None = None
        """Of a process that does not hear all announcements all the time."""

    @property
    def waiting(self) -> int:
        """Requests in all queues that are in no script call yet."""
        return sum(coalescer.waiting for coalescer in self._coalescers.values())

    def partition(self, sale: SaleId) -> int:
        return partition_of(sale, self.partitions)

    async def ask(
        self,
        verb: Verb,
        sale: SaleId,
        request: tuple[Any, ...],
        *,
        id_: str = "",
        name: str = "",
        durable: Callable[[list[Any]], bool] | None = None,
        same: Same = _any_order,
    ) -> Decision:
        """One request to the kernel, in whatever batch comes next.

        Parameters:
            request: what the verb takes, without the sale's index.
            id_: the reservation it is about, to ask the ledger for.
            name: what the recorder calls it where it is about no reservation: the key, or the entry's id.
            durable: tells from the kernel's result whether the answer must wait for the ledger.
            same: tells whether an order that the ledger has under this id is the one asked for.
        """
        partition = self.partition(sale)
        coalescer = self._coalescers.get((partition, verb))
        if coalescer is None:
            coalescer = self._coalescers[partition, verb] = Coalescer(
                lambda batch: self._send(partition, verb, batch),
                max_batch=self._settings.max_batch,
                max_queue=self._settings.max_queue,
            )
        ask = _Ask(sale, id_, name, request, durable, same, asyncio.get_running_loop().create_future())
        try:
            coalescer.submit(ask)
        except QueueFull:
            return Decision(Fate.OVERLOADED, [])
        if self.traces is not None:
            return await self.traces.deciding(verb, ask, ask.future)
        return await ask.future

    async def _send(self, partition: int, verb: Verb, batch: list[_Ask]) -> None:
        if self.circuits.of[partition].open:
            self._settle_all(batch, Fate.RECOVERING)
            return
        token, recorded = new_token(), None
        traced = None if self.traces is None else self.traces.script_call(verb, partition, batch, token)
        if traced is not None:
            token = traced.token
        started = time.perf_counter()
        try:
            sales: dict[SaleId, int] = {}
            requests = [(sales.setdefault(ask.sale, len(sales)), *ask.request) for ask in batch]
            if any(ask.durable for ask in batch):
                recorded = self._watermark.expect(token)
                if self.listening is not None:
                    await self.listening.begin(keys.recorded(partition))
            async with asyncio.timeout(self._settings.memory_timeout_seconds):
                reply = await self._kernel.run(verb, partition, list(sales), requests, token=token)
        except (MemoryGone, TimeoutError) as error:
            self.circuits.trip(partition, error or f"{verb} timed out")
            self._settle_all(batch, Fate.RECOVERING)
        except MemoryAway as error:
            if time.monotonic() - self._warned_at > WARN_SECONDS:
                self._warned_at = time.monotonic()
                log.warning("memory refused %s: %s", verb, error)
            self._settle_all(batch, Fate.RECOVERING)
        except Exception:
            log.exception("%s of %d requests failed", verb, len(batch))
            self._settle_all(batch, Fate.UNKNOWN)
        else:
            if traced is not None:
                traced.answered(reply.epoch, reply.seq, reply.status)
            if reply.status:
                self._settle_all(batch, _STATUS_FATE[reply.status])
            elif recorded is not None and self._split(partition, token, recorded, reply, batch):
                return
            else:
                for ask, result in zip(batch, reply.results, strict=True):
                    ask.settle(Decision(Fate.DECIDED, result, reply.now_ms))
        finally:
            self.batches.note(verb, len(batch), time.perf_counter() - started)
            if traced is not None:
                traced.end()
        if recorded is not None:
            self._forget(partition, token)

    def _forget(self, partition: int, token: str) -> None:
        self._watermark.forget(token)
        if self.listening is not None:
            self.listening.end(keys.recorded(partition))

    @staticmethod
    def _settle_all(batch: Sequence[_Ask], fate: Fate) -> None:
        for ask in batch:
            ask.settle(Decision(fate, []))

    def _split(
        self,
        partition: int,
        token: str,
        recorded: "asyncio.Future[Recorded]",
        reply: Reply,
        batch: list[_Ask],
    ) -> bool:
        """Settles what needs no ledger; the rest waits in a task of its own. False when nothing waits."""
        waiting: list[tuple[_Ask, list[Any]]] = []
        for ask, result in zip(batch, reply.results, strict=True):
            if ask.durable is not None and ask.durable(result):
                waiting.append((ask, result))
            else:
                ask.settle(Decision(Fate.DECIDED, result, reply.now_ms))
        if not waiting:
            return False
        task = asyncio.get_running_loop().create_task(
            self._wait_for_ledger(partition, token, recorded, reply, waiting)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _wait_for_ledger(
        self,
        partition: int,
        token: str,
        recorded: "asyncio.Future[Recorded]",
        reply: Reply,
        waiting: list[tuple[_Ask, list[Any]]],
    ) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        deadline = since + self._settings.record_timeout_seconds
        try:
            while waiting and loop.time() < deadline:
                await asyncio.wait([recorded], timeout=min(LEDGER_CHECK_SECONDS, deadline - loop.time()))
                if recorded.done():
                    fate = recorded.result()
                    if (fate.epoch, fate.seq) == (reply.epoch, reply.seq):
                        self.batches.ledger_wait.note(loop.time() - since)
                        for ask, result in waiting:
                            refused = f"{ask.sale}.{ask.name}" in fate.refused
                            ask.settle(
                                Decision(
                                    Fate.REFUSED_BY_LEDGER if refused else Fate.DECIDED, result, reply.now_ms
                                )
                            )
                        waiting = []
                        return
                with contextlib.suppress(TimeoutError, LedgerAway, MemoryAway):
                    async with asyncio.timeout_at(deadline):
                        waiting = await self._ask_ledger(partition, token, reply, waiting)
        except Exception:
            log.exception("waiting for entry %d-%d of partition %d", reply.epoch, reply.seq, partition)
        finally:
            self._forget(partition, token)
            self._settle_all([ask for ask, _ in waiting], Fate.UNKNOWN)

    async def _ask_ledger(
        self, partition: int, token: str, reply: Reply, waiting: list[tuple[_Ask, list[Any]]]
    ) -> list[tuple[_Ask, list[Any]]]:
        """No announcement came: which of these does the ledger have? Returns those still open."""
        position = await self._ledger.position(partition)
        noted = position.epoch == reply.epoch and await self._noted(partition, token, reply)
        orders = await self._ledger.recorded([(ask.sale, ask.id) for ask, _ in waiting])
        # Past our entry's id, in whatever history: what the ledger does not have by now, it never will.
        past = (position.epoch, position.seq) >= (reply.epoch, reply.seq)
        still: list[tuple[_Ask, list[Any]]] = []
        for ask, result in waiting:
            order = orders.get((ask.sale, ask.id))
            if order is not None and ask.same(result, order):
                fate = Fate.DECIDED
            elif noted:
                fate = Fate.REFUSED_BY_LEDGER if ask.id else Fate.DECIDED
            elif position.epoch > reply.epoch or (ask.id and past):
                fate = Fate.LOST
            else:
                still.append((ask, result))
                continue
            ask.settle(Decision(fate, result if fate is Fate.DECIDED else [], reply.now_ms))
        return still

    async def _noted(self, partition: int, token: str, reply: Reply) -> bool:
        """Whether memory says that our entry is in the ledger: it has that very entry, and one after it, or
        itself, was noted as recorded."""
        head = await self._kernel.head(partition)
        if int(head.get("epoch", 0)) != reply.epoch or int(head.get("recorded", 0)) < reply.seq:
            return False
        entries, _ = decode_sound(await self._kernel.entries(partition, reply.epoch, reply.seq, count=1))
        return bool(entries) and (entries[0].seq, entries[0].token) == (reply.seq, token)

    async def drain(self) -> None:
        """Waits until everything asked so far is answered; nothing is asked afterwards."""
        for coalescer in list(self._coalescers.values()):
            await coalescer.drain()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self.circuits.stop()
