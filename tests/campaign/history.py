"""The clients' requests and answers, and the ledger's final state, which the checker compares."""

from typing import Any

import msgspec
from msgspec import Struct

RETRY = frozenset({"no-answer", "recovering", "overloaded", "request-in-flight", "rate-limited"})
"""Answers that decide nothing: the same request may be repeated with the same key."""
UNANSWERED = "no-answer"


class Ask(Struct, frozen=True):
    """One request of a client, with one idempotency key and any number of attempts."""

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
    """How long after the answer the hold is still live."""
    phase: str = "selling"
    """selling, or replay: the same key once more after the round."""

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
    """The shard of a spread sale that has it; '' for a sale on one partition."""


class Counters(Struct, frozen=True):
    stock: int
    held: int
    sold: int


class Ledger(Struct, frozen=True):
    """The ledger's whole knowledge of one sale, and memory's counters, after the round."""

    rows: tuple[Row, ...]
    items: dict[str, Counters]
    memory: dict[str, Counters]
    restocks: tuple[tuple[str, str, int], ...]
    """(key, sku, units) of each."""
    transfers: tuple[tuple[str, str, int], ...] = ()
    """The restocks that move units between the shards of a spread sale."""
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
    """Requests that were given up without an answer: a defect, except for probes."""
