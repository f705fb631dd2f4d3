"""The express lane: the few hot calls, without the framework's routing and dependency machinery.

There is one definition of every call: the same pydantic model checks the body, the same function of
`selling` does the work, and the same code encodes the answer. A request that is anything but plain and
good (an unusual header, a body that does not validate, a bad key) is handed on unchanged to the
framework, which answers it as it answers everything else. So the lane never has a refusal of its own, and
the two lanes can't differ: a test sends every kind of request through both and compares.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import ValidationError
from starlette.responses import Response

from flashguard.access.rate_limits import Bucket
from flashguard.api import hot_calls as selling
from flashguard.api.access import ANONYMOUS, LOOKS, SELLS, Caller, Callers
from flashguard.api.hot_calls import TICKET, look
from flashguard.api.middleware.rate_limit import Limits, in_time
from flashguard.api.middleware.request_ids import HEADER, note_access, request_id
from flashguard.api.responses.problems import ProblemError, away_problem, unexpected_problem
from flashguard.api.schemas.bodies import BasketBody, surely_plain
from flashguard.api.schemas.idempotency import valid_key
from flashguard.guard import FlashGuard
from flashguard.kernel.kernel import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import RateKind, is_sale_id, split_reservation_id
from flashguard.settings import Mode, Settings
from flashguard.telemetry.logs import REQUEST_ID
from flashguard.telemetry.metrics import Answers

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces

log = logging.getLogger("flashguard")

_basket: Final = BasketBody.__pydantic_validator__.validate_json

Take = Callable[[FlashGuard, Caller, str, BasketBody, str | None], Awaitable[Response]]
End = Callable[[FlashGuard, Caller, str], Awaitable[Response]]
Call = Coroutine[Any, Any, Response]

TAKES: Final[dict[str, tuple[Take, str]]] = {
    "reservations": (selling.reserve, "/v1/sales/{sale}/reservations"),
    "orders": (selling.buy, "/v1/sales/{sale}/orders"),
}
ENDS: Final[dict[str, tuple[End, str]]] = {
    "confirm": (selling.confirm, "/v1/reservations/{id}/confirm"),
    "release": (selling.release, "/v1/reservations/{id}/release"),
}
PLAIN_JSON: Final = (b"application/json", b"application/json; charset=utf-8")
TICKETS: Final = b"/tickets/"
"""In the address of a look at a ticket; what a crowd in a waiting room does."""
ENDINGS: Final = tuple(f"/{noun}".encode() for noun in (*TAKES, *ENDS))
"""How the address of a hot call ends."""


class Path(NamedTuple):
    """A hot call's path: what is taken in which sale, or which reservation is ended, looked at, extended."""

    take: Take | None
    end: End | None
    name: str
    route: str
    extends: bool = False
    method: str = "POST"


def path_of(url: bytes) -> Path | None:
    """What a hot call's address asks for; None for any other, also when it only looks unusual."""
    parts = url.decode("latin-1").split("/")
    if len(parts) != 5 or parts[0] or parts[1] != "v1":
        return None
    _, _, noun, name, verb = parts
    if noun == "sales" and verb in TAKES and is_sale_id(name):
        take, route = TAKES[verb]
        return Path(take, None, name, route)
    if noun == "reservations" and verb in ENDS and split_reservation_id(name) is not None:
        end, route = ENDS[verb]
        return Path(None, end, name, route)
    if noun == "reservations" and verb == "extend" and split_reservation_id(name) is not None:
        return Path(None, None, name, "/v1/reservations/{id}/extend", extends=True)
    return None


_path_of_sale = lru_cache(maxsize=4096)(path_of)
"""Few sales, many buyers. Reservations are not worth remembering: each is asked for once or twice."""


def path_of_ticket(url: bytes) -> Path | None:
    """The ticket that a GET of this address looks at; None for any other address."""
    parts = url.decode("latin-1").split("/")
    if len(parts) != 6 or parts[:3] != ["", "v1", "sales"] or parts[4] != "tickets":
        return None
    if not is_sale_id(parts[3]) or not TICKET.fullmatch(parts[5]):
        return None
    return Path(None, look, f"{parts[3]}/{parts[5]}", "/v1/sales/{sale}/tickets/{ticket}", method="GET")


