"""Asks the kernel in batches: one queue per partition and verb."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flashguard.kernel.circuit import Circuits
from flashguard.kernel.coalescer import Coalescer, QueueFull
from flashguard.kernel.errors import MemoryAway, MemoryGone
from flashguard.kernel.kernel import Kernel, new_token
from flashguard.kernel.pace import Pace
from flashguard.kernel.results import Result, read_results
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.model import SaleId, partition_of
from flashguard.settings import Settings
from flashguard.telemetry.metrics import Batches

from .commits import Commits
from .decision import Decision, DecisionStatus, PendingDecision, SameReservation, any_reservation
from .listening import Listening
from .watermark import Watermark

if TYPE_CHECKING:  # OpenTelemetry is an extra
    from flashguard.telemetry.tracing.otel import Traces

log = logging.getLogger("flashguard")

Asked = TypeVar("Asked", bound=PendingDecision)

WARN_SECONDS: Final = 1.0
"""How often the log says that memory refuses: in a crowd, thousands of requests meet the same refusal."""

_STATUS_OF_REPLY: Final = {
    "recovering": DecisionStatus.RECOVERING,
    "overloaded": DecisionStatus.OVERLOADED,
}


class Decisions:
    """The way from a request to a decision, over one kernel and one ledger.

    Parameters:
        partitions: how many partitions the installation has.
        traces: where spans are recorded; None: tracing is off.
        listening: see `Commits`.
    """

    def __init__(
        self,
        kernel: Kernel,
        ledger: Ledger,
        watermark: Watermark,
        settings: Settings,
        partitions: int,
        *,
        traces: "Traces | None" = None,
        listening: Listening | None = None,
    ) -> None:
        self._kernel = kernel
        self._settings = settings
        self._traces = traces
        self._coalescers: dict[tuple[int, Verb], Coalescer[PendingDecision]] = {}
        self._warned_at = -WARN_SECONDS
        self.partitions = partitions
        self.circuits = Circuits(partitions, kernel)
        self.batches = Batches()
        self._commits = Commits(
            kernel, ledger, watermark, self.batches,
            timeout_seconds=settings.record_timeout_seconds, listening=listening,
        )  # fmt: skip

    @property
    def waiting(self) -> int:
        """Return the number of requests in all queues that are in no script call yet."""
        return sum(coalescer.waiting for coalescer in self._coalescers.values())

    def partition(self, sale: SaleId) -> int:
        """Return the partition that the sale lives on."""
        return partition_of(sale, self.partitions)

    def submit(self, asked: Asked, answer: Callable[[Asked, Decision], None]) -> None:
        """Queue a request for the next batch of its partition and verb.

        Parameters:
            answer: called with the request and its decision: with those of its batch, or at once where the
                queue is full. It must not raise, because others of the batch wait.
        """
        asked.answer = answer
        partition, verb = partition_of(asked.sale, self.partitions), asked.verb
        coalescer = self._coalescers.get((partition, verb))
        if coalescer is None:
            coalescer = self._coalescers[partition, verb] = Coalescer(
                partial(self._send, partition, verb),
                max_batch=self._settings.max_batch,
                max_queue=self._settings.max_queue,
                pace=Pace(),
            )
        try:
            coalescer.submit(asked)
        except QueueFull:
            asked.settle(Decision(DecisionStatus.OVERLOADED))

    async def decide(self, asked: PendingDecision) -> Decision:
        """Return the kernel's decision on a request."""
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self.submit(asked, partial(_settle, future))
        if self._traces is not None:
            return await self._traces.deciding(asked.verb, asked, future)
        return await future

    async def decide_all(self, asked: Sequence[PendingDecision]) -> list[Decision]:
        """Return the kernel's decisions on several requests, in their order. They are queued in one turn and
        awaited together."""
        decided: dict[PendingDecision, Decision] = {}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answer(each: PendingDecision, decision: Decision) -> None:
            decided[each] = decision
            if len(decided) == len(asked) and not done.done():
                done.set_result(None)

        for each in asked:
            self.submit(each, answer)
        if asked:
            await done
        return [decided[each] for each in asked]

    def ask(
        self,
        verb: Verb,
        sale: SaleId,
        request: tuple[Any, ...],
        *,
        id_: str = "",
        name: str = "",
        durable: Callable[[Result], bool] | None = None,
        same: SameReservation = any_reservation,
    ) -> Coroutine[Any, Any, Decision]:
        """Return the kernel's decision on one request, made in the next batch of its queue; see
        `PendingDecision` for the parameters."""
        return self.decide(
            PendingDecision(verb, sale, request, id_=id_, name=name, durable=durable, same=same)
        )

    async def _send(self, partition: int, verb: Verb, batch: list[PendingDecision]) -> None:
        if self.circuits.of[partition].open:
            self._settle_all(batch, DecisionStatus.RECOVERING)
            return
        token, recorded = new_token(), None
        traced = None if self._traces is None else self._traces.script_call(verb, partition, batch, token)
        if traced is not None:
            token = traced.token
        started = time.perf_counter()
        try:
            sales: dict[SaleId, int] = {}
            requests = [(sales.setdefault(ask.sale, len(sales)), *ask.request) for ask in batch]
            if any(ask.durable for ask in batch):
                recorded = await self._commits.expect(partition, token)
            async with asyncio.timeout(self._settings.memory_timeout_seconds):
                reply = await self._kernel.run(verb, partition, list(sales), requests, token=token)
        except (MemoryGone, TimeoutError) as error:
            self.circuits.trip(partition, error or f"{verb} timed out")
            self._settle_all(batch, DecisionStatus.RECOVERING)
        except MemoryAway as error:
            if time.monotonic() - self._warned_at > WARN_SECONDS:
                self._warned_at = time.monotonic()
                log.warning("memory refused %s: %s", verb, error)
            self._settle_all(batch, DecisionStatus.RECOVERING)
        except Exception:
            log.exception("%s of %d requests failed", verb, len(batch))
            self._settle_all(batch, DecisionStatus.UNKNOWN)
        else:
            if traced is not None:
                traced.answered(reply.epoch, reply.seq, reply.status)
            if reply.status:
                self._settle_all(batch, _STATUS_OF_REPLY[reply.status])
            else:
                decided = list(zip(batch, read_results(verb, reply.results), strict=True))
                if recorded is not None and self._commits.settle(partition, token, recorded, reply, decided):
                    return
                if recorded is None:
                    for ask, result in decided:
                        ask.settle(Decision(DecisionStatus.DECIDED, result, reply.now_ms))
        finally:
            self.batches.note(verb, len(batch), time.perf_counter() - started)
            if traced is not None:
                traced.end()
        if recorded is not None:
            self._commits.forget(partition, token)

    @staticmethod
    def _settle_all(batch: Sequence[PendingDecision], status: DecisionStatus) -> None:
        for ask in batch:
            ask.settle(Decision(status))

    async def drain(self) -> None:
        """Wait until every request is answered. The caller sends no more."""
        for coalescer in list(self._coalescers.values()):
            await coalescer.drain()
        await self._commits.drain()
        self.circuits.stop()


def _settle(future: "asyncio.Future[Decision]", _: PendingDecision, decision: Decision) -> None:
    """Answer a caller that awaits its decision, unless it has gone."""
    if not future.done():
        future.set_result(decision)
