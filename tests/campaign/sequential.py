"""What a sale is without concurrency: the sequential specification that histories are held against.

It is written from the guarantees, not from the code: the free units of each counter, reservations with a
status and a basket, and what each limit has counted. A grant takes units that are free and respects the
limits, and a hold the budget of its customer and card. `sold-out`, `limit-reached` and `hold-budget-reached`
are reads: a unit was short, a limit was reached. A cool-down is a matter of time, and not of order: see
`holders`.
"""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from tests.campaign.checker import limits_of
from tests.campaign.history import Ask, History, Row
from tests.campaign.holders import holders_of, units_of
from tests.campaign.linearize import NEVER

Lines = tuple[tuple[str, int], ...]
HOLDS = "the holds of "
"""Before a holder's name: its budget, which orders do not count for."""


class Sale:
    """The state: it undoes changes by a log of the values that they replaced."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.free: dict[Hashable, Any] = dict(history.stock.items())
        self.used: dict[Hashable, Any] = {}
        self.reservations: dict[Hashable, Any] = {}
        """(status, lines) by id."""
        self.mark = 0
        self._log: list[tuple[dict[Hashable, Any], Hashable, Any, int]] = []

    def moment(self) -> int:
        return len(self._log)

    def back_to(self, moment: int) -> None:
        while len(self._log) > moment:
            values, key, value, self.mark = self._log.pop()
            if value is None:
                del values[key]
            else:
                values[key] = value

    def _set(self, values: dict[Hashable, Any], key: Hashable, value: Any) -> None:
        self._log.append((values, key, values.get(key), self.mark))
        values[key] = value

    def status(self, id_: str) -> str | None:
        status: str | None = self.reservations.get(id_, (None,))[0]
        return status

    def put(self, id_: str, status: str, lines: Lines) -> None:
        before = self.reservations.get(id_)
        self._set(self.reservations, id_, (status, lines))
        self.mark ^= hash((id_, before)) ^ hash((id_, (status, lines)))

    def is_short(self, takes: dict[str, int]) -> bool:
        return any(self.free[counter] < units for counter, units in takes.items() if units > 0)

    def is_over(self, counts: dict[tuple[str, int], int]) -> bool:
        return any(units > 0 and self.used.get(who, 0) + units > who[1] for who, units in counts.items())

    def move(self, takes: dict[str, int], counts: dict[tuple[str, int], int]) -> None:
        for counter, units in takes.items():
            self._set(self.free, counter, self.free[counter] - units)
        for who, units in counts.items():
            self._set(self.used, who, self.used.get(who, 0) + units)

    def units(
        self, ask: Ask, lines: Lines, before: Lines = (), *, held: bool, was_held: bool
    ) -> tuple[dict[str, int], dict[Any, int]]:
        """Return what a change from one basket to another takes from counters, and adds to limits."""
        takes = self.history.takes(lines)
        counts = counts_of(self.history, ask, lines, held=held)
        for counter, units in self.history.takes(before).items():
            takes[counter] = takes.get(counter, 0) - units
        for who, units in counts_of(self.history, ask, before, held=was_held).items():
            counts[who] = counts.get(who, 0) - units
        return takes, counts

    def change(self, hold: Ask, id_: str, status: str, lines: Lines) -> bool:
        """Replace the basket if units are free and limits allow it."""
        was, before = self.reservations.get(id_, ("", ()))
        takes, counts = self.units(hold, lines, before, held=status == "held", was_held=was == "held")
        if self.is_short(takes) or self.is_over(counts):
            return False
        self.move(takes, counts)
        self.put(id_, status, lines)
        return True


def counts_of(history: History, ask: Ask, lines: Lines, *, held: bool) -> dict[tuple[str, int], int]:
    """Return what these lines add to each limit, and of a hold to each hold budget."""
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for sku, units in lines:
        for who in limits_of(history, ask.customer, ask.card, sku):
            counts[who] += units
    if held and history.max_held is not None:
        for holder in holders_of(history, ask):
            counts[HOLDS + holder, history.max_held] += units_of(lines)
    return counts


@dataclass(frozen=True, kw_only=True)
class Step:
    """An operation. `hold` is the request that made the reservation; its customer and card count."""

    call: float
    returned: float = NEVER
    about: str = ""
    ask: Ask
    hold: Ask
    word: str
    changes: bool = True

    @property
    def frees(self) -> bool:
        return self.ask.verb in ("release", "part", "restock", "expire")

    def apply(self, state: Sale) -> bool:
        raise NotImplementedError

    def __str__(self) -> str:
        until = "never" if self.returned == NEVER else f"{self.returned:.4f}"
        return f"{self.ask.verb} {self.ask.key} -> {self.word} [{self.call:.4f}, {until}]"


class Grant(Step):
    def apply(self, state: Sale) -> bool:
        if state.status(self.about) is not None:
            return False
        status = "confirmed" if self.ask.verb == "buy" else "held"
        return state.change(self.hold, self.about, status, self.ask.lines)


class Amend(Step):
    def apply(self, state: Sale) -> bool:
        return state.status(self.about) == "held" and state.change(
            self.hold, self.about, "held", self.ask.lines
        )


class Part(Step):
    """A part of an order is cancelled."""

    def apply(self, state: Sale) -> bool:
        if state.status(self.about) != "confirmed":
            return False
        basket = dict(state.reservations[self.about][1])
        for sku, units in self.ask.lines:
            basket[sku] = basket.get(sku, 0) - units
        if min(basket.values()) < 0:
            return False
        lines = tuple((sku, units) for sku, units in basket.items() if units)
        return state.change(self.hold, self.about, "confirmed" if lines else "cancelled", lines)


class End(Step):
    """A hold becomes what `word` says; twice is once."""

    def apply(self, state: Sale) -> bool:
        status = state.status(self.about)
        if status == self.word and self.ask.verb != "expire":
            return True
        if status != "held":
            return False
        lines = state.reservations[self.about][1]
        confirmed = self.word == "confirmed"
        state.move(*state.units(self.hold, lines if confirmed else (), lines, held=False, was_held=True))
        state.put(self.about, self.word, lines)
        return True


class Restock(Step):
    def apply(self, state: Sale) -> bool:
        state.move({sku: -units for sku, units in self.ask.lines}, {})
        return True


class StatusRead(Step):
    """The reservation had the status that `word` says; '' is none."""

    def apply(self, state: Sale) -> bool:
        return (state.status(self.about) or "") == self.word


class Refusal(Step):
    def apply(self, state: Sale) -> bool:
        amends = self.ask.verb == "amend"
        if (state.status(self.about) == "held") != amends:
            return False
        before = state.reservations[self.about][1] if amends else ()
        held = self.ask.verb != "buy"
        takes, counts = state.units(self.hold, self.ask.lines, before, held=held, was_held=amends)
        if self.word == "sold-out":
            return state.is_short(takes)
        by_budget = self.word == "hold-budget-reached"
        return state.is_over({who: n for who, n in counts.items() if who[0].startswith(HOLDS) == by_budget})


@dataclass(frozen=True, kw_only=True)
class LedgerRead(Step):
    """The last read: nothing is held, and every reservation is what the ledger says."""

    rows: dict[str, Row] = field(default_factory=dict)
    ids: frozenset[str] = frozenset()
    counters: dict[str, int] = field(default_factory=dict)
    """Free units."""

    def apply(self, state: Sale) -> bool:
        for id_ in self.ids:
            row, known = self.rows.get(id_), state.reservations.get(id_)
            if (row is None) != (known is None):
                return False
            if row and known and (row.status, sorted(row.lines)) != (known[0], sorted(known[1])):
                return False
        return all(state.free[counter] == units for counter, units in self.counters.items())