def path_of_reservation(url: bytes) -> Path | None:
    """The reservation that a GET of this address looks at; None for any other address."""
    parts = url.decode("latin-1").split("/")
    if len(parts) != 4 or parts[:3] != ["", "v1", "reservations"] or split_reservation_id(parts[3]) is None:
        return None
    return Path(None, selling.read, parts[3], "/v1/reservations/{id}", method="GET")


class Lane:
    """The lane, for whoever takes requests off a wire.

    Parameters:
        shared: what it has in common with the framework's lane: `settings`, `answers`, `traces`, `callers`,
            `limits`, and the `guard`, once there is one.
    """

    def __init__(self, shared: Any) -> None:
        self._shared = shared
        settings: Settings = shared.settings
        self.max_body_bytes = settings.max_body_bytes
        self._answers: Answers = shared.answers
        self._access_log = settings.access_log
        self._traces: Traces | None = shared.traces
        self._callers: Callers = shared.callers
        self._cors = bool(settings.cors_origins)
        """Whether browsers' answers need headers, which the framework adds; else `Origin` says nothing."""
        self._nobody = None if settings.mode is Mode.PRODUCTION else ANONYMOUS
        self._limits: Limits = shared.limits

    def plan(
        self,
        url: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        peer: tuple[str, int] | None = None,
        *,
        looks: bool = False,
    ) -> Call | None:
        """The work of a call that is plain and good; None when it is for the framework to answer.

        Parameters:
            headers: names in lower case.
            peer: who is at the other end of the connection.
            looks: a GET of something else than a ticket.
        """
        came = perf_counter()
        if TICKETS in url:
            path = path_of_ticket(url)
        elif looks:
            path = path_of_reservation(url)
        else:
            path = _path_of_sale(url) if url.startswith(b"/v1/sales/") else path_of(url)
        if path is None:
            return None
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
        caller = self._nobody if authorization is None else self._callers.of(authorization)
        rights = LOOKS if looks else SELLS
        if not isinstance(caller, Caller) or not (caller is ANONYMOUS or rights.lets(caller)):
            return None
        guard: FlashGuard = self._shared.guard
        if path.take is None:
            if body:
                return None
            if path.end is not None:
                work = path.end(guard, caller, path.name)
            else:
                try:
                    named = valid_key(None if key is None else key.decode("latin-1"))
                except ProblemError:
                    return None
                work = selling.extend(guard, caller, path.name, named)
            if self._limits.on:
                buckets = self._limits.buckets(peer[0] if peer else None, headers, caller)
                work = in_time(guard.rates, buckets, work)
            return self._call(work, path, came, asked, headers)
        if kind not in PLAIN_JSON:
            return None
        try:
            named = valid_key(None if key is None else key.decode("latin-1"))
            basket = _basket(body)
        except (ProblemError, ValidationError):
            return None
        if not surely_plain(body, 2 + 2 * len(basket.items)):
            return None
        work = path.take(guard, caller, path.name, basket, named)
        if self._limits.on:
            buckets = self._limits.buckets(peer[0] if peer else None, headers, caller)
            if caller.customer is None:
                customer = guard.customer_of(basket.customer) or basket.customer
                buckets.append(Bucket(RateKind.CUSTOMER, customer))
            work = in_time(guard.rates, buckets, work)
        return self._call(work, path, came, asked, headers)

    def _call(
        self,
        work: Awaitable[Response],
        path: Path,
        came: float,
        asked: bytes | None,
        headers: list[tuple[bytes, bytes]],
    ) -> Call:
        call = self._answer(work, path, came, asked)
        if self._traces is None:
            return call
        return self._traces.answering(call, path.method, path.route, headers)

    async def _answer(
        self, work: Awaitable[Response], path: Path, came: float, asked: bytes | None
    ) -> Response:
        """The work's answer, or the problem that the framework's lane makes of its error."""
        name = request_id(asked)
        REQUEST_ID.set(name)
        try:
            response = await work
        except (MemoryAway, LedgerAway) as error:
            response = away_problem(error)
        except Exception:
            log.exception("a call failed")
            response = unexpected_problem()
        response.raw_headers.append((HEADER, name))
        self._answers.note(path.route, response.status_code, perf_counter() - came)
        if self._access_log:
            note_access(path.method, path.route, response.status_code, came)
        return response
