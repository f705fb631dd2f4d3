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
Lines = list[Any]
"""sku, quantity, sku, quantity, …"""
ENDS = {"confirmed": "confirm", "released": "release", "expired": "expire"}
"""A hold's last status, and the verb that the journal has for it."""
NEXT = {
    "open": {"draft": "scheduled", "scheduled": "scheduled", "open": "open", "paused": "scheduled"},
    "pause": {"scheduled": "paused", "open": "paused", "paused": "paused"},
    "close": dict.fromkeys(("draft", "scheduled", "open", "paused", "closed"), "closed"),
    "patch": {status: status for status in ("draft", "scheduled", "open", "paused")},
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
    asleep_until: int = 0
    """It is offered nothing before, unless its customer's holds change."""


@dataclass
class Sale:
    config: Config
    items: dict[str, Item]
    reservations: dict[str, Reservation] = field(default_factory=dict)
    restocks: dict[str, Restocked] = field(default_factory=dict)
    changes: dict[str, Keyed] = field(default_factory=dict)
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

    def held(self, customer: str) -> int:
        """The units in a customer's live holds."""
        return sum(
            sum(one.lines[1::2])
            for one in self.reservations.values()
            if one.customer == customer and one.status == "held"
        )

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
        self.journal: list[Entry] = []
        self.epoch = 1
        self.seq = 1
        self.recorded = 0
        self.now_ms = 0
        self._transitions: list[list[Any]] = []
        self._touched: set[tuple[str, str]] = set()
        self._serving = False

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
        self._transitions, self._touched = [], set()
        return results

    def note_creation(self, name: str, definition: str) -> None:
        """A sale enters memory for the first time: an entry of its own says so."""
        self.seq += 1
        self.journal.append(Entry(self.seq, [["create", name, "", [], self.now_ms, definition]], {}))

    def rebuild(self) -> None:
        """Memory comes back from the ledger under a new epoch: the same sales, a new journal."""
        self.epoch, self.seq, self.recorded, self.journal = self.epoch + 1, 1, 0, []
        for sale in self.sales.values():
            kept = (sale.reservations, sale.restocks, sale.changes, sale.waiting)
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
        admitted_until_ms: int = 0,
    ) -> list[Any]:  # fmt: skip
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        known = sale.reservations.get(id_)
        if known is not None:
            if known.fingerprint != fingerprint:
                return ["idempotency-mismatch"]
            if known.hold_ms == 0:
                seq = self._unrecorded(known) if known.status == "confirmed" else 0
                return ["confirmed", True, known.created_ms, 0, known.created_ms, seq]
            return ["held", True, known.created_ms, known.hold_ms, 0, 0]
        config = sale.config
        if (status := config.status_at(self.now_ms)) != "open":
            return ["sale-not-open", status, config.starts_ms]
        if "room" in config.rules and self.now_ms >= admitted_until_ms:
            return ["queue-required"]
        if not buy and (refused := self._cooling(name, customer)) is not None:
            return refused
        if (refused := self._shortage(name, customer, lines, hold=not buy)) is not None:
            return refused
        now = self.now_ms
        hold_ms = 0 if buy else config.hold_ms
        status = "confirmed" if buy else "held"
        sale.reservations[id_] = Reservation(
            status, fingerprint, now, hold_ms, now + hold_ms, customer, lines, seq=self.seq + 1
        )
        self._move(name, lines, "sold" if buy else "held", 1)
        verb = "buy" if buy else "hold"
        self._transitions.append([verb, name, id_, lines, now, fingerprint, customer, hold_ms])
        return [status, False, now, hold_ms, now if buy else 0, self.seq + 1 if buy else 0]

    def _confirm(self, name: str, id_: str, grant: list[Any] | None = None) -> list[Any]:
        known = self._reservation(name, id_)
        ended = known is not None and (
            known.status == "expired" or (known.status == "held" and self.now_ms >= known.until_ms)
        )
        if grant is None or not (known is None or ended):
            return self._end(name, id_, "confirmed")
        return self._late_confirm(name, id_, known, *grant)

    def _late_confirm(
        self, name: str, id_: str, known: Reservation | None,
        fingerprint: int, customer: str, lines: Lines, created_ms: int, hold_ms: int,
    ) -> list[Any]:  # fmt: skip
        """A receipt for a hold that is over or forgotten: an order while its units can be had."""
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        if known is not None and known.fingerprint != fingerprint:
            return ["idempotency-mismatch"]
        status = sale.config.status_at(self.now_ms)
        if known is not None and known.status == "held":
            if status not in ("open", "paused"):
                return self._end(name, id_, "confirmed")
            times = [known.created_ms, known.hold_ms, known.until_ms, self.now_ms]
            self._finish(name, id_, "confirmed", self.now_ms)
            return ["confirmed", known.customer, known.lines, *times, self.seq + 1]
        if status in ("open", "paused"):
            refused = self._shortage(name, customer, lines)
        else:
            refused = ["sale-not-open", status, sale.config.starts_ms]
        expires_ms = created_ms + hold_ms
        if refused is not None:
            return ["reservation-expired", refused[0]] if self.now_ms >= expires_ms else refused
        if known is not None:
            created_ms, hold_ms = known.created_ms, known.hold_ms
            self._count_expired(sale, customer, known.until_ms, -1)
        times = [created_ms, hold_ms, expires_ms, self.now_ms]
        sale.reservations[id_] = Reservation(
            "confirmed", fingerprint, created_ms, hold_ms, self.now_ms, customer, lines,
            known.extensions if known is not None else [], self.seq + 1,
        )  # fmt: skip
        self._move(name, lines, "sold", 1)
        self._transitions.append(
            ["honour", name, id_, lines, self.now_ms, fingerprint, customer, hold_ms, created_ms]
        )
        return ["confirmed", customer, lines, *times, self.seq + 1]

    def _release(self, name: str, id_: str) -> list[Any]:
        return self._end(name, id_, "released")

    def _cancel(
        self, name: str, id_: str, fingerprint: int, customer: str, lines: Lines, restock: bool, reason: str
    ) -> list[Any]:
        if name not in self.sales:
            return ["unknown-sale"]
        known = self._reservation(name, id_)
        if known is None:
            return ["unknown-reservation"]
        if known.status == "cancelled":
            return ["as-it-is", self._unrecorded(known)]
        if known.status != "confirmed":
            return [f"reservation-{known.status}"]
        if known.fingerprint != fingerprint:
            return ["idempotency-mismatch"]
        known.status, known.until_ms, known.seq = "cancelled", self.now_ms, self.seq + 1
        self._move(name, lines, "sold", -1)
        if not restock:
            self._move(name, lines, "stock", -1)
        if "waiting_most" in self.sales[name].config.rules:
            self._wake(self.sales[name], customer)
        self._transitions.append(["cancel", name, id_, lines, self.now_ms, restock, reason])
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
        return [status, known.customer, known.lines, *times, self.seq + 1]

    def _cooling(self, name: str, customer: str) -> list[Any] | None:
        """Why this customer may hold nothing for a while; a hold of theirs that has just ended counts."""
        sale = self.sales[name]
        rules = sale.config.rules
        if "cool_down_ms" not in rules:
            return None
        while sale.held(customer) and self._reclaim(name):
            pass
        expired_holds, last_ms = sale.expired_holds.get(customer, (0, 0))
        wait_ms = last_ms + rules["cool_down_ms"] - self.now_ms
        if expired_holds < rules.get("cool_down_after", COOL_DOWN_AFTER) or wait_ms <= 0:
            return None
        return ["cooling-down", wait_ms]

    def _count_expired(self, sale: Sale, customer: str, at_ms: int, more: int) -> None:
        if not sale.config.counted or at_ms < sale.config.rules.get("counted_since_ms", 0):
            return
        expired_holds, last_ms = sale.expired_holds.get(customer, (0, 0))
        if expired_holds + more > 0:
            sale.expired_holds[customer] = (expired_holds + more, max(last_ms, at_ms))
        else:
            sale.expired_holds.pop(customer, None)

    def _shortage(self, name: str, customer: str, lines: Lines, *, hold: bool = False) -> list[Any] | None:
        """Why these units can't be given; holds past their end are expired before it says so."""
        sale = self.sales[name]
        for sku in lines[::2]:
            if sku not in sale.items:
                return ["unknown-item", sku]

        if "waiting_most" in sale.config.rules:
            for sku in lines[::2]:
                self._touch(sale, sku)
            self._serve_waiting(name)

        def over_limit() -> bool:
            return sale.config.limit > 0 and sale.used(customer) + sum(lines[1::2]) > sale.config.limit

        most = sale.config.rules.get("max_held") if hold else None

        def over_budget() -> bool:
            return most is not None and sale.held(customer) + sum(lines[1::2]) > most

        while (short := _short_line(sale, lines)) or over_limit() or over_budget():
            if not self._reclaim(name):
                if over_limit():
                    return ["limit-reached", sale.config.limit, sale.used(customer)]
                if over_budget():
                    return ["hold-budget-reached", most, sale.held(customer)]
                assert short is not None
                return ["sold-out", *short]
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
            return ["held", True, known.customer, known.lines, known.created_ms, known.hold_ms, until_ms]
        if (status := config.status_at(self.now_ms)) != "open":
            return ["sale-not-open", status, config.starts_ms]
        if len(keys) >= EXTENSIONS_MOST:
            return ["limit-reached", EXTENSIONS_MOST]
        longest = min(self.now_ms + config.hold_ms, known.created_ms + config.max_hold_ms)
        known.until_ms = max(known.until_ms, longest)
        known.extensions = [*known.extensions, key, known.until_ms]
        self._transitions.append(["extend", name, id_, [], self.now_ms, key, "", known.until_ms])
        return ["held", False, known.customer, known.lines, known.created_ms, known.hold_ms, known.until_ms]

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

    def _join(
        self, name: str, sale: Sale, id_: str, fingerprint: int, customer: str, sku: str, quantity: int,
        admitted_until_ms: int,
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
        if sku not in sale.items:
            return ["unknown-item", sku]
        admitted = "room" not in config.rules or self.now_ms < admitted_until_ms
        if not admitted and not _short_line(sale, [sku, 1]):
            return ["queue-required"]
        if (refused := self._cooling(name, customer)) is not None:
            return refused
        while (refused := self._over_limit(sale, customer, quantity)) is not None and self._reclaim(name):
            pass
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
            "waiting", fingerprint, self.now_ms, sale.place, customer, sku, quantity, self.seq + 1, admitted
        )
        self._transitions.append(
            ["join", name, id_, [sku, quantity], self.now_ms, fingerprint, customer, sale.place, admitted]
        )
        self._touch(sale, sku)
        self._serve_waiting(name)
        return self._seen(sale, id_, False)

    def _over_limit(self, sale: Sale, customer: str, quantity: int) -> list[Any] | None:
        limit, most = sale.config.limit, sale.config.rules.get("max_held")
        if limit and sale.used(customer) + quantity > limit:
            return ["limit-reached", limit, sale.used(customer)]
        if most is not None and sale.held(customer) + quantity > most:
            return ["hold-budget-reached", most, sale.held(customer)]
        return None

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
        for sku in sale.touched:  # grows meanwhile
            self._serve(name, sale, sku)
        if beat and "room" in sale.config.rules:
            for sku in sorted(sale.for_unadmitted):
                sale.for_unadmitted.discard(sku)
                self._serve_unadmitted(name, sale, sku)
        sale.touched, self._serving = [], False

    def _serve(self, name: str, sale: Sale, sku: str) -> None:
        item, room = sale.items.get(sku), "room" in sale.config.rules
        if item is None:
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

    def _serve_unadmitted(self, name: str, sale: Sale, sku: str) -> None:
        """What came back while none was free and nobody whom the room admitted took."""
        item = sale.items[sku]
        if sku in sale.owed or sku in sale.until:
            return
        for id_, e in sale.line(sku):
            if e.quantity > item.available or e.asleep_until or e.admitted:
                continue
            if not self._put_off(name, sale, id_, e):
                self._offer(name, sale, id_, e)
        if item.available and any(not e.admitted and not e.asleep_until for _, e in sale.line(sku)):
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
        expired_holds, last_ms = sale.expired_holds.get(e.customer, (0, 0))
        cools_until = last_ms + rules.get("cool_down_ms", 0)
        if self._over_limit(sale, e.customer, e.quantity) is not None:
            e.asleep_until = self.now_ms + rules.get("waiting_hold_ms", sale.config.hold_ms)
        elif (
            "cool_down_ms" in rules
            and expired_holds >= rules.get("cool_down_after", COOL_DOWN_AFTER)
            and cools_until > self.now_ms
        ):
            e.asleep_until = cools_until
        if e.asleep_until:
            sale.due.add((e.asleep_until, e.sku, e.quantity, e.place, id_))
        return bool(e.asleep_until)

    def _offer(self, name: str, sale: Sale, id_: str, e: Waiting) -> None:
        hold_ms = sale.config.rules.get("waiting_hold_ms", sale.config.hold_ms)
        lines = [e.sku, e.quantity]
        sale.reservations[id_] = Reservation(
            "held", e.fingerprint, self.now_ms, hold_ms, self.now_ms + hold_ms, e.customer, lines,
            seq=self.seq + 1,
        )  # fmt: skip
        self._move(name, lines, "held", 1)
        self._transitions.append(["hold", name, id_, lines, self.now_ms, e.fingerprint, e.customer, hold_ms])
        self._end_waiting(name, id_, "offered")

    def _restock(
        self, name: str, sku: str, delta: int, reason: str, key: str, fingerprint: int, most: int
    ) -> list[Any]:
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
        while item.available + delta < 0 and self._reclaim(name):
            pass
        if item.available + delta < 0 or item.stock + delta > most:
            return ["invalid-request", item.available]
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

    def _change_sale(self, name: str, verb: str, changes: dict[str, Any], key: str) -> list[Any]:
        sale = self.sales.get(name)
        if sale is None:
            return ["unknown-sale"]
        known = sale.changes.get(key)
        if known is not None:
            if known.verb != verb:
                return ["idempotency-mismatch"]
            return [known.status, True, self._unrecorded(known)]
        before = sale.config
        status = before.status_at(self.now_ms)
        if status not in NEXT[verb]:
            return ["sale-not-open", status]
        ends_ms = {"patch": changes.get("ends_ms", 0), "open": before.ends_ms}.get(verb, 0)
        if 0 < ends_ms <= self.now_ms:
            return ["ended"]
        described = changes.get("describe")
        changes = {name: value for name, value in changes.items() if name != "describe"}
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
        return [after.status, False, self.seq + 1]

    # What the verbs share.

    def _reservation(self, name: str, id_: str) -> Reservation | None:
        sale = self.sales.get(name)
        return None if sale is None else sale.reservations.get(id_)

    def _unrecorded(self, record: Reservation | Restocked | Keyed) -> int:
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
        self._move(name, one.lines, "held", -1)
        if status == "confirmed":
            self._move(name, one.lines, "sold", 1)
        else:
            self._count_expired(self.sales[name], one.customer, at_ms, 1)
        if "waiting_most" in self.sales[name].config.rules:
            self._wake(self.sales[name], one.customer)
        self._transitions.append([ENDS[status], name, id_, one.lines, at_ms])

    def _move(self, name: str, lines: Lines, counter: str, sign: int) -> None:
        for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
            item = self.sales[name].items[sku]
            setattr(item, counter, getattr(item, counter) + sign * quantity)
            self._touch(self.sales[name], sku)
            self._touched.add((name, sku))

    def _note_sale(self, name: str, key: str = "", verb: str = "") -> None:
        c = self.sales[name].config
        rules = {rule: value for rule, value in c.rules.items() if rule != "room"}
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


def _short_line(sale: Sale, lines: Lines) -> tuple[str, int] | None:
    """The first line that, with the ones before it, asks for more than there is; and what there is."""
    asked: dict[str, int] = {}
    for sku, quantity in zip(lines[::2], lines[1::2], strict=True):
        asked[sku] = asked.get(sku, 0) + quantity
        available = sale.items[sku].available - sale.owed.get(sku, 0)
        if asked[sku] > available:
            return sku, available
    return None
