"""PostgreSQL's wire protocol: a blocking connection to the real server."""

import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path


class PostgresError(Exception):
    """The real server refused a statement of the harness."""


class Backend:
    """A connection to the real server; its startup is kept, so that it can serve one client after another."""

    def __init__(self, path: Path, startup: bytes) -> None:
        self.startup = startup
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._rest = b""
        self._socket.sendall(struct.pack("!i", len(startup) + 4) + startup)
        self.greeting = self.read(b"Z")
        at = self.greeting.index(b"K\0\0\0\x0c")
        self.pid, self.secret = struct.unpack("!ii", self.greeting[at + 5 : at + 13])
        self.status = b"I"

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def is_ready(self, seconds: float) -> bool:
        """Return whether an answer begins within these real seconds."""
        return bool(self._rest) or bool(select.select([self._socket], [], [], seconds)[0])

    def read(self, last: bytes) -> bytes:
        """Return the messages up to one of these types."""
        parts = bytearray()
        while True:
            for kind, message in self._messages():
                parts += message
                if kind == b"Z":
                    self.status = message[5:6]
                if kind in last:
                    return bytes(parts)
            part = self._socket.recv(1 << 20)
            if not part:
                raise ConnectionError("the real PostgreSQL ended a connection")
            self._rest += part

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while len(self._rest) >= 5:
            size = 1 + struct.unpack_from("!i", self._rest, 1)[0]
            if len(self._rest) < size:
                return
            message, self._rest = self._rest[:size], self._rest[size:]
            yield message[:1], message

    def query(self, sql: str) -> list[list[str | None]]:
        """Run statements of the harness and return the rows of all of them, as text."""
        data = sql.encode() + b"\0"
        self.send(b"Q" + struct.pack("!i", len(data) + 4) + data)
        answer, rows = self.read(b"Z"), []
        at = 0
        while at < len(answer):
            kind, size = answer[at : at + 1], struct.unpack_from("!i", answer, at + 1)[0]
            body = answer[at + 5 : at + 1 + size]
            if kind == b"E":
                raise PostgresError(f"{body!r} in {sql[:200]}")
            if kind == b"D":
                rows.append(_row(body))
            at += 1 + size
        return rows

    def close(self) -> None:
        self._socket.close()


def _row(body: bytes) -> list[str | None]:
    at, values = 2, []
    for _ in range(struct.unpack_from("!h", body)[0]):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        values.append(None if size < 0 else body[at : at + size].decode())
        at += max(0, size)
    return values
