"""A hot call on its way from its request to its answer.

A hold and a buy have no task: they are begun when the request has arrived, and answered in the loop over
their batch. Every other call is awaited in a task, and so are these where rate limits or traces are on.
"""

import logging
from collections.abc import Callable
from time import perf_counter

from flashguard.access.rate_limits import Bucket
from flashguard.api.hot_calls import HotCall
from flashguard.api.middleware.rate_limit import headers_of, refusal
from flashguard.api.middleware.request_ids import HEADER, note_access
from flashguard.api.responses.begun import Answer, Begun, Work
from flashguard.api.responses.encoded import Encoded, Header
from flashguard.api.responses.problems import away_problem, problem, unexpected_problem
from flashguard.api.shared import Shared
from flashguard.engine.decision import Decision
from flashguard.engine.selling import Sell
from flashguard.guard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.telemetry.logs import REQUEST_ID

log = logging.getLogger("flashguard")


class HotRequest:
    """A hot call that was begun, until its answer.

    Parameters:
        begun: what the call's first half returned.
        buckets: of the caller's rate limits; None without limits.
        id_: the request's id.
        came: when it came, by `perf_counter`.
    """

    __slots__ = ("_begun", "_buckets", "_call", "_came", "_guard", "_id", "_reply", "_shared")

    def __init__(
        self,
        shared: Shared,
        call: HotCall,
        guard: FlashGuard,
        begun: Begun,
        buckets: list[Bucket] | None,
        id_: bytes,
        came: float,
    ) -> None:
        self._shared = shared
        self._call = call
        self._guard = guard
        self._begun = begun
        self._buckets = buckets
        self._id = id_
        self._came = came

    def start(self, reply: Callable[[Answer], None], headers: list[Header]) -> None:
        """Call `reply` with the answer: at once, or with the answers of its batch. Where more is to be
        awaited than the batch, `reply` gets the work that makes the answer."""
        begun = self._begun
        if self._buckets is not None or self._shared.traces is not None:
            reply(self.answer(headers))
        elif isinstance(begun, Sell):
            self._reply = reply
            del self._begun  # a cycle would wait for the garbage collector, and every buyer with it
            self._guard.decisions.submit(begun, self._decided)
        else:
            reply(self._noted(begun) if isinstance(begun, Encoded) else self._awaited())

    def _decided(self, asked: Sell, decision: Decision) -> None:
        try:
            answer = self._call.finish(self._guard, asked, decision)
        except Exception:
            answer = self._unexpected()
        if isinstance(answer, Encoded):
            self._reply(self._noted(answer))
        else:
            self._begun = lambda: answer
            self._reply(self._awaited())

    def answer(self, headers: list[Header]) -> Work:
        """Return the work that makes the answer, in a span of its own where requests are traced."""
        traces = self._shared.traces
        if traces is None:
            return self._awaited()
        return traces.answering(self._awaited(), self._call.method, self._call.path, headers)

    async def _awaited(self) -> Encoded:
        """Return the call's answer, the refusal of a caller over its limit, or the problem that the framework
        would make of an error."""
        REQUEST_ID.set(self._id)
        guard, begun = self._guard, self._begun
        try:
            allowance = None if self._buckets is None else await guard.rates.spend(self._buckets)
            if allowance is not None and allowance.wait_seconds > 0:
                response = problem(refusal(allowance))
            else:
                response = await self._answer_of(begun)
            if allowance is not None:
                response.more += headers_of(guard.rates, allowance)
        except (MemoryAway, LedgerAway) as error:
            response = away_problem(error)
        except Exception:
            response = self._unexpected()
        return self._noted(response)

    async def _answer_of(self, begun: Begun) -> Encoded:
        if isinstance(begun, Encoded):
            return begun
        if not isinstance(begun, Sell):
            return await begun()
        guard = self._guard
        answer = self._call.finish(guard, begun, await guard.decisions.decide(begun))
        return answer if isinstance(answer, Encoded) else await answer

    def _unexpected(self) -> Encoded:
        before = REQUEST_ID.set(self._id)
        log.exception("unexpected error in %s %s", self._call.method, self._call.path)
        REQUEST_ID.reset(before)
        return unexpected_problem()

    def _noted(self, response: Encoded) -> Encoded:
        """Give the answer its request's id, count it, and log it where that is enabled."""
        shared, call, status = self._shared, self._call, response.status_code
        response.more.append((HEADER, self._id))
        shared.answers.note(call.path, status, perf_counter() - self._came)
        if shared.settings.access_log:
            before = REQUEST_ID.set(self._id)  # also called where the answers of a whole batch are made
            note_access(call.method, call.path, status, self._came)
            REQUEST_ID.reset(before)
        return response
