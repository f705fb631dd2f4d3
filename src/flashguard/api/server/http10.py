"""HTTP/1.0 clients can't read chunks: an answer of unknown length ends with their connection."""

from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def sending_unchunked(cycle: RequestResponseCycle) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Return what sends an answer without chunks, and closes the connection after it.

    An answer whose length its head says is sent as it is; uvicorn closes after it, too.

    Parameters:
        cycle: the request, whose answer has not begun.
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
            cycle.expected_content_length = len(message.get("body", b""))  # all that uvicorn lets us write
        await send(message)

    return unchunked
