"""The API without servers, inside one process: bytes in, answers out.

The server's protocol writes to a list, and Valkey's answers are made here.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from uvicorn.config import Config
from uvicorn.server import ServerState

from flashguard.access.tokens import KeyRing
from flashguard.api.app import create_front_door
from flashguard.api.server.wire import Wire
from flashguard.engine.backend import Backend
from flashguard.engine.watermark import Watermark
from flashguard.guard import FlashGuard
from flashguard.journal import Announcement, encode_announcement
from flashguard.ledger import Installation
from flashguard.settings import Settings
from flashguard.valkey.address import Address
from flashguard.valkey.connection import Connection, ServerClient

INSTALLATION = Installation(secret="5ec7e7" * 10, partitions=1)
NOW_MS = 1_800_000_000_000
RESULTS: dict[str, list[Any]] = {
    "buy": ["confirmed", False, NOW_MS, 0, NOW_MS, 1],
    "hold": ["held", False, NOW_MS, 120_000, 0, 1],
    "rejection": ["sold-out", "unit", 0],
}
"""What the kernel answers, by kind of call."""
SYNCS_AT_ONCE = b"*4\r\n$10\r\nappendonly\r\n$2\r\nno\r\n$11\r\nappendfsync\r\n$2\r\nno\r\n"
DATE = b"Sun, 29 Nov 2026 14:33:03 GMT"


def offline_guard(
    settings: Settings, client: ServerClient | None = None, watermark: Watermark | None = None
) -> FlashGuard:
    """Return a guard that is connected to nothing, or to a client that answers by itself.

    Parameters:
        watermark: told of commits by the client.
    """
    backend = SimpleNamespace(
        client=client or ServerClient(Address("redis://none"), timeout_seconds=1),
        watermark=watermark or Watermark(),
        installation=INSTALLATION,
        ledger=None,
        listening=None,
    )
    return FlashGuard(settings, cast("Backend", backend), KeyRing(), None)


class Transport:
    """Hands what is written to `read`."""

    def __init__(self, read: Callable[[bytes], object]) -> None:
        self.write = read

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("sockname", "peername") else default

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Do nothing: a keep-alive that ended on a busy machine is no error of the caller's."""


class Answers(ServerClient):
    """Answers each script call as Valkey would, and announces its commit.

    Parameters:
        calls: requests of each script call.
        result: what each of them is answered.
    """

    def __init__(self, watermark: Watermark, calls: int, result: list[Any]) -> None:
        super().__init__(Address("redis://none"), timeout_seconds=10)
        self._watermark = watermark
        self._reply = msgspec.msgpack.encode(("", 1, 1, NOW_MS, [result] * calls))
        self._main = Connection()
        self._main.connection_made(cast("asyncio.Transport", Transport(self._sent)))

    def _sent(self, command: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._answer, command)

    def _answer(self, command: bytes) -> None:
        assert self._main is not None
        if b"CONFIG" in command:
            self._main.data_received(SYNCS_AT_ONCE)
            return
        self._main.data_received(b"$%d\r\n%b\r\n" % (len(self._reply), self._reply))
        for token in self._watermark._waiting:
            said = encode_announcement(Announcement(1, [(1, token)], [])).encode()
            asyncio.get_running_loop().call_soon(self._watermark.announced, said)


class OfflineServer:
    """The server's protocol over connections that keep what is written: in `written`, in its order."""

    def __init__(self, settings: Settings, connections: int, result: list[Any]) -> None:
        self.door = create_front_door(settings)
        watermark = Watermark()
        self.guard = offline_guard(settings, Answers(watermark, connections, result), watermark)
        self.door.shared.guard = self.guard
        config = Config(self.door, log_config=None, lifespan="off")
        config.load()
        config.loaded_app = self.door
        state = ServerState()
        state.default_headers = [(b"date", DATE)]
        self.written: list[bytes] = []
        self.wires = [Wire(config, state, {}) for _ in range(connections)]
        for wire in self.wires:
            wire.connection_made(cast("asyncio.Transport", Transport(self.written.append)))

    async def answers(self, requests: list[bytes]) -> list[bytes]:
        """Give each connection a request in one turn of the event loop, and return their answers."""
        for wire, request in zip(self.wires, requests, strict=True):
            wire.data_received(request)
        while len(self.written) < len(requests):
            await asyncio.sleep(0)
        answers = list(self.written)
        self.written.clear()
        return answers
