"""The express lane: the few hot calls, without the framework's routing and dependency machinery.

There is one definition of every call: the same pydantic model checks the body, the same function of
`selling` does the work, and the same code encodes the answer. A request that is anything but plain and
good (an unusual header, a body that does not validate, a bad key) is handed on unchanged to the
framework, which answers it as it answers everything else. So the lane never has a refusal of its own, and
the two lanes can't differ: a test sends every kind of request through both and compares.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from flashguard.guard import FlashGuard
from flashguard.kernel.kernel import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import is_sale_id, split_reservation_id
from flashguard.settings import Settings

from . import selling
from .auth import may_buy
from .idempotency import valid_key
from .problems import ProblemError, away_problem, unexpected_problem
from .schemas import BasketBody

log = logging.getLogger("flashguard")

_basket: Final = BasketBody.__pydantic_validator__.validate_json

Take = Callable[[FlashGuard, str, BasketBody, str | None], Awaitable[Response]]
End = Callable[[FlashGuard, str], Awaitable[Response]]

TAKES: Final[dict[str, tuple[Take, str]]] = {
    "reservations": (selling.reserve, "/v1/sales/{sale}/reservations"),
    "orders": (selling.buy, "/v1/sales/{sale}/orders"),
}
ENDS: Final[dict[str, tuple[End, str]]] = {
    "confirm": (selling.confirm, "/v1/reservations/{id}/confirm"),
    "release": (selling.release, "/v1/reservations/{id}/release"),
}
PLAIN_JSON: Final = (b"application/json", b"application/json; charset=utf-8")


class Headers:
    """The three headers that the hot calls look at."""

    __slots__ = ("authorization", "idempotency_key", "length", "plain", "typed")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.authorization: str | None = None
        self.idempotency_key: str | None = None
        self.length = 0
        self.typed = False
        self.plain = True
        """False: something that only the framework should answer."""
        for name, value in raw:
            if name == b"idempotency-key":
                self.plain = self.plain and self.idempotency_key is None
                self.idempotency_key = value.decode("latin-1")
            elif name == b"authorization":
                self.plain = self.plain and self.authorization is None
                self.authorization = value.decode("latin-1")
            elif name == b"origin":
                self.plain = False  # CORS is the framework's
            elif name == b"content-type":
                self.typed = value in PLAIN_JSON
            elif name == b"content-length":
                self.length = int(value) if value.isdigit() else -1


class Express:
    """An ASGI front door that answers the hot calls itself and hands everything else on.

    Parameters:
        app: the framework's lane; its settings, guard and counts are shared.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._settings: Settings = app.state.settings
        self._counts: Counter[tuple[str, int]] = app.state.counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
            await self.app(scope, receive, send)
            return
        parts = scope["path"].split("/")
        replay = receive
        answer: tuple[Response, str] | None = None
        if len(parts) == 5 and parts[1] == "v1" and parts[2] == "sales" and parts[4] in TAKES:
            body = Body(receive, self._settings.max_body_bytes)
            replay = body.replay
            answer = await self._take(scope, parts[3], parts[4], body)
        elif len(parts) == 5 and parts[1] == "v1" and parts[2] == "reservations" and parts[4] in ENDS:
            answer = await self._end(scope, parts[3], parts[4])
        if answer is None:
            await self.app(scope, replay, send)
            return
        response, route = answer
        self._counts[route, response.status_code] += 1
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        await send({"type": "http.response.body", "body": response.body})

    async def _take(self, scope: Scope, sale: str, noun: str, body: "Body") -> tuple[Response, str] | None:
        headers = Headers(scope["headers"])
        if not (headers.plain and headers.typed and 0 <= headers.length <= self._settings.max_body_bytes):
            return None
        if not is_sale_id(sale):
            return None
        try:
            may_buy(self._settings, headers.authorization)
            key = valid_key(headers.idempotency_key)
            raw = await body.whole()
            if raw is None:
                return None
            basket = _basket(raw)
        except (ProblemError, ValidationError):
            return None
        function, route = TAKES[noun]
        return await _answer(function(self.app.state.guard, sale, basket, key)), route

    async def _end(self, scope: Scope, id_: str, verb: str) -> tuple[Response, str] | None:
        headers = Headers(scope["headers"])
        if not headers.plain or headers.length or split_reservation_id(id_) is None:
            return None
        try:
            may_buy(self._settings, headers.authorization)
        except ProblemError:
            return None
        function, route = ENDS[verb]
        return await _answer(function(self.app.state.guard, id_)), route


async def _answer(work: Awaitable[Response]) -> Response:
    """The work's answer, or the problem that the framework's lane makes of its error."""
    try:
        return await work
    except (MemoryAway, LedgerAway) as error:
        return away_problem(error)
    except Exception:
        log.exception("a call failed")
        return unexpected_problem()


class Body:
    """A request's body, read once; what was read can be handed on to the framework.

    Parameters:
        max_bytes: beyond it reading stops, and the framework's lane refuses.
    """

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._taken: list[Message] = []

    async def whole(self) -> bytes | None:
        """The body; None when it is too long or the client went away."""
        message = await self._receive()
        self._taken.append(message)
        if message["type"] != "http.request":
            return None
        first: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return first if len(first) <= self._max_bytes else None
        parts, size = [first], len(first)
        while message.get("more_body") and size <= self._max_bytes:
            message = await self._receive()
            self._taken.append(message)
            if message["type"] != "http.request":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        return b"".join(parts) if size <= self._max_bytes else None

    async def replay(self) -> Message:
        """What was read so far, then what comes."""
        return self._taken.pop(0) if self._taken else await self._receive()
