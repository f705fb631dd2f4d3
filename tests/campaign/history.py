"""What clients asked and were told, and what the ledger has in the end: the checker's two sides."""

from typing import Any

import msgspec
from msgspec import Struct

RETRY = frozenset({"no-answer", "recovering", "overloaded", "request-in-flight", "rate-limited"})
"""Answers that settle nothing: the same request may be made again, under the same key."""
UNANSWERED = "no-answer"


class Ask(Struct, frozen=True):
    """One thing a client wants, under one idempotency key, however often it has to ask."""

    key: str
    verb: str
    """hold, buy, restock; or, about an earlier hold: confirm, release, extend."""
    customer: str = ""
    lines: tuple[tuple[str, int], ...] = ()
    about: str = ""
    """The reservation's id, for the verbs that have one."""


class Told(Struct, frozen=True):
    """One attempt and its answer. Times are seconds of the client's monotonic clock."""

    ask: Ask
    started: float
    ended: float
    word: str
    """The reservation's status, `restocked`, a problem's code, or `no-answer`."""
    http: int = 0
    id: str = ""
    replayed: bool = False
    expires_in: float = 0.0
    """How long after the answer the hold still lives."""
    phase: str = "selling"
    """selling, or replay: the same key once more when all is quiet."""

    @property
    def settles(self) -> bool:
        return self.word not in RETRY


class Row(Struct, frozen=True):
    """A reservation in the ledger."""

    id: str
    customer: str
    status: str
    lines: tuple[tuple[str, int], ...]
    part: str = ""
    """The part of a spread sale that has it; '' for a sale on one partition."""


class Counters(Struct, frozen=True):
    stock: int
    held: int
    sold: int


class Ledger(Struct, frozen=True):
    """The ledger's whole knowledge of one sale, and memory's counters, when all is quiet."""

    rows: tuple[Row, ...]
    items: dict[str, Counters]
    memory: dict[str, Counters]
    restocks: tuple[tuple[str, str, int], ...]
    """(key, sku, units) of each."""
    transfers: tuple[tuple[str, str, int], ...] = ()
    """The restocks that move units between the parts of a spread sale."""
    refused: tuple[str, ...] = ()
    audit_ok: bool = True
    audit: Any = None


class History(Struct):
    """One round."""

    sale: str
    limit: int | None
    stock: dict[str, int]
    told: list[Told] = msgspec.field(default_factory=list)
    unsettled: list[Ask] = msgspec.field(default_factory=list)
    """Asks that were given up without an answer: a defect, unless the ask was a probe."""
