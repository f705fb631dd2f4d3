"""Headers that forbid browsers to interpret, frame or cache an answer."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message

SAFE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""On every answer without its own; the pages have theirs."""
SAFE_BYTES: Final = b"".join(b"%b: %b\r\n" % pair for pair in SAFE)
SAFE_BYTES_OF_KEPT: Final = b"".join(b"%b: %b\r\n" % pair for pair in SAFE[:-1])
"""On an answer that says itself how it may be kept."""


def make_safe(message: Message) -> None:
    """Add the safe headers that are missing from the start of an answer."""
    headers = MutableHeaders(raw=list(message["headers"]))
    missing = [pair for pair in SAFE if pair[0].decode() not in headers]
    message["headers"] = [*missing, *headers.raw]
