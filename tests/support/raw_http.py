"""Requests as bytes down a socket, for tests that say what no HTTP client would."""

import asyncio
import json
import re
from typing import Any

ANSWER_SECONDS = 20.0


async def exchange(
    service: Any, *requests: bytes, pieces: int = 1, answers: int | None = None
) -> list[bytes]:
    """Sends requests down one connection, each in so many pieces; the raw answers."""
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            for raw in requests:
                size = -(-len(raw) // pieces)
                for at in range(0, len(raw), size):
                    writer.write(raw[at : at + size])
                    await writer.drain()
                    if pieces > 1:
                        await asyncio.sleep(0.01)
            return [await read_answer(reader) for _ in range(len(requests) if answers is None else answers)]
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        return head + await read_answer(reader)
    if head.startswith(b"HTTP/1.1 304"):
        return head
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None, head
    return head + await reader.readexactly(int(length[1]))


def request(
    path: str, body: object = None, *, method: str = "POST", version: str = "1.1", **headers: str
) -> bytes:
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Host": "shop", "Content-Length": str(len(raw))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode() + raw
