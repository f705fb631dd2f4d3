"""The HTTP/1.1 protocol of the server: uvicorn's own, with one write to the socket per answer.

uvicorn writes an answer's head and its body one after the other, and uvloop sends each at once: two
system calls, the dearest part of a small answer. Here what is written in one turn of the event loop
leaves together.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CORKED_BYTES: Final = 64 * 1024
"""Beyond it nothing is gained by waiting for more."""


class Corked:
    """A transport that gathers small writes until the event loop's turn ends.

    Everything but writing and closing is the transport's own.
    """

    __slots__ = ("_bytes", "_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > MAX_CORKED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Sends what was gathered."""
        parts = self._parts
        if parts:
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
            self._parts = []
            self._bytes = 0

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Wire(HttpToolsProtocol):
    """uvicorn's protocol over a corked transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport))  # type: ignore[arg-type]
