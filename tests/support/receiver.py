"""A shop's receiver of webhooks: it checks messages with the specification's own library, and misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from standardwebhooks.webhooks import Webhook

HUGE = 64 * 1024 * 1024
ENDLESS = {
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 2048,
    "processing": b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" * 2048,
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: <" + b"x" * 4000 + b">\r\n\r\n",
    "switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + b"x" * 65536,
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 8192,
    "after": b"HTTP/1.1 204 No Content\r\n\r\n" * 2048,
}
"""What comes again and again, as fast as it is taken, in place of an answer; all but the last are none."""


class Received:
    """A message that arrived, and what the receiver answered."""

    def __init__(self, headers: dict[str, str], body: bytes, answer: str) -> None:
        self.headers = headers
        self.raw = body
        self.id = headers["webhook-id"]
        self.body: dict[str, Any] = json.loads(body)
        self.type = self.body["type"]
        self.data = self.body["data"]
        self.accepted = answer == "204"


def _sale_alone(message: Received) -> str | None:
    return f"sale {message.data['sale_id']}" if message.type.startswith("sale.") else None


class Receiver:
    """Raw HTTP, so that it can lie.

    `plan` says what the next messages are answered, by path; then everything is accepted. Answers: a status,
    "hang", "redirect", "break off" (a 200, cut short), "huge" (a 200 without end), "refuse" (no answer),
    "drip" (a head, one byte at a time), or a key of ENDLESS.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.paths: set[str] = set()
        self.sent_bytes = 0
        self.plan: dict[str, list[str]] = {}
        self.always: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.port = 0

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def about(self, subject: str, *, accepted: bool = True) -> list[Received]:
        """The messages about a reservation, about all of a sale, or (`sale …`) about nothing but it."""
        return [
            each
            for each in list(self.received)
            if (each.accepted or not accepted)
            and subject in (each.data.get("id"), each.data["sale_id"], _sale_alone(each))
        ]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        path = head[0].split(" ")[1]
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        self.paths.add(path)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        plan = self.plan.get(path)
        answer = plan.pop(0) if plan else self.always.get(path, "204")
        if path in self.secrets:
            Webhook(self.secrets[path]).verify(body, headers)  # raises: then nothing is received
        self.received.append(Received(headers, body, answer))
        match answer:
            case "hang":
                await reader.read()
                return False
            case "redirect":
                text = (
                    f"HTTP/1.1 302 Found\r\nLocation: {self.url('/elsewhere')}\r\nContent-Length: 0\r\n\r\n"
                )
                writer.write(text.encode())
            case "break off":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                await writer.drain()
                return False
            case "huge":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUGE)
                for _ in range(HUGE // 65536):
                    writer.write(b"x" * 65536)
                    await writer.drain()
                    self.sent_bytes += 65536
            case "refuse":
                return False
            case "drip":
                for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 8192:
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    await asyncio.sleep(0.02)
            case endless if endless in ENDLESS:
                while True:
                    writer.write(ENDLESS[endless])
                    await writer.drain()
                    self.sent_bytes += len(ENDLESS[endless])
            case status:
                writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        return True


@asynccontextmanager
async def listening() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
