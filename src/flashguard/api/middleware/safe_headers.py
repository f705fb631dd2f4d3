"""The headers that tell a browser to do nothing with an answer but hand it over."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message

SAFE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""On every answer that does not have its own: the pages bring theirs."""
SAFE_BYTES: Final = b"".join(b"%b: %b\r\n" % pair for pair in SAFE)


def make_safe(message: Message) -> None:
    """Adds what an answer's start lacks of them."""
    headers = MutableHeaders(raw=list(message["headers"]))
    lacking = [pair for pair in SAFE if pair[0].decode() not in headers]
    message["headers"] = [*lacking, *headers.raw]
