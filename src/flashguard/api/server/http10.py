"""HTTP/1.0 clients can't read chunks: closing the connection ends an answer of unknown length."""

from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def sending_unchunked(cycle: RequestResponseCycle) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Return a `send` that writes an answer without chunks and closes the connection after it.

    An answer with a Content-Length is sent unchanged; uvicorn closes the connection after it too.

    Parameters:
        cycle: the request; its answer has not started.
    """
    send = cycle.send
    streams = False

    async def unchunked(message: Any) -> None:
        nonlocal streams
        if message["type"] == "http.response.start":
            streams = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            if streams:
                cycle.chunked_encoding = False
        elif streams:
            cycle.expected_content_length = len(
                message.get("body", b"")
            )  # the most that uvicorn lets us write
        await send(message)

    return unchunked
