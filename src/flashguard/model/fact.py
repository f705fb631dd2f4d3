"""Facts: what happened to reservations, orders and sales, as the feed tells it."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class Fact(Struct, frozen=True, kw_only=True):
    """One fact. Its `id` is the same each time it is read, and that of its webhook messages."""

    id: str
    type: str
    timestamp: datetime
    data: dict[str, Any]


class FactPage(Struct, frozen=True, kw_only=True):
    """The next facts after a cursor, and the cursor of what follows them."""

    data: tuple[Fact, ...]
    next_cursor: str
    since: datetime
    """The feed has every fact from then on, unless it is older than facts are kept."""
