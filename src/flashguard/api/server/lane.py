"""The lane: answers the hot calls without the framework's routing and dependency machinery.

Each hot call is defined once, in `hot_calls.py`: the same pydantic model checks the body, the same function
does the work, and the same code encodes the answer. The lane takes only plain, valid requests. It hands any
other (an unusual header, a body that does not validate, a bad key) unchanged to the framework, which answers
it like every other request. So the lane has no refusals of its own and the two can't differ: a test sends
every kind of request through both and compares the bytes.
"""

import logging
from time import perf_counter
from typing import Any, Final

from pydantic import ValidationError
from starlette.responses import Response

from flashguard.access.rate_limits import Bucket
from flashguard.api.access import ANONYMOUS, Caller
from flashguard.api.hot_calls import HotCall, Match, Work
from flashguard.api.middleware.rate_limit import customer_bucket, headers_of, refusal
from flashguard.api.middleware.request_ids import HEADER, note_access, request_id
from flashguard.api.responses.problems import RefusedError, away_problem, problem, unexpected_problem
from flashguard.api.sale_reads import conditions_of
from flashguard.api.schemas.bodies import surely_plain
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.shared import Shared
from flashguard.guard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.settings import Mode
from flashguard.telemetry.logs import REQUEST_ID

log = logging.getLogger("flashguard")

PLAIN_JSON: Final = (b"application/json", b"application/json; charset=utf-8")
Headers = list[tuple[bytes, bytes]]


class Lane:
    """The lane of one process, for the HTTP server and for AWS Lambda. Plans calls only while the process is
    connected."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        settings = shared.settings
        self.max_body_bytes = settings.max_body_bytes
        self._answers = shared.answers
        self._access_log = settings.access_log
        self._traces = shared.traces
        self._callers = shared.callers
        self._cors = bool(settings.cors_origins)
        """Whether browsers' answers need headers that only the framework adds; else `Origin` does not
        matter."""
        self._anonymous = None if settings.mode is Mode.PRODUCTION else ANONYMOUS
        self._limits = shared.limits
        self._answers_at_once = not (self._limits.on or self._access_log or self._traces)
        """Whether an answer may be made without a task: nothing is to be asked, logged or traced."""

    def plan(
        self, match: Match, headers: Headers, body: bytes, peer: tuple[str, int] | None = None
    ) -> Work | Response | None:
        """Return the work of a plain, valid hot call, or already its answer; None where the framework must
        answer.

        Parameters:
            headers: names in lower case.
            peer: address and port at the other end of the connection.
        """
        came = perf_counter()
        call, names = match
        authorization = key = kind = asked = None
        for name, value in headers:
            if name == b"idempotency-key":
                if key is not None:
                    return None
                key = value
            elif name == b"authorization":
                if authorization is not None:
                    return None
                authorization = value
            elif name == b"content-type":
                kind = value
            elif name == HEADER:
                asked = value
            elif name == b"content-encoding" or (self._cors and name == b"origin"):
                return None
        caller = self._anonymous if authorization is None else self._callers.identify(authorization)
        if not isinstance(caller, Caller) or not (caller is ANONYMOUS or call.right.allows(caller)):
            return None
        arguments: list[Any] = list(names)
        basket = None
        try:
            if call.read_body is None:
                if body:
                    return None
            else:
                if kind not in PLAIN_JSON:
                    return None
                basket = call.read_body(body)
                if not surely_plain(body, 2 + 2 * len(basket.items)):
                    return None
                arguments.append(basket)
            if call.has_key:
                arguments.append(valid_key(None if key is None else key.decode("latin-1")))
        except (RefusedError, ValidationError):
            return None
        guard = self._shared.guard
        if guard is None:
            return None
        if call.at_once is not None:
            arguments.append(conditions_of(headers))
            if self._answers_at_once:
                response = call.at_once(guard, caller, *arguments)
                if response is not None:
                    return self._finished(call, response, request_id(asked), came)
        buckets = None
        if self._limits.on:
            buckets = self._limits.buckets(peer[0] if peer else None, headers, caller)
            if basket is not None and caller.customer is None:
                buckets.append(customer_bucket(guard, basket.customer))
        answer = self._answer(call, guard, caller, arguments, buckets, came, asked)
        if self._traces is None:
            return answer
        return self._traces.answering(answer, call.method, call.path, headers)

    async def _answer(
        self,
        call: HotCall,
        guard: FlashGuard,
        caller: Caller,
        arguments: list[Any],
        buckets: list[Bucket] | None,
        came: float,
        asked: bytes | None,
    ) -> Response:
        """Return the call's answer, the refusal of a caller over its limit, or the problem that the framework
        would make of an error."""
        name = request_id(asked)
        REQUEST_ID.set(name)
        try:
            allowance = None if buckets is None else await guard.rates.spend(buckets)
            if allowance is not None and allowance.wait_seconds > 0:
                response = problem(refusal(allowance))
            else:
                response = await call.handle(guard, caller, *arguments)
            if allowance is not None:
                response.raw_headers += headers_of(guard.rates, allowance)
        except (MemoryAway, LedgerAway) as error:
            response = away_problem(error)
        except Exception:
            log.exception("unexpected error in %s %s", call.method, call.path)
            response = unexpected_problem()
        return self._finished(call, response, name, came)

    def _finished(self, call: HotCall, response: Response, name: bytes, came: float) -> Response:
        """Return an answer with its request's id, counted and logged."""
        response.raw_headers.append((HEADER, name))
        self._answers.note(call.path, response.status_code, perf_counter() - came)
        if self._access_log:
            note_access(call.method, call.path, response.status_code, came)
        return response
