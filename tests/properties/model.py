"""The kernel once more, in plain Python: one request after the other, nothing prefetched, nothing grouped.

It answers what the scripts must answer, and keeps the same journal. Where the Lua reads and writes each key
once for a whole batch, this looks at one dict at a time: what both agree on is what the rules say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flashguard.kernel.verbs import Verb

RECLAIM_PAGE = 200
COOL_DOWN_AFTER = 3
EXTENSIONS_MOST = 32
REVISIONS_MOST = 100
Lines = list[Any]
Admitted = int | tuple[int, str]
"""Until when a room admits a customer; with the sale whose room it is, where that is another one."""


def in_ledger(rules: dict[str, Any]) -> dict[str, Any]:
    """The rules as they are journalled: the ledger makes those of a sale's own room."""
    return {name: rule for name, rule in rules.items() if name not in ("room", "doors") or "of" in rule}


"""sku, quantity, sku, quantity, …"""
AT = "\x1f"
"""Between an item and a location in the name of a counter."""
ENDS = {"confirmed": "confirm", "released": "release", "expired": "expire"}
"""A hold's last status, and the verb that the journal has for it."""
NEXT = {
    "open": {"draft": "scheduled", "scheduled": "scheduled", "open": "open", "paused": "scheduled"},
    "pause": {"scheduled": "paused", "open": "paused", "paused": "paused"},
    "close": dict.fromkeys(("draft", "scheduled", "open", "paused", "closed"), "closed"),
    "patch": {status: status for status in ("draft", "scheduled", "open", "paused")},
    "delete": {"draft": "closed"},
}


@dataclass
class Config:
    """A sale's rules; 0 means none."""

    status: str = "open"
    starts_ms: int = 0
    ends_ms: int = 0
    hold_ms: int = 1_000
    max_hold_ms: int = 4_000
    limit: int = 0
    rules: dict[str, Any] = field(default_factory=dict)

    @property
    def counted(self) -> bool:
        return any(rule in self.rules for rule in ("max_held", "cool_down_ms", "waiting_most"))

    def status_at(self, now_ms: int) -> str:
        status = self.status
        if status == "scheduled" and now_ms >= self.starts_ms:
            status = "open"
        if status in ("scheduled", "open", "paused") and 0 < self.ends_ms <= now_ms:
            status = "closed"
        return status


@dataclass
class Item:
    stock: int
    held: int = 0
    sold: int = 0
    price: int | None = None
    """Since it was changed."""
    first: int | None = None
    """Before all changes, where it was changed."""
    off: bool = False
    """Off sale."""

    @property
    def available(self) -> int:
        return self.stock - self.held - self.sold


@dataclass
class Reservation:
    """`until_ms` is the deadline of a live hold, or when it ended."""

    status: str
    fingerprint: int
    created_ms: int
    hold_ms: int
    until_ms: int
    customer: str
    lines: Lines
    extensions: list[int] = field(default_factory=list)
    seq: int = 0
    details: dict[str, Any] | None = None

    @property
    def moves(self) -> Lines:
        """What the reservation moves: its lines, unless its details say otherwise."""
        return (self.details or {}).get("takes", self.lines)

    @property
    def revision(self) -> int:
        """How often it was amended."""
        return int((self.details or {}).get("revision", 0))

    @property
    def prices(self) -> dict[str, int]:
        """Its own prices, by sku."""
        return (self.details or {}).get("prices") or {}

    @property
    def identities(self) -> dict[str, str]:
        return (self.details or {}).get("identities", {})

    @property
    def in_ledger(self) -> bool:
        """Whether the ledger has more of it than memory."""
        return bool({"reference", "metadata"} & (self.details or {}).keys())

    @property
    def allocated(self) -> Lines | None:
        """What it takes, where units of locations are among it."""
        return self.moves if any(AT in name for name in self.moves[::2]) else None

    @property
    def takes(self) -> list[Lines]:
        """The takes as the last field of a transition: nothing where the lines say it."""
        return [self.details["takes"]] if "takes" in (self.details or {}) else []


@dataclass
class Restocked:
    fingerprint: int
    stock: int
    held: int
    sold: int
    seq: int


@dataclass
class Keyed:
    """A change of the sale that was asked for under a key."""

    verb: str
    status: str
    seq: int


@dataclass
class Amended:
    """What the request of a key made of a reservation."""

    fingerprint: int
    id: str
    revision: int
    customer: str
    lines: Lines
    details: dict[str, Any] | None
    seq: int


@dataclass
class Waiting:
    """An entry of the waiting list."""

    state: str
    fingerprint: int
    created_ms: int
    place: int
    customer: str
    sku: str
    quantity: int
    seq: int = 0
    admitted: bool = True
    identities: dict[str, str] = field(default_factory=dict)
    asleep_until: int = 0
    """It is offered nothing before, unless its customer's holds change."""


