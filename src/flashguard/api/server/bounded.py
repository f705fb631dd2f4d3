"""The bounded protocol: the size of a request's head and framing, the time it may take, the connections.

uvicorn's own protocol bounds none of these: a head may grow without limit, and a client that sends a byte a
minute, or nothing, keeps its connection forever. Here such a request gets a problem and its connection is
closed. A request that arrives whole costs a few assignments and no timer.
"""

import asyncio
from collections import deque
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flashguard.api.responses.encoded import Encoded
from flashguard.api.responses.problems import problem
from flashguard.errors import Code
from flashguard.model import Refused
from flashguard.settings import Settings

from .bounds import (
    FULL,
    LARGE_FRAMING,
    LARGE_HEAD,
    LONG_URL,
    NO_HTTP,
    NO_TUNNEL,
    OTHER_CODING,
    OTHER_VERSION,
    SLOW,
    Bounds,
    Cut,
)
from .flow import Flow
from .heads import NO_HEADERS, VERSIONS, has_other_coding, head_without_offer
from .http10 import sending_unchunked

MAX_HEADERS: Final = 100
MAX_AHEAD: Final = 100
"""Requests that a connection may send ahead of their answers; then it is closed after those answers."""
MAX_FRAMING: Final = 8
"""Bytes of chunk sizes, extensions and trailers for each byte of a body, beyond those of a head: a
chunk of one byte needs five."""
MAX_UNREAD_BYTES: Final = 8 * 1024 * 1024
"""Bytes still read of a body that is already refused, so that its client can read the answer."""
SHED_SHARE: Final = 20
"""One of this many idle connections is closed to make room for a new one."""
LAST_CHECK_SECONDS: Final = 0.05
"""Time between the end of an idle connection's time and its close, in which a late request is still read."""
NONE_AHEAD: Final[deque[Any]] = deque(maxlen=0)
"""Of a connection without requests sent ahead: shared, because an empty deque takes 0.6 KB."""

NOTHING, HEAD, BODY = 0, 1, 2
"""Which part of a request is arriving."""


