"""Server-Sent Events as bytes."""

from datetime import UTC, datetime
from typing import Final

import msgspec

RETRY: Final = b"retry: 1000\n\n"
"""How long a browser waits before it connects again: 1,000 ms."""

_encode = msgspec.json.Encoder().encode


def event(name: str, data: object, id_: str | None = None) -> bytes:
    """One event. `data` is anything that msgspec encodes; its JSON has no line breaks."""
    head = f"id: {id_}\nevent: {name}\ndata: " if id_ is not None else f"event: {name}\ndata: "
    return head.encode() + _encode(data) + b"\n\n"


def ping() -> bytes:
    """A real event, not a comment: a page's watchdog can't see comments."""
    return event("ping", {"at": datetime.now(UTC)})
