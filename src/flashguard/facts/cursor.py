"""A reader's place in the feed, as the opaque text that it sends back."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

MAX_CURSOR: Final = 4_096
"""Characters of a cursor; one of 256 partitions has about 3,000."""
LARGEST_ID: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far a reader has come in each partition, and by what the feed recognises its own history."""

    since_us: int
    """When this run of the feed began, in microseconds since 1970."""
    ids: tuple[int, ...]
    """By partition: the id of the newest fact that was read."""
    newest: int = 0
    """The partition of the very newest fact that was read."""
    written_us: int | None = None
    """When that one was written; None: none was read."""


def run_of(since: datetime) -> int:
    """Return what a cursor calls the run of the feed that began then."""
    return (since - _EPOCH) // _MICROSECOND


def encode(cursor: Cursor) -> str:
    """Return the cursor as text."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def decode(text: str, partitions: int) -> Cursor | None:
    """Return the cursor of this text; None where no feed of so many partitions made it."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return None
    if len(cursor.ids) != partitions or not 0 <= cursor.newest < partitions:
        return None
    return cursor if all(0 <= id_ <= LARGEST_ID for id_ in cursor.ids) else None
