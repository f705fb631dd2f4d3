"""What one connection may ask of a process: the size of a request's head, its time, and how many are open.

uvicorn's own protocol bounds none of these: a head may grow without end, a client that sends a byte a minute
keeps its connection for ever, and so does one that never sends any. Here each of them is answered with its
problem and cut off. Whoever sends whole requests pays for it with a few stores per request and no timer.
"""

import asyncio
import contextlib
import resource
from typing import Final, NamedTuple, cast

import httptools
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from flashguard.api.middleware.safe_headers import SAFE_BYTES
from flashguard.api.responses.problems import problem
from flashguard.errors import Code
from flashguard.model import Refused
from flashguard.settings import Settings

from .http10 import sending_unchunked

MAX_HEADERS: Final = 100
MAX_AHEAD: Final = 100
"""Requests that a connection may send before their answers; beyond, it is cut off after those."""
MAX_UNREAD_BYTES: Final = 8 * 1024 * 1024
"""Of a body that is refused already, so many bytes are still taken, so that its client gets to read why."""
SPARE_FILES: Final = 256
"""Files that a process keeps open besides its connections, at most."""
SHED_SHARE: Final = 20
"""One idle connection in so many goes when there is no room for a new one."""
LAST_LOOK_SECONDS: Final = 0.05
"""Between the end of an idle connection's time and its close: what came meanwhile is read then."""
NOTHING, HEAD, BODY = 0, 1, 2
"""What of a request is on its way."""


class Bounds:
    """The limits of one process, and how many of its connections are being shed right now."""

    def __init__(self, settings: Settings) -> None:
        self.head_bytes = settings.max_head_bytes
        self.head_seconds = settings.head_timeout_seconds
        self.body_seconds = settings.body_timeout_seconds
        self.connections = min(settings.max_connections, _files() - SPARE_FILES)
        self.leaving = 0


