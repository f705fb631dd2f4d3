"""The HTTP/1.1 protocol of the server: uvicorn's own, with a lane for the hot calls and one write per answer.

A hot call that arrived whole is answered here, without ASGI messages; uvicorn handles everything else
unchanged. uvicorn writes an answer's head and body separately and uvloop sends each at once: two system
calls, the most expensive part of a small answer. Here they leave in one write.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from flashguard.api.hot_calls import Match, match
from flashguard.api.responses.begun import Answer
from flashguard.api.responses.encoded import Encoded

from .bounded import NOTHING, Bounded
from .front_door import FrontDoor
from .heads import NO_HEADERS

MAX_CORKED_BYTES: Final = 64 * 1024
"""More than this is sent at once: gathering more gains nothing."""


class Corked:
    """A transport that gathers small writes until the event loop's turn ends.

    Everything but writing and closing is the transport's own.
    """

    __slots__ = ("_bytes", "_loop", "_parts", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._bytes = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > MAX_CORKED_BYTES:
            self.flush()

    def write_now(self, data: bytes) -> None:
        """Send a whole answer, after the writes gathered before it."""
        if self._parts:
            self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        """Send the gathered writes, or drop them where the connection is closed."""
        parts = self._parts
        if parts:
            if not self.is_closing():
                self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
            self._parts = []
            self._bytes = 0

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Unheard:
    """An event without listeners."""

    def set(self) -> None:
        """Do nothing."""


class Passing:
    """A hot call in progress, with the attributes that uvicorn's protocol reads from its own requests."""

    __slots__ = ("_wire", "disconnected", "keep_alive", "response_complete")
    message_event: Final = Unheard()

    def __init__(self, wire: "Wire", keep_alive: bool) -> None:
        self._wire = wire
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    def reply(self, answer: Answer) -> None:
        """Write the answer; where it is to be awaited, or the client reads too slowly, in a task."""
        if isinstance(answer, Encoded) and not self._wire.flow.write_paused:
            self._wire.answered(self, answer)
        else:
            self._wire.run(self._reply_later(answer))

    async def _reply_later(self, answer: Answer) -> None:
        response = answer if isinstance(answer, Encoded) else await answer
        flow = self._wire.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        self._wire.answered(self, response)


class Wire(Bounded):
    """uvicorn's protocol, with the lane for hot calls."""

    transport: Corked  # type: ignore[assignment]
    __slots__ = ("_door", "_match")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport))  # type: ignore[arg-type]
        self._match: Match | None = None
        """The hot call whose body is being collected in `_held`."""
        self._door = self.app if isinstance(self.app, FrontDoor) else None

    # What the parser calls

    def on_headers_complete(self) -> None:
        self.check_head()
        self._match = match(self.parser.get_method(), self.url) if self._door is not None else None
        if (
            self._match is not None
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        ):
            self._held = b""
        else:
            self.begin()

    def on_chunk_header(self) -> None:
        if self._held is not None:
            self._leave_lane(self._held)  # a chunked body may end with a trailer

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
            return
        self._held += body
        if self._door is None or self._match is None or len(self._held) > self._door.most_bytes(self._match):
            self._leave_lane(self._held)

    def on_message_complete(self) -> None:
        held = self._held
        if held is not None:
            request = None
            if self._door is not None and self._match is not None:
                request = self._door.plan(self._match, self.headers, held, self.client)
            if request is not None:
                self._held = None
                self._coming = NOTHING
                passing = Passing(self, self.parser.should_keep_alive())
                self.cycle = passing  # type: ignore[assignment]
                headers, self.headers = self.headers, NO_HEADERS  # an idle connection keeps none
                request.start(passing.reply, headers)
                return
            self._leave_lane(held)
        super().on_message_complete()

    def _leave_lane(self, held: bytes) -> None:
        self._held = None
        self.begin()
        if held:
            super().on_body(held)

    # The lane

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in a task that the server's shutdown waits for."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def answered(self, passing: Passing, response: Encoded) -> None:
        """Write an answer, unless the client has gone."""
        if passing.disconnected:
            return
        passing.response_complete = True
        self.transport.write_now(self.encoded(response, passing.keep_alive))
        if not passing.keep_alive:
            self.transport.close()
        self.on_response_complete()
