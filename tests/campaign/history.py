"""The clients' requests and answers, and the ledger's final state, which the checker compares."""

from typing import Any

import msgspec
from msgspec import Struct

from flashguard.model.locations import item_and_location

RETRY = frozenset({"no-answer", "recovering", "overloaded", "request-in-flight", "rate-limited"})
"""Answers that decide nothing: the same request may be repeated with the same key."""
UNANSWERED = "no-answer"


class Ask(Struct, frozen=True):
    """One request of a client, with one idempotency key and any number of attempts."""

    key: str
    verb: str
    """hold, buy, join, restock; or, about an earlier hold: confirm, release, extend, amend, part (a part is
    cancelled); or, about an entry of the waiting list: see, leave."""
    customer: str = ""
    lines: tuple[tuple[str, int], ...] = ()
    about: str = ""
    """The reservation's id, for the verbs that have one."""
    places: tuple[tuple[str, str], ...] = ()
    """(sku, location) of the lines that name one."""
    card: str = ""
    """The identity that a hold or a buy names; '' where the sale has no limit by card."""


HOLDING = ("held", "offered")
"""Answers after which a hold is live, for as long as they say."""


class Told(Struct, frozen=True):
    """One attempt and its answer. Times are seconds of the client's monotonic clock."""

    ask: Ask
    started: float
    ended: float
    word: str
    """The reservation's or the entry's status, `restocked`, a problem's code, or `no-answer`."""
    http: int = 0
    id: str = ""
    replayed: bool = False
    expires_in: float = 0.0
    """How long after the answer the hold is still live."""
    phase: str = "selling"
    """selling, or replay: the same key once more after the round."""
    located: tuple[tuple[str, int], ...] = ()
    """The units at each location, by counter, as the answer says."""

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
    located: tuple[tuple[str, int], ...] = ()
    """The units at each location, by counter."""
    created_ms: int = 0
    """All times are those of Valkey's clock."""
    ended_ms: int = 0
    """When its hold was confirmed or let go; 0: it has not ended."""
    hold_ms: int = 0
    """0: it was bought without a hold."""


class Entry(Struct, frozen=True):
    """An entry of the waiting list in the ledger."""

    id: str
    customer: str
    sku: str
    quantity: int
    state: str
    place: int
    created_ms: int
    ended_ms: int = 0
    """0: it waits."""
    part: str = ""


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
    """(key, counter, units) of each."""
    transfers: tuple[tuple[str, str, int], ...] = ()
    """The restocks that move units between the shards of a spread sale."""
    refused: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    rebuilt_ms: int = 0
    """When a memory was last rebuilt from the ledger, whichever partition's."""
    now_ms: int = 0
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
    recipes: dict[str, dict[str, int]] = {}
    """What one unit of an item draws from which pools; `stock` has the pools too."""
    split: bool = False
    """Whether a basket may be taken from several locations."""
    item_limits: dict[str, int] = {}
    """The most units of an item for one customer."""
    card_limit: int | None = None
    """The most units for one card, of the items in `card_skus`."""
    card_skus: tuple[str, ...] = ()
    hold_seconds: float = 0.0
    """No hold ends by itself before."""
    wall_offset: float = 0.0
    """Seconds from the clients' clock to that of Valkey, on one machine."""
    waiting_list: bool = False
    max_held: int | None = None
    """The most units that a customer may hold at a time."""
    cool_down_ms: int = 0
    """How long a customer may hold nothing after `cool_down_after` holds let go; 0: no such rule."""
    cool_down_after: int = 0
    holds_kept: bool = False
    """Whether no hold that was answered may be lost, whatever the fault: but those of a memory that has
    fallen back and is not rebuilt yet."""
    struck_at: float = 0.0
    """When the fault first struck a server; 0: it did not, or it says no moment."""
    cards_hold: bool = False
    """Whether both rules count for the card, too."""

    @property
    def pools(self) -> set[str]:
        return {pool for recipe in self.recipes.values() for pool in recipe}

    @property
    def located(self) -> dict[str, list[str]]:
        """The counters of each item that has its stock at locations; `stock` has them and their sums."""
        found: dict[str, list[str]] = {}
        for counter in self.stock:
            sku, location = item_and_location(counter)
            if location is not None:
                found.setdefault(sku, []).append(counter)
        return found

    def takes(self, lines: tuple[tuple[str, int], ...]) -> dict[str, int]:
        """Return the units of each item and each pool that these lines move."""
        takes: dict[str, int] = {}
        for sku, units in lines:
            for counter, each in {sku: 1, **self.recipes.get(sku, {})}.items():
                takes[counter] = takes.get(counter, 0) + each * units
        return takes


class Record(Struct, frozen=True):
    """Everything that decides about a round; `--histories` writes one as a JSON file per round."""

    history: History
    ledger: Ledger
    ids: dict[str, str]
    """The reservation's id of each key that held or bought, without the sale."""
    memory_forgets: bool
    """Whether the fault may lose memory's newest entries."""