class _Broken(Exception):
    """Stops the parser at a request that breaks a bound; `_cut` holds the answer."""


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol with bounds. One timer per connection checks them periodically."""

    __slots__ = (
        "_bounds", "_checked_at", "_coming", "_cut", "_dropped_bytes", "_earlier", "_fed_bytes",
        "_framing_bytes", "_fresh", "_head_bytes", "_held", "_idle_since", "_leaves", "_since",
        "_stalled_since",
    )  # fmt: skip
    # With uvicorn's own attributes they are too many for Python to share the names between all connections.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        self.pipeline = NONE_AHEAD
        self._held: bytes | None = None
        """The body so far of a request that uvicorn has not started; None where it has."""
        bounds = getattr(self.app, "bounds", None)
        self._bounds: Bounds = Bounds(Settings()) if bounds is None else bounds
        self._coming = NOTHING
        self._since: float | None = None
        """When a request, or its body, began that did not arrive in one piece."""
        self._idle_since: float | None = self.loop.time()
        self._stalled_since: float | None = None
        self._checked_at: float | None = None
        """The idle period whose end was seen once. Timers run before sockets are read, so a request may be
        waiting."""
        self._fed_bytes = self._head_bytes = self._framing_bytes = self._dropped_bytes = 0
        self._earlier: Any = None
        """The request in progress when another one began."""
        self._cut: Cut = NO_HTTP
        self._fresh = True
        self._leaves = False
        self._check_after(self._bounds.head_seconds)
        if len(self.connections) - self._bounds.leaving > self._bounds.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._leaves:
            self._bounds.leaving -= 1
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def _make_room(self) -> None:
        """Close the connections that have been idle the longest; the new one where none is idle."""
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

    # Incoming data

    def data_received(self, data: bytes) -> None:
        idle_since, self._idle_since = self._idle_since, None
        self._fed_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self._cut)
            return
        if self._coming:
            self._count(len(data))
        elif self._idle_since is None and (self.cycle is None or self.cycle.response_complete):
            self._idle(idle_since)  # an empty line, or the rest of a refused body

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request that asks for another protocol as one that does not: this server has no other. The
        parser skips the body of such a request; a new one reads it.

        Parameters:
            rest: what came after the request's head.
        """
        head = head_without_offer(self.parser, self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        since = self._since
        self.data_received(head + rest)
        if since is not None and self._coming:
            self._since = since

    def _count(self, size: int) -> None:
        """Note that a request is arriving in several pieces."""
        if self._since is None:
            self._since = self.loop.time()
            self._head_bytes = 0
            if self.timeout_keep_alive_task is None:
                self._check_after(min(self._bounds.head_seconds, self._bounds.body_seconds))
        elif self._coming == HEAD:
            self._head_bytes += size
            if self._head_bytes > self._bounds.head_bytes:
                self._refuse(LARGE_HEAD)
        elif self._held is None:
            self._framing_bytes += size
            if self._framing_bytes > self._bounds.head_bytes:
                self._refuse(LARGE_FRAMING)

    def on_message_begin(self) -> None:
        self._coming = HEAD
        self._since = None
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def check_head(self) -> None:
        """Check the bounds of the head once it is complete. Raising stops the parser."""
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
        """Hand the request to uvicorn as if it had received it from the start."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._coming = HEAD
                self._break(NO_TUNNEL)
            return  # see _ignore_upgrade
        self._coming = HEAD  # until uvicorn has taken it: a wrong address is refused there
        if len(self.pipeline) >= MAX_AHEAD:
            self._break(NO_HTTP)
        self._earlier = self.cycle
        self._framing_bytes = 0
        if self.pipeline is NONE_AHEAD and self.cycle is not None and not self.cycle.response_complete:
            self.pipeline = deque()
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            self._break(OTHER_VERSION)
        if has_other_coding(headers):
            self._break(OTHER_CODING)
        old = version == "1.0"
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect and not old
        self.headers += headers
        super().on_headers_complete()
        self._coming = BODY
        self.headers = NO_HEADERS
        if old:
            self.cycle.send = sending_unchunked(self.cycle)  # type: ignore[method-assign,assignment]

    def on_body(self, body: bytes) -> None:
        self._framing_bytes -= (1 + MAX_FRAMING) * len(body)
        super().on_body(body)
        if self.cycle.response_complete:
            self._dropped_bytes += len(body)
            if self._dropped_bytes > MAX_UNREAD_BYTES:
                self.transport.abort()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._coming = NOTHING
        super().on_message_complete()

    # The end of a connection

    def _refuse(self, cut: Cut) -> None:
        """Answer a request that breaks a bound, and close; earlier requests still get their answers."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self._coming == BODY and self.pipeline:  # it waits behind earlier requests: it never begins
                self.pipeline.popleft()
                self.cycle = cycle = self._earlier
                self._coming = HEAD
            if self._coming != BODY:
                cycle.keep_alive = False  # the client would take this answer for that of the earlier request
                self.flow.pause_reading()
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        elif self._coming == BODY and self._held is None and cycle is not None:
            self.transport.close()  # it was answered before it had arrived completely
            return
        refused = Refused(
            code=cut.code, detail=cut.detail, retry_after_seconds=1 if cut.code is Code.OVERLOADED else None
        )
        self._idle_since = None
        self.transport.write(self.encoded(problem(refused, status=cut.status), keep_alive=False))
        self.transport.close()

    def encoded(self, response: Encoded, keep_alive: bool) -> bytes:
        """Return an answer's bytes."""
        body, head, status = response.body, response.head, response.status_code
        parts = [
            self._bounds.first_lines(status, head.kept, self.server_state.default_headers),
            b"" if status == 304 else b"content-length: %d\r\n" % len(body),
            head.lines,
        ]
        for name, value in response.more:
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", body)
        return b"".join(parts)

    # Time: one timer that checks periodically, in place of one or two per request

    def _check_after(self, seconds: float) -> None:
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
            self._check_after(self.timeout_keep_alive)

    def _idle(self, since: float | None) -> None:
        self._idle_since = self.loop.time() if since is None else since
        if self.timeout_keep_alive_task is None:
            self._check_after(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is too slow or idle for too long; otherwise set the timer for the next
        check."""
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
            self._check_after(left)
        elif self._stalled_since is not None:
            self.transport.abort()
        elif self._idle_since is None:
            self._refuse(SLOW)
        elif self._checked_at == self._idle_since:
            self.transport.close()
        else:
            self._checked_at = self._idle_since
            self._check_after(LAST_CHECK_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._check_after(self._bounds.body_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled_since = None

    def shutdown(self) -> None:
        self._idle_since = None
        super().shutdown()
