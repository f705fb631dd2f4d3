"""An idle connection is closed in the end, but never with a request in it that has only not been read yet."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from flashguard.api.responses.encoded import Encoded, Head
from flashguard.api.server.bounds import Bounds
from flashguard.api.server.front_door import FrontDoor
from flashguard.api.server.wire import Wire
from flashguard.settings import Settings

KEEP_ALIVE_SECONDS = 1
PATIENCE_SECONDS = 30.0
REQUEST = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
WORK = b"work"


class Busy(Wire):
    """FlashGuard's protocol, and a request that keeps the process busy while it is being read."""

    def data_received(self, data: bytes) -> None:
        if data == WORK:
            time.sleep(2 * KEEP_ALIVE_SECONDS)
        super().data_received(REQUEST if data == WORK else data)


class App:
    bounds = Bounds(Settings(head_timeout_seconds=KEEP_ALIVE_SECONDS))

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class AtOnce(FrontDoor):
    """Answers a read of a sale in the lane, without waiting."""

    bounds = App.bounds
    max_body_bytes = 1

    def __init__(self) -> None:
        """Need no service."""

    def plan(self, *_: Any) -> Any:
        return self

    def start(self, reply: Callable[[Encoded], None], _: Any) -> None:
        reply(Encoded(b"ok", 200, Head()))


@pytest.fixture(params=[App])
def clients(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connections to one process."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        request.param(), http=Busy, loop="uvloop", lifespan="off", ws="none", log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS, proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    one, other = (socket.create_connection(listening.getsockname(), PATIENCE_SECONDS) for _ in range(2))
    try:
        yield one, other
    finally:
        one.close()
        other.close()
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        server.force_exit = True  # it waits without end for a request that is never answered
        thread.join()
        listening.close()


def ask(client: socket.socket, request: bytes = REQUEST) -> bytes:
    client.sendall(request)
    return client.recv(4096)


def test_a_request_that_came_while_the_process_was_busy_is_answered(
    clients: tuple[socket.socket, socket.socket],
) -> None:
    one, other = clients
    assert ask(one).endswith(b"ok")
    other.sendall(WORK)
    time.sleep(0.2 * KEEP_ALIVE_SECONDS)  # it works now: what comes is not read, and the time runs out
    assert ask(one).endswith(b"ok")


def test_a_connection_that_stays_idle_is_closed(clients: tuple[socket.socket, socket.socket]) -> None:
    one, _ = clients
    assert ask(one).endswith(b"ok")
    assert one.recv(4096) == b""


@pytest.mark.parametrize("clients", [AtOnce], indirect=True)
def test_answers_given_at_once_keep_a_connection_alive_and_only_they(
    clients: tuple[socket.socket, socket.socket],
) -> None:
    one, _ = clients
    until = time.monotonic() + 3 * KEEP_ALIVE_SECONDS
    while time.monotonic() < until:
        assert ask(one, b"GET /v1/sales/s HTTP/1.1\r\nHost: shop\r\n\r\n").endswith(b"ok")
        time.sleep(0.4 * KEEP_ALIVE_SECONDS)
    assert one.recv(4096) == b""
