"""An id for every request: the caller's own (`X-Request-Id`) where it is safe, else a new one.

The answer returns it in the same header, and every log line of the request carries it. It is not in the body
of a problem, because all sold-out answers share the same bytes, encoded once.
"""

import asyncio
import logging
import re
import secrets
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flashguard.telemetry.logs import REQUEST_ID

from .tracing import Traced

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces

HEADER: Final = b"x-request-id"
_SAFE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
"""Ids that can't break a log line, a header or a label."""
_prefix = secrets.token_hex(6).encode()
_number: Final = count(1).__next__

log = logging.getLogger("flashguard.access")


def request_id(sent: bytes | None) -> bytes:
    """Return the caller's id, or a new one that is unique across processes."""
    if sent is not None and _SAFE(sent):
        return sent
    return b"%s-%x" % (_prefix, _number())


def renew() -> None:
    """Make new ids differ from those of another process that was restored from the same snapshot."""
    global _prefix
    _prefix = secrets.token_hex(6).encode()


def note_access(method: str, route: str, status: int, came: float) -> None:
    """Log one line per answer. It names the route's template, because addresses may hold private data."""
    duration_ms = round((perf_counter() - came) * 1000, 2)
    log.info(
        "%s %s %d in %s ms", method, route, status, duration_ms,
        extra={"method": method, "route": route, "status": status, "duration_ms": duration_ms},
    )  # fmt: skip


class RequestIds:
    """The framework's middleware: gives each request an id, returns it, and writes the access log if
    enabled."""

    def __init__(self, app: ASGIApp, access_log: bool, traces: "Traces | None" = None) -> None:
        self.app = app if traces is None else Traced(app, traces)
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        came = perf_counter()
        name = request_id(dict(scope["headers"]).get(HEADER))
        REQUEST_ID.set(name)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, name)]
                if self._access_log:
                    route = getattr(scope.get("route"), "path_format", "unmatched")
                    note_access(scope["method"], route, message["status"], came)
            await send(message)

        if scope["method"] == "HEAD":
            await _as_get(self.app, scope, receive, named)
        else:
            await self.app(scope, receive, named)


async def _as_get(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer HEAD with the head of GET's answer, and stop there even where GET streams."""
    ended = asyncio.Event()
    as_get = {**scope, "method": "GET"}

    async def head_alone(message: Message) -> None:
        if message["type"] == "http.response.start":
            scope["route"] = as_get.get("route")
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            ended.set()

    async def ends_with_the_head() -> Message:
        if not ended.is_set():
            return await receive()
        return {"type": "http.disconnect"}

    answering = asyncio.ensure_future(app(as_get, ends_with_the_head, head_alone))
    over = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((answering, over), return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            await answering  # raises what it raised
    finally:
        for task in (answering, over):
            task.cancel()
        await asyncio.gather(answering, over, return_exceptions=True)