def _files() -> int:
    """How many files this process may open, once it has asked for as many as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # a hard limit can be more than the system gives
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 30


class Cut(NamedTuple):
    """Why a connection ends, as the problem says it."""

    status: int
    detail: str
    code: Code = Code.INVALID_REQUEST


SLOW: Final = Cut(408, "The request did not come whole in time.")
LARGE_HEAD: Final = Cut(431, "The request's headers are too large, or too many.")
LONG_URL: Final = Cut(414, "The request's address is too long.")
NO_HTTP: Final = Cut(400, "This is no valid HTTP request.")
FULL: Final = Cut(503, "This process has its most connections.", Code.OVERLOADED)


class _Broken(Exception):
    """Ends the parser's work on a request that breaks a bound; what to answer is in `_cut`."""


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol, within bounds, and with one timer per connection that looks now and then."""

    _held: bytes | None = None
    """The body so far of a request that uvicorn has not begun with; None where it has."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        bounds = getattr(self.app, "bounds", None)
        self._bounds: Bounds = Bounds(Settings()) if bounds is None else bounds
        self._coming = NOTHING
        self._since: float | None = None
        """When a request began that did not come in one piece, or its body did."""
        self._idle_since: float | None = self.loop.time()
        self._stalled_since: float | None = None
        self._looked_at: float | None = None
        """The idle time whose end was seen. Timers run before what came is read: a request may be there."""
        self._fed_bytes = self._head_bytes = self._dropped_bytes = 0
        self._cut: Cut = NO_HTTP
        self._fresh = True
        self._leaves = False
        self._look_after(self._bounds.head_seconds)
        if len(self.connections) - self._bounds.leaving > self._bounds.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._leaves:
            self._bounds.leaving -= 1
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def _make_room(self) -> None:
        """Closes the connections that have been idle the longest; where none is, the new one."""
        others = [each for each in cast("set[Bounded]", self.connections) if each is not self]
        idle = sorted(
            (each for each in others if each._idle_since is not None), key=lambda each: each._idle_since or 0
        )
        for each in idle[: max(1, len(idle) // SHED_SHARE)]:
            each._leave()
        if not idle:
            self._refuse(FULL)

    def _leave(self) -> None:
        self._leaves = True
        self._bounds.leaving += 1
        self._idle_since = None
        self.transport.close()

    # What comes in

    def data_received(self, data: bytes) -> None:
        idle_since, self._idle_since = self._idle_since, None
        self._fed_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # answered as any other request: this server speaks nothing else
        except httptools.HttpParserError:
            self._refuse(self._cut)
            return
        if self._coming:
            self._count(len(data))
        elif self.cycle is None or self.cycle.response_complete:
            self._idle(idle_since)  # an empty line, or the rest of a body that was refused

    def _count(self, size: int) -> None:
        """Notes that a request is on its way that did not come whole."""
        if self._since is None:
            self._since = self.loop.time()
            self._head_bytes = 0
            if self.timeout_keep_alive_task is None:
                self._look_after(min(self._bounds.head_seconds, self._bounds.body_seconds))
        elif self._coming == HEAD:
            self._head_bytes += size
            if self._head_bytes > self._bounds.head_bytes:
                self._refuse(LARGE_HEAD)

    def on_message_begin(self) -> None:
        self._coming = HEAD
        self._since = None
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def check_head(self) -> None:
        """Called once the headers are there; the parser ends with what this raises."""
        headers = self.headers
        if len(headers) > MAX_HEADERS:
            self._break(LARGE_HEAD)
        if self._since is not None or self._fed_bytes > self._bounds.head_bytes:
            if len(self.url) > self._bounds.head_bytes:
                self._break(LONG_URL)
            if sum(len(name) + len(value) + 4 for name, value in headers) > self._bounds.head_bytes:
                self._break(LARGE_HEAD)
            if self._since is not None:
                self._since = self.loop.time()  # the body's time begins
        self._coming = BODY

    def _break(self, cut: Cut) -> None:
        self._cut = cut
        raise _Broken

    def begin(self) -> None:
        """Has uvicorn begin with the request, as if it had heard of it all along."""
        if len(self.pipeline) >= MAX_AHEAD:
            self._coming = HEAD
            self._break(NO_HTTP)
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        old = self.parser.get_http_version() == "1.0"
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect and not old
        self.headers += headers
        super().on_headers_complete()
        if old:
            self.cycle.send = sending_unchunked(self.cycle)  # type: ignore[method-assign,assignment]

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self._dropped_bytes += len(body)
            if self._dropped_bytes > MAX_UNREAD_BYTES:
                self.transport.abort()

    def on_message_complete(self) -> None:
        self._coming = NOTHING
        super().on_message_complete()

    # The end of a connection

    def _refuse(self, cut: Cut) -> None:
        """Answers a request that can't go on, and closes; answers of requests before it are still sent."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self._coming != BODY:
                cycle.keep_alive = False  # an answer to this one would be taken for that one's
                self.flow.pause_reading()
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if self.pipeline or cycle.response_started:
                self.transport.close()
                return
        elif self._coming == BODY and self._held is None and cycle is not None:
            self.transport.close()  # it was answered before it had come whole
            return
        refused = Refused(
            code=cut.code, detail=cut.detail, retry_after_seconds=1 if cut.code is Code.OVERLOADED else None
        )
        self._idle_since = None
        self.transport.write(self.encoded(problem(refused, status=cut.status), keep_alive=False))
        self.transport.close()

    def encoded(self, response: Response, keep_alive: bool) -> bytes:
        """An answer's bytes, in uvicorn's order."""
        parts = [STATUS_LINE[response.status_code]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(SAFE_BYTES)
        for name, value in response.raw_headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
        parts.append(response.body)  # type: ignore[arg-type]
        return b"".join(parts)

    # Time: one timer that looks now and then, in place of one or two per request

    def _look_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._fresh = False
        if not self._coming:
            self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_after(self.timeout_keep_alive)

    def _idle(self, since: float | None) -> None:
        self._idle_since = self.loop.time() if since is None else since
        if self.timeout_keep_alive_task is None:
            self._look_after(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Cuts off who is too slow, or idle for too long, and looks again when it may be so."""
        self.timeout_keep_alive_task = None
        if self.transport.is_closing():
            return
        bounds = self._bounds
        if self._stalled_since is not None:
            since, seconds = self._stalled_since, bounds.body_seconds
        elif self._idle_since is not None:
            since, seconds = self._idle_since, bounds.head_seconds if self._fresh else self.timeout_keep_alive
        elif self._coming and self._since is not None:
            since, seconds = self._since, bounds.head_seconds if self._coming == HEAD else bounds.body_seconds
        else:
            return  # busy: the next answer, or the next piece of a request, sets the timer again
        left = since + seconds - self.loop.time()
        if left > 0:
            self._look_after(left)
        elif self._stalled_since is not None:
            self.transport.abort()
        elif self._idle_since is None:
            self._refuse(SLOW)
        elif self._looked_at == self._idle_since:
            self.transport.close()
        else:
            self._looked_at = self._idle_since
            self._look_after(LAST_LOOK_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_after(self._bounds.body_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled_since = None

    def shutdown(self) -> None:
        self._idle_since = None
        super().shutdown()
