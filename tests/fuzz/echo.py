"""A server that answers what it understood: the real protocol, with an application that echoes its requests.

The lane is in front of the application, as in the product: it takes the hot calls that arrive whole. Both
answer in the same form, so that what they understood can be compared.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from flashguard.api.hot_calls import Match
from flashguard.api.responses.begun import Answer
from flashguard.api.responses.encoded import Encoded, Head
from flashguard.api.server.bounds import Bounds
from flashguard.api.server.front_door import FrontDoor
from flashguard.api.server.wire import Wire
from flashguard.settings import Settings

MAX_BODY: Final = 64 * 1024
QUIET_SECONDS: Final = 5.0
"""Longest wait for the server to have read all that was sent."""
QUIET_TURNS: Final = 12
"""Turns of the event loop without a byte after which the server waits for more."""
JSON: Final = Head((b"content-type", b"application/json"))


class Understood(NamedTuple):
    """One request as a parser understood it. Headers in their order, names in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: str


class Heard(NamedTuple):
    """What one connection was answered.

    Parameters:
        requests: those that reached the application or the lane, in order.
        by_lane: how many of them the lane took.
        refusal: the status of the server's own refusal; 0 without.
        closed: whether the server closed the connection.
    """

    requests: tuple[Understood, ...]
    by_lane: int
    refusal: int
    closed: bool


def _echo(method: str, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes, lane: bool) -> bytes:
    said = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]
    return json.dumps([lane, method, target.decode("latin-1"), said, body.decode("latin-1")]).encode()


class _Planned:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def start(self, reply: Any, headers: list[tuple[bytes, bytes]]) -> None:
        answer: Answer = Encoded(self._body, 299, JSON)
        asyncio.get_running_loop().call_soon(reply, answer)  # as an answer of the next batch


class EchoDoor(FrontDoor):
    """The front door of the echoing application.

    Parameters:
        has_lane: whether the lane takes hot calls.
    """

    def __init__(self, settings: Settings, *, has_lane: bool) -> None:
        self.bounds = Bounds(settings)
        self._has_lane = has_lane

    def most_bytes(self, match: Match) -> int:
        return MAX_BODY

    def plan(self, match: Match, headers: Any, body: bytes, peer: Any = None) -> Any:
        if not self._has_lane:
            return None
        parts = match.call.path.split("/")
        parts[3::2] = match.names
        target = "/".join(parts).encode("latin-1")
        return _Planned(_echo(match.call.method, target, headers, body, lane=True))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        said = _echo(scope["method"], target, scope["headers"], body, lane=False)
        length = (b"content-length", b"%d" % len(said))
        await send(
            {
                "type": "http.response.start",
                "status": 299,
                "headers": [length, (b"echo", scope["method"].encode())],
            }
        )
        await send({"type": "http.response.body", "body": said})


class EchoServer:
    """Connections to the real protocol, over socket pairs."""

    def __init__(self, door: EchoDoor) -> None:
        self._config = Config(
            door, log_level="critical", ws="none", lifespan="off", proxy_headers=False, http=Wire
        )
        self._config.load()
        self._state = ServerState()
        self.errors: list[dict[str, Any]] = []

    async def hear(self, pieces: list[bytes]) -> Heard:
        """Send these pieces on a new connection, and return what it was answered once the server waits for
        more, or has closed it."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        transport, wire = await loop.connect_accepted_socket(
            lambda: Wire(self._config, self._state, {}), theirs
        )
        answers, closed = b"", False
        try:
            for piece in pieces:
                try:
                    await loop.sock_sendall(ours, piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
                await asyncio.sleep(0)  # lets the protocol read the piece alone
                await asyncio.sleep(0)
            async with asyncio.timeout(QUIET_SECONDS):
                quiet = 0
                while not closed and quiet < QUIET_TURNS:
                    await asyncio.sleep(0)
                    more = _read(ours)
                    answers += more or b""
                    closed = more is None
                    quiet = 0 if more or wire.transport.is_closing() or _unread(theirs) else quiet + 1
        finally:
            transport.abort()
            ours.close()
            await asyncio.sleep(0)
        return _heard(answers, closed)


def _unread(theirs: socket.socket) -> bool:
    """Return whether the server has not read all that was sent."""
    try:
        return bool(theirs.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except (BlockingIOError, OSError):
        return False


def _read(ours: socket.socket) -> bytes | None:
    """Return what has come; None at the end of the connection."""
    try:
        return ours.recv(1 << 20) or None
    except BlockingIOError:
        return b""
    except ConnectionResetError:
        return None


def _heard(answers: bytes, closed: bool) -> Heard:
    """Read the answers as a client does.

    Raises:
        h11.RemoteProtocolError: they are no answers of HTTP/1.1.
    """
    understood: list[Understood] = []
    by_lane = refusal = 0
    while answers:
        head, separator, rest = answers.partition(b"\r\n\r\n")
        assert separator, f"an answer without an end: {answers[:200]!r}"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(head + separator)
        response = client.next_event()
        if isinstance(response, h11.InformationalResponse):
            answers = rest
            continue
        assert isinstance(response, h11.Response), response
        headers_of = dict(response.headers)
        length = 0 if headers_of.get(b"echo") == b"HEAD" else int(headers_of[b"content-length"])
        body = rest[:length]
        if response.status_code == 299:
            assert not refusal, "an answer after the refusal"
            if body:  # HEAD has none
                lane, method, target, headers, text = json.loads(body)
                pairs = tuple((name, value) for name, value in headers)
                understood.append(Understood(method, target, pairs, text))
                by_lane += lane
            else:
                understood.append(Understood("HEAD", "", (), ""))
        else:
            refusal = response.status_code
        answers = rest[length:]
    return Heard(tuple(understood), by_lane, refusal, closed)


@asynccontextmanager
async def echo_server(*, has_lane: bool) -> AsyncIterator[EchoServer]:
    """Run an echoing server; at its end no error may have reached the event loop."""
    loop = asyncio.get_running_loop()
    server = EchoServer(EchoDoor(Settings(), has_lane=has_lane))
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: server.errors.append(context))
    try:
        yield server
    finally:
        loop.set_exception_handler(before)
    assert not server.errors, server.errors[:3]
