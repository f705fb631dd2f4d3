"""The HTTP/1.1 protocol of the server: uvicorn's own, with a lane for the hot calls and one write per answer.

A hot call that came whole is answered from here, without the ASGI messages in between; anything else goes
uvicorn's way, unchanged. uvicorn writes an answer's head and its body one after the other, and uvloop sends
each at once: two system calls, the dearest part of a small answer. Here they leave together.
"""

import asyncio
from typing import Any, Final

from .bounds import NOTHING, Bounded
from .front_door import Express
from .lane import ENDINGS, TICKETS, Call

MAX_CORKED_BYTES: Final = 64 * 1024
"""Beyond it nothing is gained by waiting for more."""


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
        """Sends a whole answer, after whatever was gathered."""
        if self._parts:
            self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        """Sends what was gathered; nobody is left to send it to where the connection was cut off."""
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
    """An event that nobody waits for."""

    def set(self) -> None:
        """Changes nothing."""


class Passing:
    """A hot call under way, with what uvicorn's protocol looks at in a request of its own."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")
    message_event: Final = Unheard()

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False


class Wire(Bounded):
    """uvicorn's protocol, with the express lane."""

    transport: Corked  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport))  # type: ignore[arg-type]
        self._express = self.app if isinstance(self.app, Express) else None

    # The parser's word

    def on_headers_complete(self) -> None:
        self.check_head()
        if (
            self._express is not None
            and (
                (
                    self.url.endswith(ENDINGS)
                    and self.parser.get_method() == b"POST"
                    and TICKETS not in self.url
                )
                or (TICKETS in self.url and self.parser.get_method() == b"GET")
            )
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        ):
            self._held = b""
        else:
            self.begin()

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
            return
        self._held += body
        if self._express is None or len(self._held) > self._express.max_body_bytes:
            self._give_up_lane(self._held)

    def on_message_complete(self) -> None:
        held = self._held
        if held is not None:
            call = (
                self._express.plan(self.url, self.headers, held, self.client)
                if self._express is not None
                else None
            )
            if call is not None:
                self._held = None
                self._coming = NOTHING
                self._start(call)
                return
            self._give_up_lane(held)
        super().on_message_complete()

    def _give_up_lane(self, held: bytes) -> None:
        self._held = None
        self.begin()
        if held:
            super().on_body(held)

    # The lane

    def _start(self, call: Call) -> None:
        cycle = Passing(self.parser.should_keep_alive())
        self.cycle = cycle  # type: ignore[assignment]
        task = self.loop.create_task(self._pass(call, cycle))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _pass(self, call: Call, cycle: Passing) -> None:
        response = await call
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if cycle.disconnected:
            return
        self.transport.write_now(self.encoded(response, cycle.keep_alive))
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
