"""What must hold of a round's waiting list: each entry is served once, in its turn, and no unit idles.

- A place, and that it was left, are permanent: they are answered once the ledger has them.
- An entry has at most one reservation, of its own id, and has one exactly when it was offered its units.
- A customer waits once at a time.
- In a sale on one partition a later entry, or a buyer of the open sale, never gets units that an earlier
  entry fits and may have. Over shards the order is that of the rounds, and is not checked here.
- Once all servers are back, a unit that an entry fits and may have is offered within `bound_seconds`.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from flashguard.model.locations import item_and_location
from tests.campaign.history import Ask, Counters, Entry, History, Ledger
from tests.campaign.holders import Found, Holders

SHARDS_SECONDS: Final = 5.0
"""What guarantees.md says of a list over shards."""
BEATS_SECONDS: Final = 2.0
"""For an entry that slept, or units that are set aside: some beats of a recorder on a busy machine."""


def bound_seconds(history: History, spread: int) -> float:
    """Return how long a unit may idle: a large request has units set aside for the time of one offer."""
    return (SHARDS_SECONDS if spread > 1 else 0.0) + BEATS_SECONDS + history.hold_seconds


def free_units(history: History, counters: Mapping[str, Counters], sku: str) -> int:
    """Return the most units of an item that one entry can be offered."""
    free = {name: each.stock - each.held - each.sold for name, each in counters.items()}
    if sku in history.located:
        at = [free.get(counter, 0) for counter in history.located[sku]]
        return sum(at) if history.split else max(at)
    return min(free.get(name, 0) // each for name, each in history.takes(((sku, 1),)).items())


class IdleUnits:
    """Notes since when each waiting entry has been there beside units that it fits and may have."""

    def __init__(self, bound: float) -> None:
        self.bound = bound
        self.worst = 0.0
        self._since: dict[str, float] = {}
        self._found: dict[str, str] = {}

    def look(self, now: float, fitting: Mapping[str, str]) -> None:
        """Note the entries, with a sentence about each, that fit at this moment."""
        self._since = {id_: self._since.get(id_, now) for id_ in fitting}
        for id_, since in self._since.items():
            self.worst = max(self.worst, now - since)
            if now - since > self.bound:
                self._found[id_] = f"{fitting[id_]}, for more than {self.bound:g} s"

    def violations(self) -> Iterator[tuple[str, str]]:
        for sentence in self._found.values():
            yield "left waiting", sentence


def waiting_for_free(
    history: History, ledger: Ledger, asks: Mapping[str, Ask], *, in_ms: int = 0
) -> dict[str, str]:
    """Return the entries that wait beside units that they fit and may have, with a sentence about each.

    Parameters:
        in_ms: may have after this time, when no more holds are live and each cool-down is over.
    """
    holders, found = Holders(history, ledger, asks), {}
    for entry in ledger.entries:
        if entry.state != "waiting" or entry.id not in asks:
            continue
        free = free_units(history, ledger.memory, entry.sku)
        if free >= entry.quantity and holders.could_hold(entry, asks[entry.id], ledger.now_ms + in_ms):
            found[entry.id] = f"{entry.id} waits for {entry.quantity} of {entry.sku}, and {free} are free"
    return found


def check_list(history: History, ledger: Ledger, asks: Mapping[str, Ask]) -> Found:
    """Yield every broken promise of the list, besides units that idle."""
    yield from _kept(history, ledger, asks)
    yield from _served_once(ledger, asks)
    if not any("~" in entry.part for entry in ledger.entries):
        yield from _in_turn(history, ledger, asks)


def _kept(history: History, ledger: Ledger, asks: Mapping[str, Ask]) -> Found:
    entries = {f"{entry.part}.{entry.id}": entry for entry in ledger.entries}
    for told in history.told:
        id_ = told.id or told.ask.about
        if told.ask.verb == "join" and told.word in ("waiting", "offered") and id_ not in entries:
            yield "lost place", f"{told.ask.key} was told {told.word}, the ledger has no entry"
        if told.ask.verb == "leave" and told.word == "left":
            entry = entries.get(id_)
            if entry is None or entry.state != "left":
                yield "lost place", f"{id_} was told left, the ledger has {entry}"
    for entry in entries.values():
        ask = asks.get(entry.id)
        asked = ask and (ask.verb, ask.customer, ask.lines)
        if asked != ("join", entry.customer, ((entry.sku, entry.quantity),)):
            yield "doubled", f"the ledger has {entry}, asked was {ask}"


def _served_once(ledger: Ledger, asks: Mapping[str, Ask]) -> Found:
    offered = {entry.id for entry in ledger.entries if entry.state == "offered"}
    made = {row.id for row in ledger.rows if row.id in asks and asks[row.id].verb == "join"}
    for id_ in offered ^ made:
        yield "served wrongly", f"{id_}: its entry was {'' if id_ in offered else 'not '}offered its units"
    by_customer: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(ledger.entries, key=lambda entry: entry.created_ms):
        by_customer[entry.customer].append(entry)
    for entries in by_customer.values():
        for first, second in pairwise(entries):
            if second.created_ms < (first.ended_ms or math.inf):
                yield "waits twice", f"{first} and {second}"


def _in_turn(history: History, ledger: Ledger, asks: Mapping[str, Ask]) -> Found:
    """Check that nothing went past an entry that fitted it, and that rules and limits never put off."""
    holders, places = Holders(history, ledger, asks), {entry.id: entry.place for entry in ledger.entries}
    for row in ledger.rows:
        ask, at = asks.get(row.id), row.created_ms
        units = dict(ask.lines) if ask else {}
        for entry in ledger.entries:
            waits = entry.created_ms < at < (entry.ended_ms or math.inf)
            later = places.get(row.id, math.inf) > entry.place
            if not waits or not later or entry.quantity > units.get(entry.sku, 0) or entry.id not in asks:
                continue
            if _fits_where(history, entry, ask) and holders.could_hold_before(entry, asks[entry.id], row):
                yield "out of turn", f"{row} got units before {entry}"


def _fits_where(history: History, entry: Entry, ask: Ask | None) -> bool:
    """Return whether the entry fits the units that a request got: at one location, unless it may be split."""
    if entry.sku not in history.located or history.split or entry.quantity == 1:
        return True
    return ask is not None and not any(item_and_location(sku)[0] == entry.sku for sku, _ in ask.places)