@dataclass
class Sale:
    config: Config
    items: dict[str, Item]
    """With the pools, of a sale that has some."""
    recipes: dict[str, Lines | str | dict[str, bool]] = field(default_factory=dict)
    """In a sale with pools: what a unit of each item draws, pool, quantity, …; "pool" for a pool; of an item
    with locations, {"at": True}; "location" for its counter at one."""
    reservations: dict[str, Reservation] = field(default_factory=dict)
    restocks: dict[str, Restocked] = field(default_factory=dict)
    changes: dict[str, Keyed] = field(default_factory=dict)
    amends: dict[str, Amended] = field(default_factory=dict)
    moved: dict[str, list[int]] = field(default_factory=dict)
    """sku -> transfers out, transfers in, units out, units in: of a spread sale's shards."""
    expired_holds: dict[str, tuple[int, int]] = field(default_factory=dict)
    """customer -> holds that ended without an order, and when the last did; where a rule counts them."""

    waiting: dict[str, Waiting] = field(default_factory=dict)
    place: int = 0
    owed: dict[str, int] = field(default_factory=dict)
    """sku -> free units that are set aside for the first in line, who wants more."""
    until: dict[str, int] = field(default_factory=dict)
    """sku -> when units stop being set aside for an entry that wants more than are free."""
    touched: list[str] = field(default_factory=list)
    """Items that the request in hand changed: those who wait for them are looked at after it."""
    due: set[tuple[Any, ...]] = field(default_factory=set)
    """(ms, sku), and for an entry that sleeps (ms, sku, quantity, place, id): to be looked at again then."""
    for_unadmitted: set[str] = field(default_factory=set)
    """Items with free units that those may have whom the waiting room did not admit, once nobody is in it."""

    def is_item(self, name: str) -> bool:
        return name in self.items and not isinstance(self.recipes.get(name), str)

    def is_located(self, sku: str) -> bool:
        return isinstance(self.recipes.get(sku), dict)

    def takes(self, lines: Lines) -> dict[str, int]:
        """What these lines move, by counter: the items, and the pools that they draw from."""
        takes: dict[str, int] = {}
        for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
            recipe = self.recipes.get(sku, [])
            drawn = recipe if isinstance(recipe, list) else []
            for name, each in [(sku, 1), *zip(drawn[::2], drawn[1::2], strict=True)]:
                takes[name] = takes.get(name, 0) + each * quantity
        return takes

    def draws(self, sku: str) -> bool:
        """Whether an item draws from pools or locations."""
        return self.is_item(sku) and bool(self.recipes.get(sku))

    def with_takes(self, lines: Lines, details: dict[str, Any] | None) -> dict[str, Any] | None:
        """The details of a reservation, with what it moves where that is not its lines."""
        if not any(self.draws(sku) for sku in lines[::2]):
            return details
        takes = [value for pair in self.takes(lines).items() for value in pair]
        return {**(details or {}), "takes": takes}

    def placed(
        self, lines: Lines, details: dict[str, Any], before: Lines | None
    ) -> tuple[dict[str, int], list[Any] | None]:
        """Where items with locations take their units, by counter; and the refusal where there are too few.

        Parameters:
            details: pick_up, what lines are taken where; takes, what an expired hold had.
            before: what the reservation takes until now.
        """
        named, places = _pairs(details.get("pick_up", [])), self.config.rules["locations"][::2]
        free = {name: max(0, item.available) for name, item in self.items.items()}
        takes: dict[str, int] = {}
        refused: list[Any] | None = None

        def take(sku: str, place: str, units: int, too_few: int | None = None) -> None:
            nonlocal refused
            counter = f"{sku}{AT}{place}"
            if units > free[counter] or too_few is not None:
                refused = refused or ["sold-out", sku, free[counter] if too_few is None else too_few]
            free[counter] = max(0, free[counter] - units)
            takes[counter] = takes.get(counter, 0) + units

        wished = details.get("takes", [])
        is_there = all(free.get(name, -1) >= n for name, n in _pairs(wished).items())
        had = _pairs(before if before is not None else wished if is_there else [])
        rest: list[tuple[str, int]] = []
        for sku, left in zip(lines[::2], lines[1::2], strict=True):
            if not self.is_located(sku):
                continue
            for place in places:
                counter = f"{sku}{AT}{place}"
                stays = min(left, had.get(counter, 0)) if named.get(sku, place) == place else 0
                if stays and before is None:
                    take(sku, place, stays)
                elif stays:
                    takes[counter] = takes.get(counter, 0) + stays
                had[counter], left = had.get(counter, 0) - stays, left - stays
            if left and sku in named:
                take(sku, named[sku], left)
            elif left:
                rest.append((sku, left))

        def fit(place: str) -> tuple[int, int]:
            wanted: dict[str, int] = {}
            for n, (sku, units) in enumerate(rest):
                wanted[sku] = wanted.get(sku, 0) + units
                if wanted[sku] > free[f"{sku}{AT}{place}"]:
                    return n, free[f"{sku}{AT}{place}"]
            return len(rest), 0

        best = max(places, key=fit)  # the first of those that are alike
        apart = self.config.rules.get("split") and fit(best)[0] < len(rest)
        for sku, units in rest:
            found = sum(free[f"{sku}{AT}{place}"] for place in places) if apart else None
            for place in places if apart else ():
                some = min(units, free[f"{sku}{AT}{place}"])
                if some:
                    take(sku, place, some)
                units -= some
            if units:
                take(sku, best, units, found)
        return takes, refused

    def with_prices(
        self, lines: Lines, details: dict[str, Any] | None, before: "Reservation | None" = None
    ) -> dict[str, Any] | None:
        """The details of a reservation, with today's prices of what it did not have before."""
        kept = {} if before is None else {sku: before.prices.get(sku) for sku in before.lines[::2]}
        today = {sku: self.items[sku].price for sku in lines[::2] if sku in self.items}
        prices = {sku: price for sku, price in (today | kept).items() if price is not None and sku in lines}
        return {**(details or {}), "prices": prices} if prices else details

    def prices(self, one: Reservation) -> dict[str, int]:
        """The prices of a reservation, of those items whose prices have changed."""
        now = {sku: self.items[sku].first for sku in one.lines[::2] if sku in self.items}
        shown = now | {sku: price for sku, price in one.prices.items() if sku in one.lines}
        return {sku: price for sku, price in shown.items() if price is not None}

    def told(self, one: Reservation) -> list[Any]:
        """What an answer says of a hold beside its content: whether the ledger has more, takes, prices."""
        prices, at = self.prices(one), one.allocated
        if prices:
            return [one.in_ledger, at or False, prices]
        return [one.in_ledger, at] if at else [True] if one.in_ledger else []

    def amended(self, one: Reservation) -> list[list[Any]]:
        """The same as a receipt needs it: see told_of in told.lua."""
        at, pick_up = one.allocated, (one.details or {}).get("pick_up")
        told = [one.in_ledger, at, at and pick_up, one.identities, self.prices(one)]
        while told and not told[-1]:
            told.pop()
        told = [each or False for each in told]
        return [[one.fingerprint, one.revision, *told]] if one.revision or told else []

    def off_sale(self, lines: Lines) -> list[Any] | None:
        for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
            if sku in self.items and self.items[sku].off and quantity > 0:
                return ["item-not-on-sale", sku]
        return None

    def available(self, sku: str) -> int:
        """How many units of an item a line can be given, by its own counters and its pools' or locations'."""
        if self.is_located(sku):
            units = [item.available for name, item in self.items.items() if name.startswith(sku + AT)]
            most = sum(units) if self.config.rules.get("split") else max(units)
            return min(self.items[sku].available, most)
        units = self.items[sku].available - self.owed.get(sku, 0)
        return min([units, *(self.items[pool].available // each for pool, each in self.takes_of_one(sku))])

    def takes_of_one(self, sku: str) -> list[tuple[str, int]]:
        return [(name, each) for name, each in self.takes([sku, 1]).items() if name != sku]

    def line(self, sku: str) -> list[tuple[str, Waiting]]:
        """Who waits for units of this item, in order."""
        waiting = [(id_, e) for id_, e in self.waiting.items() if e.sku == sku and e.state == "waiting"]
        return sorted(waiting, key=lambda one: one[1].place)

    def used(self, customer: str) -> int:
        """The units that a customer holds or has bought: counted anew each time."""
        return sum(
            sum(one.lines[1::2])
            for one in self.reservations.values()
            if one.customer == customer and one.status in ("held", "confirmed")
        )

    def counts(self, customer: str, lines: Lines, identities: dict[str, str]) -> dict[str, int]:
        """What these lines count for, beside the customer's units in the sale: of each item with a limit, and
        of each identity; in the order in which they are checked."""
        counts: dict[str, int] = {}
        for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
            if sku in self.config.rules.get("item_limits", {}):
                counts[f"{customer}\x1f{sku}"] = counts.get(f"{customer}\x1f{sku}", 0) + quantity
        for by, _, *skus in self.config.rules.get("limits", []):
            if by in identities and (units := _units_of(lines, *skus)):
                counts[f"\x1f{by}\x1f{identities[by]}"] = units
        return counts

    def missing(self, lines: Lines, identities: dict[str, str]) -> str | None:
        """An identity by which a limit counts these lines, and that is not named."""
        for by, _, *skus in self.config.rules.get("limits", []):
            if by not in identities and _units_of(lines, *skus):
                return str(by)
        return None

    def unknown_identity(self, identities: dict[str, str]) -> str | None:
        unknown = identities.keys() - {by for by, *_ in self.config.rules.get("limits", [])}
        return min(unknown, default=None)

    def used_of_limits(self) -> dict[str, int]:
        """The units of everything that limits by item and by identity count: anew each time."""
        counted: dict[str, int] = {}
        for one in self.reservations.values():
            if one.status in ("held", "confirmed"):
                for field_, units in self.counts(one.customer, one.lines, one.identities).items():
                    counted[field_] = counted.get(field_, 0) + units
        return counted

    def over(self, counts: dict[str, int]) -> list[Any] | None:
        """The refusal of the first limit that these units go beyond."""
        counted = self.used_of_limits() if counts else {}
        for field_, units in counts.items():
            customer, name, *_ = field_.split("\x1f")
            used = counted.get(field_, 0)
            if customer:
                most, what = self.config.rules["item_limits"][name], [name]
            else:
                most, what = (
                    next(limit[1] for limit in self.config.rules["limits"] if limit[0] == name),
                    ["", name],
                )
            if units > 0 and 0 < most < used + units:
                return ["limit-reached", most, used, *what]
        return None

    def holders(self, customer: str, identities: dict[str, str]) -> list[str]:
        """For whom a hold counts: its customer, and the identities that the rules name."""
        names = [by for by in self.config.rules.get("holds_by", []) if by in identities]
        return [customer, *(f"\x1f{by}\x1f{identities[by]}" for by in names)]

    def held(self, holder: str) -> int:
        """The units in the live holds of a customer, or of all who name an identity."""
        return sum(
            sum(one.lines[1::2])
            for one in self.reservations.values()
            if one.status == "held" and holder in self.holders(one.customer, one.identities)
        )

    def over_budget(self, holders: list[str], units: list[int]) -> list[Any] | None:
        """The refusal of the first who would hold too much with these units more, a number for each."""
        most = self.config.rules.get("max_held")
        for holder, more in zip(holders, units, strict=True):
            if most is not None and more > 0 and self.held(holder) + more > most:
                return ["hold-budget-reached", most, self.held(holder), *_name_of(holder)]
        return None

    def cools_until(self, holders: list[str]) -> tuple[int, list[str]]:
        """Until when the last of these may hold nothing, 0 where all may; and the name of an identity."""
        rules, latest = self.config.rules, (0, holders[0])
        for holder in holders:
            expired_holds, last_ms = self.expired_holds.get(holder, (0, 0))
            until_ms = last_ms + rules.get("cool_down_ms", 0)
            if expired_holds >= rules.get("cool_down_after", COOL_DOWN_AFTER) and until_ms > latest[0]:
                latest = until_ms, holder
        return latest[0], _name_of(latest[1])

    def ended(self, now_ms: int) -> list[str]:
        """Live holds whose time has ended, the oldest deadline first."""
        return sorted(
            (
                id_
                for id_, one in self.reservations.items()
                if one.status == "held" and one.until_ms <= now_ms
            ),
            key=lambda id_: (self.reservations[id_].until_ms, id_),
        )


@dataclass
class Entry:
    """A journal entry: what it says happened, and the counters after it."""

    seq: int
    transitions: list[list[Any]]
    counters: dict[tuple[str, str], tuple[int, int, int]]


class Model:
    """One partition."""

    def __init__(self) -> None:
        self.sales: dict[str, Sale] = {}
        self.deleted: set[str] = set()
        """Drafts of which memory keeps a mark, until the ledger has deleted them."""
        self.journal: list[Entry] = []
        self.epoch = 1
        self.seq = 1
        self.recorded = 0
        self.now_ms = 0
        self._transitions: list[list[Any]] = []
        self._touched: set[tuple[str, str]] = set()
        self._held_at: dict[tuple[str, str], int] = {}
        """The newest entry that holds or sells units of an item, by sale and sku."""
        self._serving = False
        self._nowhere: list[Any] | None = None
        """Why the lines of the request in hand find too few units at locations."""

    def call(self, verb: Verb, requests: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        """One script call: the requests one by one, in their order, then one journal entry for them all."""
        decide: Callable[..., list[Any]] = getattr(self, f"_{verb.name.lower()}")
        results = []
        for name, *rest in requests:
            results.append(decide(name, *rest))
            self._serve_waiting(name)
        if self._transitions:
            self.seq += 1
            counters = {
                (sale, sku): (item.stock, item.held, item.sold)
                for sale, sku in self._touched
                for item in (self.sales[sale].items[sku],)
            }
            self.journal.append(Entry(self.seq, self._transitions, counters))
            for kind, sale, _, lines, *_ in self._transitions:
                if kind in ("hold", "buy", "honour", "amend"):
                    self._held_at |= dict.fromkeys(((sale, sku) for sku in lines[::2]), self.seq)
        self._transitions, self._touched = [], set()
        return results

    def note_creation(self, name: str, definition: str) -> None:
        """A sale enters memory for the first time: an entry of its own says so."""
        self.seq += 1
        self.journal.append(Entry(self.seq, [["create", name, "", [], self.now_ms, definition]], {}))

    def rebuild(self) -> None:
        """Memory comes back from the ledger under a new epoch: the same sales, a new journal."""
        self.epoch, self.seq, self.recorded, self.journal = self.epoch + 1, 1, 0, []
        self._held_at = {}
        for sale in self.sales.values():
            kept = (sale.reservations, sale.restocks, sale.changes, sale.amends, sale.waiting)
            for one in (one for some in kept for one in some.values()):
                one.seq = 0  # type: ignore[attr-defined]
            sale.owed, sale.until, sale.for_unadmitted = {}, {}, set()
            sale.due = {(0, e.sku) for e in sale.waiting.values() if e.state == "waiting"}
            for e in sale.waiting.values():
                e.asleep_until = 0
                e.admitted = e.admitted or "room" not in sale.config.rules

    # Verbs. Each takes one request: the sale's id, then what the script takes.

    def _reserve(
        self, name: str, id_: str, fingerprint: int, customer: str, lines: Lines, buy: bool,
        admission: Admitted = 0, spread: None = None, details: dict[str, Any] | None = None,
    ) -> list[Any]:  # fmt: skip
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        known = sale.reservations.get(id_)
        if known is not None:
            if known.fingerprint != fingerprint:
                return ["idempotency-mismatch"]
            at = [known.moves if known.status == "held" else []] if "locations" in sale.config.rules else []
            if known.hold_ms == 0:
                seq = self._unrecorded(known) if known.status == "confirmed" else 0
                if sale.with_prices(lines, None):  # the ledger has its prices
                    at = [*(at or [False]), True]
                return ["confirmed", True, known.created_ms, 0, known.created_ms, seq, *at]
            prices = sale.prices(known) if known.status == "held" else {}
            at = ["", *(at or [False]), prices] if prices else ["", *at] if at else []
            return ["held", True, known.created_ms, known.hold_ms, 0, 0, *at]
        config = sale.config
        if (status := config.status_at(self.now_ms)) != "open":
            return ["sale-not-open", status, config.starts_ms]
        if not self._is_admitted(config, admission):
            return ["queue-required"]
        details, refused = self._with_takes(name, lines, details)
        if refused is None:
            refused = sale.off_sale(lines)
        if refused is not None:
            return refused
        identities = (details or {}).get("identities", {})
        if (missing := sale.missing(lines, identities)) is not None:
            return ["identity-required", missing]
        if (other := sale.unknown_identity(identities)) is not None:
            return ["unknown-identity", other]
        holders = sale.holders(customer, identities)
        if not buy and (refused := self._cooling(name, holders)) is not None:
            return refused
        details = sale.with_prices(lines, details)
        takes = (details or {}).get("takes", lines)
        counts = sale.counts(customer, lines, identities)
        if (refused := self._shortage(name, holders, lines, takes, counts, hold=not buy)) is not None:
            return refused
        now = self.now_ms
        hold_ms = 0 if buy else config.hold_ms
        status = "confirmed" if buy else "held"
        sale.reservations[id_] = Reservation(
            status, fingerprint, now, hold_ms, now + hold_ms, customer, lines, [], self.seq + 1, details
        )
        self._move(name, takes, "sold" if buy else "held", 1)
        more = [] if details is None else [details]
        verb = "buy" if buy else "hold"
        self._transitions.append([verb, name, id_, lines, now, fingerprint, customer, hold_ms, *more])
        at = [takes] if "locations" in config.rules else []
        prices = (details or {}).get("prices")
        at = [*(at or [False]), prices] if prices else at
        at = ["", *at] if at and not buy else at
        return [status, False, now, hold_ms, now if buy else 0, self.seq + 1 if buy else 0, *at]

    def _with_takes(
        self, name: str, lines: Lines, details: dict[str, Any] | None, before: Lines | None = None
    ) -> tuple[dict[str, Any] | None, list[Any] | None]:
        """The details of a reservation of these lines, with what it moves; or why it can't be. A location is
        chosen once nothing is over and nobody waits for what is free."""
        sale = self.sales[name]
        rules, pick_up = sale.config.rules, (details or {}).get("pick_up", [])
        if "pools" in rules and (unknown := [sku for sku in lines[::2] if not sale.is_item(sku)]):
            return None, ["unknown-item", unknown[0]]
        if pick_up and "locations" not in rules:
            return None, ["unknown-location", pick_up[1]]
        if not pick_up and not any(map(sale.is_located, lines[::2])):
            return sale.with_takes(lines, details), None
        if not self._serving:
            while self._reclaim(name):
                pass
            for sku in lines[::2]:
                self._touch(sale, sku)
            self._serve_waiting(name)
        for sku, place in ((sku, _pairs(pick_up).get(sku)) for sku in lines[::2]):
            if place is not None and not (sale.is_located(sku) and place in rules["locations"][::2]):
                return None, ["unknown-location", place]
        at, self._nowhere = sale.placed(lines, details or {}, before)
        takes = [value for pair in (sale.takes(lines) | at).items() for value in pair]
        return {**(details or {}), "takes": takes}, None

    def _confirm(self, name: str, id_: str, grant: list[Any] | None = None) -> list[Any]:
        known = self._reservation(name, id_)
        ended = known is not None and (
            known.status == "expired" or (known.status == "held" and self.now_ms >= known.until_ms)
        )
        if grant is None or not (known is None or ended):
            revision = grant[5].get("revision", 0) if grant is not None and len(grant) > 5 else 0
            if known is not None and known.status == "held" and revision > known.revision:
                return ["reservation-amended"]
            return self._end(name, id_, "confirmed")
        return self._late_confirm(name, id_, known, *grant)

    def _late_confirm(
        self, name: str, id_: str, known: Reservation | None,
        fingerprint: int, customer: str, lines: Lines, created_ms: int, hold_ms: int,
        details: dict[str, Any] | None = None,
    ) -> list[Any]:  # fmt: skip
        """A receipt for a hold that is over or forgotten: an order while its units can be had."""
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        if known is not None and known.fingerprint != fingerprint:
            return ["idempotency-mismatch"]
        if known is not None and known.revision != (details or {}).get("revision", 0):
            if known.status == "held":
                self._finish(name, id_, "expired", known.until_ms)
            return ["reservation-expired", "amended"]
        status = sale.config.status_at(self.now_ms)
        if known is not None and known.status == "held":
            if status not in ("open", "paused"):
                return self._end(name, id_, "confirmed")
            times = [known.created_ms, known.hold_ms, known.until_ms, self.now_ms]
            self._finish(name, id_, "confirmed", self.now_ms)
            return ["confirmed", known.customer, known.lines, *times, self.seq + 1, *sale.told(known)]
        if status in ("open", "paused"):
            details, refused = self._with_takes(name, lines, details)
            takes = (details or {}).get("takes", lines)
            identities = (details or {}).get("identities", {})
            if refused is None and (missing := sale.missing(lines, identities)) is not None:
                refused = ["identity-required", missing]
            counts = sale.counts(customer, lines, identities)
            refused = refused or self._shortage(name, [customer], lines, takes, counts)
        else:
            refused = ["sale-not-open", status, sale.config.starts_ms]
        expires_ms = created_ms + hold_ms
        if refused is not None:
            return ["reservation-expired", refused[0]] if self.now_ms >= expires_ms else refused
        if known is not None:
            created_ms, hold_ms = known.created_ms, known.hold_ms
            self._count_expired(sale, sale.holders(customer, identities), known.until_ms, -1)
        times = [created_ms, hold_ms, expires_ms, self.now_ms]
        one = sale.reservations[id_] = Reservation(
            "confirmed", fingerprint, created_ms, hold_ms, self.now_ms, customer, lines,
            known.extensions if known is not None else [], self.seq + 1, details,
        )  # fmt: skip
        self._move(name, takes, "sold", 1)
        more = [] if details is None else [details]
        self._transitions.append(
            ["honour", name, id_, lines, self.now_ms, fingerprint, customer, hold_ms, created_ms, *more]
        )
        told = sale.told(one)
        told = [False, *told[1:]] if len(told) > 1 else []
        return ["confirmed", customer, lines, *times, self.seq + 1, *told]

    def _release(self, name: str, id_: str) -> list[Any]:
        return self._end(name, id_, "released")

    def _amend(
        self, name: str, id_: str, key: str, body: int,
        change: dict[str, Any] | None = None, order: dict[str, Any] | None = None,
    ) -> list[Any]:  # fmt: skip
        """Another basket of a hold or of an order, or another customer of a hold: one step, or nothing."""
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        if (used := self._used_before(sale, key, body)) is not None:
            return used
        known = sale.reservations.get(id_)
        if known is None:
            return ["unknown-reservation"]
        live = known.status == "held"
        if live and self.now_ms >= known.until_ms:
            self._finish(name, id_, "expired", known.until_ms)
            return ["reservation-expired"]
        if live and change is None:
            return ["reservation-held"]
        if (order is not None or not live) and (no := self._not_that_order(known, order)) is not None:
            return no
        assert change is not None
        config, customer = sale.config, change.get("customer", known.customer)
        lines = change.get("lines", known.lines)
        of = change if "lines" in change or not live else known.details or {}
        pick_up = {name: of[name] for name in ("pick_up",) if name in of}
        takes, no = self._with_takes(name, lines, pick_up, known.moves)
        if no is not None:
            return no
        takes = takes or {}
        if known.revision == REVISIONS_MOST:
            return ["limit-reached", REVISIONS_MOST]
        limited = config.rules.keys() & {"item_limits", "limits"}
        if change.get("elsewhere") and (config.limit or config.counted or limited):
            return ["limits-elsewhere"]
        moves = _difference(known.moves, takes.get("takes", lines))
        for sku in moves[::2]:
            if sku not in sale.items:
                return ["unknown-item", sku]
        more = [v for sku, n in zip(moves[::2], moves[1::2], strict=True) if n > 0 for v in (sku, n)]
        added = lines if customer != known.customer else _difference(known.lines, lines)
        units = sum(added[1::2])
        if more and (missing := sale.missing(lines, known.identities)) is not None:
            return ["identity-required", missing]
        counts = sale.counts(customer, lines, known.identities)
        for field_, n in sale.counts(known.customer, known.lines, known.identities).items():
            counts[field_] = counts.get(field_, 0) - n
        if more or units > 0:
            if live and more and (status := config.status_at(self.now_ms)) != "open":
                return ["sale-not-open", status, config.starts_ms]
            if customer == known.customer and (no := sale.off_sale(added)) is not None:
                return no
            grows = sum(lines[1::2]) - sum(known.lines[1::2])
            holders = sale.holders(customer, known.identities if grows > 0 else {})
            if live and units > 0 and (no := self._cooling(name, holders)) is not None:
                return no
            if (no := self._shortage(name, holders, added, more, counts, grows, hold=live)) is not None:
                return no
        restock, cancelled = change.get("restock", True), change.get("cancelled")
        self._move(name, moves, "held" if live else "sold", 1)
        if not restock:
            fewer = [v for sku, n in zip(moves[::2], moves[1::2], strict=True) if n < 0 for v in (sku, n)]
            self._move(name, fewer, "stock", 1)
        if "waiting_most" in config.rules:
            self._wake(sale, known.customer)
            self._wake(sale, customer)
        details = takes | ({} if cancelled is None else {"cancelled": cancelled})
        details = sale.with_prices(lines, details, known) or {}
        changed = ("takes", "pick_up")
        known.details = {k: v for k, v in (known.details or {}).items() if k not in changed} | details
        known.details["revision"] = revision = known.revision + 1
        known.customer, known.lines, known.seq = customer, lines, self.seq + 1
        made = (customer, lines, details or None)
        sale.amends[key] = Amended(body, id_, revision, *made, self.seq + 1)
        self._transitions.append(
            ["amend", name, id_, lines, self.now_ms, key, body, customer, revision, not live, moves, restock,
             change.get("reason", ""), made[2]]
        )  # fmt: skip
        times = [known.created_ms, known.hold_ms, known.until_ms if live else 0]
        told = sale.amended(known)[0][2:] if live else []
        more = ["", *told] if told else []  # '': the hold must be on the disk, as any
        return ["amended", customer, lines, *times, known.fingerprint, revision, self.seq + 1, *more]

    def _used_before(self, sale: Sale, key: str, body: int) -> list[Any] | None:
        used = sale.amends.get(key)
        if used is None:
            return None
        return ["idempotency-mismatch"] if used.fingerprint != body else ["as-it-is", self._unrecorded(used)]

    def _not_that_order(self, known: Reservation, order: dict[str, Any] | None) -> list[Any] | None:
        if known.status != "confirmed" or order is None:
            return [f"reservation-{known.status}"]
        if known.fingerprint != order["fingerprint"]:
            return ["idempotency-mismatch"]
        if known.revision != order["revision"]:
            return ["amended-since", self._unrecorded(known)]
        return None

    def _cancel(
        self, name: str, id_: str, order: dict[str, Any], restock: bool, reason: str,
        key: str | None = None, body: int | None = None,
    ) -> list[Any]:  # fmt: skip
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        if key is not None and (used := self._used_before(sale, key, body or 0)) is not None:
            return used
        known = self._reservation(name, id_)
        if known is None:
            return ["unknown-reservation"]
        if known.status == "cancelled" and key is None:
            return ["as-it-is", self._unrecorded(known)]
        if (no := self._not_that_order(known, order)) is not None:
            return no
        customer, lines, takes = order["customer"], order["lines"], order.get("takes")
        if key is not None:
            made = (customer, lines, None, self.seq + 1)
            sale.amends[key] = Amended(body or 0, id_, known.revision, *made)
        known.status, known.until_ms, known.seq = "cancelled", self.now_ms, self.seq + 1
        self._move(name, takes or lines, "sold", -1)
        if not restock:
            self._move(name, takes or lines, "stock", -1)
        if "waiting_most" in self.sales[name].config.rules:
            self._wake(self.sales[name], customer)
        self._transitions.append(["cancel", name, id_, lines, self.now_ms, restock, reason, takes, key, body])
        return ["cancelled", self.now_ms, self.seq + 1]

    def _end(self, name: str, id_: str, status: str) -> list[Any]:
        known = self._reservation(name, id_)
        if known is None:
            return ["unknown-reservation"]
        if known.status == status:
            return ["as-it-is", self._unrecorded(known)]
        if known.status != "held":
            return [f"reservation-{known.status}"]
        if self.now_ms >= known.until_ms:
            self._finish(name, id_, "expired", known.until_ms)
            return ["reservation-expired"]
        times = [known.created_ms, known.hold_ms, known.until_ms, self.now_ms]
        self._finish(name, id_, status, self.now_ms)
        return [status, known.customer, known.lines, *times, self.seq + 1, *self.sales[name].told(known)]

    def _cooling(self, name: str, holders: list[str]) -> list[Any] | None:
        """Why one of these may hold nothing for a while; a hold of theirs that has just ended counts."""
        sale = self.sales[name]
        if "cool_down_ms" not in sale.config.rules:
            return None
        while any(map(sale.held, holders)) and self._reclaim(name):
            pass
        until_ms, by = sale.cools_until(holders)
        return ["cooling-down", until_ms - self.now_ms, *by] if until_ms > self.now_ms else None

    def _count_expired(self, sale: Sale, holders: list[str], at_ms: int, more: int) -> None:
        if not sale.config.counted or at_ms < sale.config.rules.get("counted_since_ms", 0):
            return
        for holder in holders:
            expired_holds, last_ms = sale.expired_holds.get(holder, (0, 0))
            if expired_holds + more > 0:
                sale.expired_holds[holder] = (expired_holds + more, max(last_ms, at_ms))
            else:
                sale.expired_holds.pop(holder, None)

    def _shortage(
        self, name: str, holders: list[str], lines: Lines, takes: Lines, counts: dict[str, int],
        grows: int | None = None, *, hold: bool = False,
    ) -> list[Any] | None:  # fmt: skip
        """Why these units can't be given; holds past their end are expired before it says so.

        Parameters:
            holders: the customer first, see Sale.holders.
            grows: how many units more the identities among them hold then; None: as many as the customer.
        """
        sale, customer = self.sales[name], holders[0]
        for sku in takes[::2]:
            if sku not in sale.items:
                return ["unknown-item", sku]
        if "waiting_most" in sale.config.rules:
            for sku in takes[::2]:
                self._touch(sale, sku)
            self._serve_waiting(name)

        units = sum(lines[1::2])

        def over_limit() -> bool:
            return 0 < sale.config.limit < sale.used(customer) + units and units > 0

        more = [units, *[units if grows is None else grows] * (len(holders) - 1)]

        def over_budget() -> list[Any] | None:
            return sale.over_budget(holders, more) if hold else None

        while (short := _short_line(sale, takes)) or over_limit() or sale.over(counts) or over_budget():
            if not self._reclaim(name):
                if over_limit():
                    return ["limit-reached", sale.config.limit, sale.used(customer)]
                if (over := sale.over(counts)) is not None:
                    return over
                if (over := over_budget()) is not None:
                    return over
                assert short is not None
                counter, available = short
                if sale.is_item(counter):
                    return ["sold-out", counter, available]
                if AT in counter:
                    assert self._nowhere is not None
                    return self._nowhere
                sku = next(sku for sku in lines[::2] if counter in sale.takes([sku, 1]))
                return ["sold-out", sku, sale.available(sku), counter]
        return None

    def _extend(self, name: str, id_: str, key: int) -> list[Any]:
        known = self._reservation(name, id_)
        if known is None:
            return ["unknown-reservation"]
        if known.status != "held":
            return [f"reservation-{known.status}"]
        if self.now_ms >= known.until_ms:
            self._finish(name, id_, "expired", known.until_ms)
            return ["reservation-expired"]
        config = self.sales[name].config
        keys = known.extensions[::2]
        if key in keys:
            until_ms = known.extensions[2 * keys.index(key) + 1]
            times = [known.created_ms, known.hold_ms, until_ms]
            return ["held", True, known.customer, known.lines, *times, *self.sales[name].amended(known)]
        if (status := config.status_at(self.now_ms)) != "open":
            return ["sale-not-open", status, config.starts_ms]
        if len(keys) >= EXTENSIONS_MOST:
            return ["limit-reached", EXTENSIONS_MOST]
        longest = min(self.now_ms + config.hold_ms, known.created_ms + config.max_hold_ms)
        known.until_ms = max(known.until_ms, longest)
        known.extensions = [*known.extensions, key, known.until_ms]
        self._transitions.append(["extend", name, id_, [], self.now_ms, key, "", known.until_ms])
        times = [known.created_ms, known.hold_ms, known.until_ms]
        return ["held", False, known.customer, known.lines, *times, *self.sales[name].amended(known)]

    def _expire(self, name: str) -> list[Any]:
        sale = self.sales.get(name)
        if sale is None:
            return [0, False]
        status = sale.config.status_at(self.now_ms)
        if status != sale.config.status:
            sale.config.status = status
            self._note_sale(name)
        count = len(sale.ended(self.now_ms))
        while self._reclaim(name):
            pass
        self._serve_waiting(name, beat=True)
        return [count, False]

    def _waiting_list(self, name: str, verb: str, id_: str, *asked: Any) -> list[Any]:
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        if verb == "join":
            return self._join(name, sale, id_, *asked)
        entry = sale.waiting.get(id_)
        if entry is None:
            return ["unknown-entry"]
        if verb == "see" or entry.state != "waiting":
            return self._seen(sale, id_, True)
        self._end_waiting(name, id_, "left")
        self._touch(sale, entry.sku)
        self._serve_waiting(name)
        return self._seen(sale, id_, False)

    def _is_admitted(self, config: Config, admission: Admitted) -> bool:
        if "room" not in config.rules:
            return True
        until_ms, host = admission if isinstance(admission, tuple | list) else (admission, None)
        return host == config.rules["room"].get("of") and self.now_ms < until_ms

    def _join(
        self, name: str, sale: Sale, id_: str, fingerprint: int, customer: str, sku: str, quantity: int,
        admission: Admitted, details: dict[str, Any] | None = None,
    ) -> list[Any]:  # fmt: skip
        entry = sale.waiting.get(id_)
        if entry is not None:
            return (
                ["idempotency-mismatch"] if entry.fingerprint != fingerprint else self._seen(sale, id_, True)
            )
        config = sale.config
        if (status := config.status_at(self.now_ms)) not in ("open", "paused"):
            return ["sale-not-open", status, config.starts_ms]
        most = config.rules.get("waiting_most", 0)
        if not most:
            return ["no-waiting-list"]
        if id_ in sale.reservations:
            return ["idempotency-mismatch"]
        if not sale.is_item(sku):
            return ["unknown-item", sku]
        if sale.items[sku].off:
            return ["item-not-on-sale", sku]
        admitted = self._is_admitted(config, admission)
        if not admitted and sale.available(sku) >= 1:
            return ["queue-required"]
        identities = (details or {}).get("identities", {})
        if (missing := sale.missing([sku, quantity], identities)) is not None:
            return ["identity-required", missing]
        if (unknown := sale.unknown_identity(identities)) is not None:
            return ["unknown-identity", unknown]
        holders = sale.holders(customer, identities)
        if (refused := self._cooling(name, holders)) is not None:
            return refused
        counts = sale.counts(customer, [sku, quantity], identities)
        while (refused := self._over_limit(sale, holders, quantity, counts)) is not None:
            if not self._reclaim(name):
                break
        if refused is not None:
            return refused
        waiting = {other: e for other, e in sale.waiting.items() if e.state == "waiting"}
        for other, e in waiting.items():
            if e.customer == customer:
                return ["already-waiting", other]
        if len(waiting) >= most:
            return ["waiting-list-full", most]
        sale.place += 1
        sale.waiting[id_] = Waiting(
            "waiting", fingerprint, self.now_ms, sale.place, customer, sku, quantity, self.seq + 1, admitted,
            identities,
        )  # fmt: skip
        self._transitions.append(
            [
                "join",
                name,
                id_,
                [sku, quantity],
                self.now_ms,
                fingerprint,
                customer,
                sale.place,
                admitted,
                *([identities] if identities else []),
            ]
        )
        self._touch(sale, sku)
        self._serve_waiting(name)
        return self._seen(sale, id_, False)

    def _over_limit(
        self, sale: Sale, holders: list[str], quantity: int, counts: dict[str, int]
    ) -> list[Any] | None:
        limit, customer = sale.config.limit, holders[0]
        if limit and sale.used(customer) + quantity > limit:
            return ["limit-reached", limit, sale.used(customer)]
        if (over := sale.over(counts)) is not None:
            return over
        return sale.over_budget(holders, [quantity] * len(holders))

    def _seen(self, sale: Sale, id_: str, as_it_was: bool) -> list[Any]:
        e = sale.waiting[id_]
        line = [other for other, _ in sale.line(e.sku)]
        place = line.index(id_) + 1 if e.state == "waiting" else 0
        seq = e.seq if e.seq > self.recorded else 0
        if e.state == "waiting" and sale.config.status_at(self.now_ms) == "closed":
            return ["ended", as_it_was, e.customer, e.sku, e.quantity, e.created_ms, 0, seq]
        return [e.state, as_it_was, e.customer, e.sku, e.quantity, e.created_ms, place, seq]

    def _end_waiting(self, name: str, id_: str, state: str) -> None:
        e = self.sales[name].waiting[id_]
        self._wake(self.sales[name], e.customer, touch=False)
        e.state, e.seq = state, self.seq + 1
        self._transitions.append(["leave", name, id_, [e.sku, e.quantity], self.now_ms, state])

    def _touch(self, sale: Sale, sku: str) -> None:
        if "waiting_most" in sale.config.rules and sku not in sale.touched:
            sale.touched.append(sku)

    def _wake(self, sale: Sale, customer: str, *, touch: bool = True) -> None:
        """What kept this customer's entry from an offer may be over."""
        for id_, e in sale.waiting.items():
            if e.state == "waiting" and e.customer == customer and e.asleep_until:
                sale.due.discard((e.asleep_until, e.sku, e.quantity, e.place, id_))
                e.asleep_until = 0
                if touch:
                    self._touch(sale, e.sku)

    def _serve_waiting(self, name: str, *, beat: bool = False) -> None:
        """Gives what the request changed to those who wait for it, before anybody else asks.

        Parameters:
            beat: the recorder's, which looks at what is due, whatever changed; nobody is in a waiting room.
        """
        sale = self.sales.get(name)
        if sale is None or self._serving or not (sale.touched or beat):
            return
        anybody = any(e.state == "waiting" for e in sale.waiting.values())
        if sale.config.status_at(self.now_ms) != "open":
            for sku in {*sale.touched} & {*sale.owed}:
                free = sale.items[sku].available
                sale.owed[sku] = min(sale.owed[sku], free)
                if not free:
                    del sale.owed[sku]
                    sale.due.discard((sale.until.pop(sku, None), sku))
            sale.due |= {(0, sku) for sku in sale.touched if anybody}
            sale.touched = []
            return
        self._serving = True
        if anybody:
            self._reclaim(name)
            for due in sorted(one for one in sale.due if one[0] <= self.now_ms):
                sale.due.discard(due)
                if len(due) > 2 and sale.waiting[due[4]].state == "waiting":
                    self._wake(sale, sale.waiting[due[4]].customer)
                self._touch(sale, due[1])
        at = 0
        while at < len(sale.touched):  # it grows meanwhile
            self._serve(name, sale, sale.touched[at])
            at += 1
            if at == len(sale.touched) and "pools" in sale.config.rules:
                self._serve_drawing(name, sale)
        if beat and ("doors" in sale.config.rules or sale.config.rules.get("room") == {}):  # it is empty
            for sku in sorted(sale.for_unadmitted):
                sale.for_unadmitted.discard(sku)
                self._serve_unadmitted(name, sale, sku)
        sale.touched, self._serving = [], False

    def _serve(self, name: str, sale: Sale, sku: str) -> None:
        item, room = sale.items.get(sku), "room" in sale.config.rules
        if item is None or item.off or not sale.is_item(sku) or sale.draws(sku):
            return
        sale.owed.pop(sku, None)
        until = sale.until.get(sku)
        offer_ms = sale.config.rules.get("waiting_hold_ms", sale.config.hold_ms)
        for id_, e in sale.line(sku):
            if not item.available:
                break
            passing = until is not None and self.now_ms >= until
            most = item.available if passing else item.stock - item.sold
            if e.quantity > most or e.asleep_until or (room and not e.admitted):
                continue
            if self._put_off(name, sale, id_, e):
                continue
            if item.available >= e.quantity:
                self._offer(name, sale, id_, e)
            else:
                if until is None:
                    until = sale.until[sku] = self.now_ms + offer_ms
                    sale.due.add((until, sku))
                sale.owed[sku] = item.available
                break
        if not item.available:
            sale.due.discard((sale.until.pop(sku, None), sku))
        elif (
            room
            and sku not in sale.owed
            and sku not in sale.until
            and any(not e.admitted and not e.asleep_until for _, e in sale.line(sku))
        ):
            sale.for_unadmitted.add(sku)

    def _serve_drawing(self, name: str, sale: Sale) -> None:
        """Items that draw from pools share what is free, so their entries are in one line."""
        room = "room" in sale.config.rules
        skus = {
            e.sku for e in sale.waiting.values()
            if e.state == "waiting" and sale.draws(e.sku) and not sale.items[e.sku].off
        }  # fmt: skip
        while True:
            waiting = [
                (e.place, id_)
                for id_, e in sale.waiting.items()
                if e.state == "waiting" and e.sku in skus and not e.asleep_until
                and e.quantity <= sale.available(e.sku) and (e.admitted or not room)
            ]  # fmt: skip
            if not waiting:
                break
            id_ = min(waiting)[1]
            if not self._put_off(name, sale, id_, sale.waiting[id_]):
                self._offer(name, sale, id_, sale.waiting[id_])
        for sku in skus if room else ():
            if not sale.available(sku):
                sale.due.discard((sale.until.pop(sku, None), sku))
            elif sku not in sale.until and any(
                not e.admitted and not e.asleep_until for _, e in sale.line(sku)
            ):
                sale.for_unadmitted.add(sku)

    def _serve_unadmitted(self, name: str, sale: Sale, sku: str) -> None:
        """What came back while none was free and nobody whom the room admitted took."""
        if sku in sale.owed or sku in sale.until or sale.items[sku].off:
            return
        for id_, e in sale.line(sku):
            if e.quantity > sale.available(sku) or e.asleep_until or e.admitted:
                continue
            if not self._put_off(name, sale, id_, e):
                self._offer(name, sale, id_, e)
        if sale.available(sku) and any(not e.admitted and not e.asleep_until for _, e in sale.line(sku)):
            sale.until[sku] = self.now_ms

    def _put_off(self, name: str, sale: Sale, id_: str, e: Waiting) -> bool:
        """Whether the entry can't be offered its units now: it ends, or it sleeps."""
        rules, limit = sale.config.rules, sale.config.limit
        if limit and sale.used(e.customer) - sale.held(e.customer) + e.quantity > limit:
            self._end_waiting(name, id_, "limit-reached")
            return True
        if id_ in sale.reservations:
            self._end_waiting(name, id_, "ended")
            return True
        holders = sale.holders(e.customer, e.identities)
        cools_until, _ = sale.cools_until(holders)
        counts = sale.counts(e.customer, [e.sku, e.quantity], e.identities)
        if self._over_limit(sale, holders, e.quantity, counts) is not None:
            e.asleep_until = self.now_ms + rules.get("waiting_hold_ms", sale.config.hold_ms)
        elif "cool_down_ms" in rules and cools_until > self.now_ms:
            e.asleep_until = cools_until
        if e.asleep_until:
            sale.due.add((e.asleep_until, e.sku, e.quantity, e.place, id_))
        return bool(e.asleep_until)

    def _offer(self, name: str, sale: Sale, id_: str, e: Waiting) -> None:
        hold_ms = sale.config.rules.get("waiting_hold_ms", sale.config.hold_ms)
        lines = [e.sku, e.quantity]
        details, _ = self._with_takes(name, lines, {"identities": e.identities} if e.identities else None)
        details = sale.with_prices(lines, details)
        one = sale.reservations[id_] = Reservation(
            "held", e.fingerprint, self.now_ms, hold_ms, self.now_ms + hold_ms, e.customer, lines,
            seq=self.seq + 1, details=details,
        )  # fmt: skip
        self._move(name, one.moves, "held", 1)
        more = [] if details is None else [details]
        self._transitions.append(
            ["hold", name, id_, lines, self.now_ms, e.fingerprint, e.customer, hold_ms, *more]
        )
        self._end_waiting(name, id_, "offered")

    def _restock(
        self, name: str, sku: str, delta: int | None, reason: str, key: str, fingerprint: int, most: int,
        count: int | None = None,
    ) -> list[Any]:  # fmt: skip
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        known = sale.restocks.get(key)
        if known is not None:
            if known.fingerprint != fingerprint:
                return ["idempotency-mismatch"]
            return ["restocked", True, known.stock, known.held, known.sold, self._unrecorded(known)]
        item = sale.items.get(sku)
        if item is None:
            return ["unknown-item", sku]
        if delta is None:
            assert count is not None
            _, _, units_out, units_in = sale.moved.get(sku, [0, 0, 0, 0])
            delta = count - (item.stock + units_out - units_in)
        while item.available + delta < 0 and self._reclaim(name):
            pass
        if item.available + delta < 0 or item.stock + delta > most:
            return ["invalid-request", item.available, delta]
        item.stock += delta
        self._touch(sale, sku)
        self._touched.add((name, sku))
        after = [item.stock, item.held, item.sold]
        sale.restocks[key] = Restocked(fingerprint, *after, self.seq + 1)
        if key.startswith("transfer:"):
            way = int(delta > 0)
            counts = sale.moved.setdefault(sku, [0, 0, 0, 0])
            counts[way] += 1
            counts[2 + way] += abs(delta)
        self._transitions.append(
            ["restock", name, key, [sku, delta], self.now_ms, fingerprint, reason, 0, *after]
        )
        return ["restocked", False, *after, self.seq + 1]

    def _survey(self, name: str, sku: str) -> list[Any]:
        """What a shard has for buyers of others; the last says that every hold past its end was expired."""
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        item = sale.items.get(sku)
        if item is None:
            return ["unknown-item", sku]
        while self._reclaim(name):
            pass
        return [item.available, *sale.moved.get(sku, [0, 0])[:2], True]

    def _changed_before(self, sale: Sale, key: str, verb: str) -> list[Any] | None:
        """The result of a change's key that was used before; None of a new one."""
        known = sale.changes.get(key)
        if known is None:
            return None
        same = known.verb == verb
        return [known.status, True, self._unrecorded(known)] if same else ["idempotency-mismatch"]

    def _change_sale(self, name: str, verb: str, changes: dict[str, Any], key: str) -> list[Any]:
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        if (done := self._changed_before(sale, key, verb)) is not None:
            return done
        before = sale.config
        status = before.status_at(self.now_ms)
        if status not in changes.get("only", ["draft"] if verb == "delete" else [status]):
            return ["sale-not-draft", status]
        if status not in NEXT[verb]:
            return ["sale-not-open", status]
        if verb == "delete":
            del self.sales[name]
            self.deleted.add(name)
            self._transitions.append(["delete", name, "", [], self.now_ms])
            return ["closed", False, self.seq + 1]
        ends_ms = {"patch": changes.get("ends_ms", 0), "open": before.ends_ms}.get(verb, 0)
        if 0 < ends_ms <= self.now_ms:
            return ["ended"]
        if verb == "patch" and status != "draft" and (no := _not_counted(sale, changes)) is not None:
            return ["limit-not-counted", no]
        described, items = changes.get("describe"), changes.get("items")
        item_limits = {**before.rules.get("item_limits", {})}
        for sku, most in changes.get("item_limits", {}).items():
            if most or sku in item_limits:
                item_limits[sku] = most or 0
        if "item_limits" in changes:
            changes = {**changes, "rules": {**changes.get("rules", {}), "item_limits": item_limits or False}}
        apart = ("describe", "items", "item_limits", "only")
        changes = {name: value for name, value in changes.items() if name not in apart}
        rules = {**before.rules, **changes.get("rules", {})}
        changes = {
            **changes, "rules": {rule: value for rule, value in rules.items() if value is not False}
        }  # fmt: skip
        after = replace(before, **changes, status=NEXT[verb][status])
        if not after.counted:
            after.rules.pop("counted_since_ms", None)
        elif not before.counted:
            after.rules["counted_since_ms"] = self.now_ms
            sale.expired_holds = {}
        if verb == "patch" and after.status == "open" and after.starts_ms > self.now_ms:
            after.status = "scheduled"
        after.status = after.status_at(self.now_ms)
        sale.config = after
        if key:
            sale.changes[key] = Keyed(verb, after.status, self.seq + 1)
        self._note_sale(name, key, verb)
        if described:
            self._transitions.append(["describe", name, "", [], self.now_ms, *described])
        if items:
            fields, definition = items
            stocks = (int(text.split()[0]) for text in fields[1::2])
            sale.items = {
                field.removeprefix("item:"): Item(stock)
                for field, stock in zip(fields[::2], stocks, strict=True)
            }
            self._transitions.append(["items", name, "", [], self.now_ms, definition])
        return [after.status, False, self.seq + 1]

    def _change_item(
        self, name: str, what: str, sku: str, change: dict[str, Any], key: str, body: int
    ) -> list[Any]:
        sale, verb = self.sales.get(name), f"item {body}"
        if sale is None:
            return ["unknown-sale"]
        if (done := self._changed_before(sale, key, verb)) is not None:
            return done
        status = sale.config.status_at(self.now_ms)
        if status == "closed":
            return ["sale-not-open", status]
        opened = status != "draft"
        if what == "add":
            [_, stock, recipe] = change["counters"]
            if sku in sale.items:
                return ["item-exists", sku]
            unknown = [pool for pool in recipe[::2] if sale.recipes.get(pool) != "pool"]
            if unknown:
                return ["unknown-pool", unknown[0]]
            price = change["price"] if opened else None
            limits = self._item_limits(sale, sku, change.get("limit"))
            sale.items[sku] = Item(stock, price=price, first=price)
            if "pools" in sale.config.rules:
                sale.recipes[sku] = recipe
        elif not sale.is_item(sku):
            return ["unknown-item", sku]
        elif what == "set":
            if _not_counted(sale, {"item_limits": {sku: change.get("limit")}}) is not None:
                return ["limit-not-counted", sku]
            limits = self._item_limits(sale, sku, change.get("limit"))
            item = sale.items[sku]
            if opened and "price" in change:
                item.first = change["first"] if item.price is None else item.first
                item.price = change["price"]
            item.off = not change.get("on_sale", not item.off)
            self._touch(sale, sku)
        else:
            if change["used"]:
                return ["item-in-use", sku]
            if change["epoch"] != self.epoch:
                return ["recovering"]
            item = sale.items[sku]
            held = self._held_at.get((name, sku), 0) > change["seq"]
            if item.held + item.sold or held or sale.line(sku):
                return ["item-in-use", sku]
            limits = {**sale.config.rules.get("item_limits", {})}
            limits = None if limits.pop(sku, None) is None else limits
            for counter in [sku, *(other for other in sale.items if other.startswith(f"{sku}{AT}"))]:
                del sale.items[counter]
                sale.recipes.pop(counter, None)
        if key:
            sale.changes[key] = Keyed(verb, status, self.seq + 1)
        self._transitions.append(
            ["item", name, key, [], self.now_ms, what, sku, change["row"], opened, verb, status]
        )
        if limits is not None:
            rules = {rule: value for rule, value in sale.config.rules.items() if rule != "item_limits"}
            rules |= {"item_limits": limits} if limits else {}
            sale.config = replace(sale.config, status=status, rules=rules)
            self._note_sale(name, "", "patch")
        return [status, False, self.seq + 1]

    def _item_limits(self, sale: Sale, sku: str, most: int | bool | None) -> dict[str, int] | None:
        """The rule of item limits after this change of one; None: it stays."""
        limits = {**sale.config.rules.get("item_limits", {})}
        if most or (most is not None and sku in limits):
            limits[sku] = most or 0
        return None if most is None else limits

    # What the verbs share.

    def _reservation(self, name: str, id_: str) -> Reservation | None:
        sale = self.sales.get(name)
        return None if sale is None else sale.reservations.get(id_)

    def _unrecorded(self, record: Reservation | Restocked | Keyed | Amended) -> int:
        return record.seq if record.seq > self.recorded else 0

    def _reclaim(self, name: str) -> bool:
        """Takes back a page of ended holds; False when there is none."""
        sale = self.sales[name]
        ended = sale.ended(self.now_ms)[:RECLAIM_PAGE]
        for id_ in ended:
            self._finish(name, id_, "expired", sale.reservations[id_].until_ms)
        self._serve_waiting(name)
        return bool(ended)

    def _finish(self, name: str, id_: str, status: str, at_ms: int) -> None:
        one = self.sales[name].reservations[id_]
        one.status, one.until_ms, one.seq = status, at_ms, self.seq + 1
        self._move(name, one.moves, "held", -1)
        if status == "confirmed":
            self._move(name, one.moves, "sold", 1)
        else:
            holders = self.sales[name].holders(one.customer, one.identities)
            self._count_expired(self.sales[name], holders, at_ms, 1)
        if "waiting_most" in self.sales[name].config.rules:
            self._wake(self.sales[name], one.customer)
        self._transitions.append([ENDS[status], name, id_, one.lines, at_ms, *one.takes])

    def _move(self, name: str, lines: Lines, counter: str, sign: int) -> None:
        for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
            item = self.sales[name].items[sku]
            setattr(item, counter, getattr(item, counter) + sign * quantity)
            self._touch(self.sales[name], sku)
            self._touched.add((name, sku))

    def _note_sale(self, name: str, key: str = "", verb: str = "") -> None:
        c = self.sales[name].config
        rules = in_ledger(c.rules)
        self._transitions.append(
            [
                "sale",
                name,
                c.status,
                [],
                self.now_ms,
                c.starts_ms,
                key,
                c.ends_ms,
                c.hold_ms,
                c.max_hold_ms,
                c.limit,
                "",
                verb,
                *([rules] if rules else []),
            ]
        )


def _pairs(flat: Lines) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _not_counted(sale: Sale, changes: dict[str, Any]) -> str | None:
    """The item of a limit for which nothing was counted so far; empty where it is by identity."""
    rules = sale.config.rules
    if "limits" in changes.get("rules", {}):
        before, after = rules.get("limits", []), changes["rules"]["limits"] or []
        if [(by, *skus) for by, _, *skus in before] != [(by, *skus) for by, _, *skus in after]:
            return ""
    if (changes.get("rules", {}).get("holds_by", names := rules.get("holds_by")) or []) != (names or []):
        return ""
    known = rules.get("item_limits", {})
    new = [sku for sku, most in changes.get("item_limits", {}).items() if most and sku not in known]
    return min(
        (sku for sku in new if sku in sale.items and (sale.items[sku].held or sale.items[sku].sold)),
        default=None,
    )


def _name_of(holder: str) -> list[str]:
    """The name of an identity, as a refusal has it; nothing for a customer."""
    return holder.split("\x1f")[1:2]


def _units_of(lines: Lines, skus: list[str] | None = None) -> int:
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return sum(quantity for sku, quantity in pairs if skus is None or sku in skus)


def _difference(before: Lines, after: Lines) -> Lines:
    """What changes from one basket to another, with its sign; what there is more comes first."""
    units: dict[str, int] = {}
    for lines, sign in ((after, 1), (before, -1)):
        for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
            units[sku] = units.get(sku, 0) + sign * quantity
    return [value for sign in (1, -1) for sku, n in units.items() if sign * n > 0 for value in (sku, n)]


def _short_line(sale: Sale, lines: Lines) -> tuple[str, int] | None:
    """The first line that, with the ones before it, asks for more than there is; and what there is."""
    asked: dict[str, int] = {}
    for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
        asked[sku] = asked.get(sku, 0) + quantity
        available = sale.items[sku].available - sale.owed.get(sku, 0)
        if asked[sku] > available:
            return sku, available
    return None
