"""Server-Sent Events as bytes."""

from datetime import UTC, datetime
from typing import Final

import msgspec

RETRY: Final = b"retry: 1000\n\n"
"""A browser waits 1,000 ms before it connects again."""

_encode = msgspec.json.Encoder().encode


def event(name: str, data: object, id_: str | None = None) -> bytes:
    """Encode one event. msgspec's JSON of `data` has no line breaks."""
    head = f"id: {id_}\nevent: {name}\ndata: " if id_ is not None else f"event: {name}\ndata: "
    return head.encode() + _encode(data) + b"\n\n"


def ping() -> bytes:
    """Encode a ping as a real event: a page's watchdog can't see comments."""
    return event("ping", {"at": datetime.now(UTC)})
