"""What a sale is without concurrency: the sequential specification that histories are held against.

It is written from the guarantees, not from the code: the free units of each counter, reservations with a
status and a basket, and what each limit has counted. A grant takes units that are free and respects the
limits, and a hold the budget of its customer and card. `sold-out`, `limit-reached` and `hold-budget-reached`
are reads: a unit was short, a limit was reached. A cool-down is a matter of time, and not of order: see
`holders`.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.campaign.checker import limits_of
from tests.campaign.history import Ask, History, Row
from tests.campaign.holders import holders_of, units_of
from tests.campaign.linearize import NEVER

Lines = tuple[tuple[str, int], ...]
Limit = tuple[str, int]
"""Whom it counts for, and the most units."""
HOLDS = "the holds of "
"""Before a holder's name: its budget, which orders do not count for."""


class Sale:
    """The state: it undoes changes by a log of the values that they replaced.

    Parameters:
        rows: what the ledger has in the end. A change that can't lead to it is refused at once.
        changes: how many amends and cancels each reservation may get.
        only: the one limit that counts, whatever is free; without it, all do.
    """

    def __init__(
        self,
        history: History,
        rows: Mapping[str, Row],
        changes: Mapping[str, int],
        only: Limit | None = None,
    ) -> None:
        self.history = history
        self.only = only
        self._rows = rows
        self._changes = changes
        self.free: dict[Hashable, Any] = dict(history.stock.items())
        self.used: dict[Hashable, Any] = {}
        self.reservations: dict[Hashable, Any] = {}
        """(status, lines, amends and cancels until now) by id."""
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

    def put(self, id_: str, status: str, lines: Lines, *, changes: int) -> None:
        before = self.reservations.get(id_)
        self._set(self.reservations, id_, (status, lines, changes))
        self.mark ^= hash((id_, before)) ^ hash((id_, (status, lines, changes)))

    def changed(self, id_: str) -> int:
        changes: int = self.reservations.get(id_, (None, (), 0))[2]
        return changes

    def may_become(self, id_: str, status: str, lines: Lines, *, changes: int) -> bool:
        """Return whether the ledger's row may come of this: a hold ends once, an order may be cancelled."""
        row = self._rows.get(id_)
        if row is None or (
            status not in ("held", row.status) and (status, row.status) != ("confirmed", "cancelled")
        ):
            return False
        return changes < self._changes.get(id_, 0) or sorted(lines) == sorted(row.lines)

    def is_short(self, takes: dict[str, int]) -> bool:
        return self.only is None and any(
            self.free[counter] < units for counter, units in takes.items() if units > 0
        )

    def is_over(self, counts: dict[Limit, int]) -> bool:
        return any(
            units > 0 and self.used.get(who, 0) + units > who[1]
            for who, units in counts.items()
            if self.only in (None, who)
        )

    def move(self, takes: dict[str, int], counts: dict[Limit, int]) -> None:
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

    def change(self, hold: Ask, id_: str, status: str, lines: Lines, *, again: bool) -> bool:
        """Replace the basket, for the first time or again, if units are free and limits allow it."""
        changes = self.changed(id_) + again
        if not self.may_become(id_, status, lines, changes=changes):
            return False
        was, before, _ = self.reservations.get(id_, ("", (), 0))
        takes, counts = self.units(hold, lines, before, held=status == "held", was_held=was == "held")
        if self.is_short(takes) or self.is_over(counts):
            return False
        self.move(takes, counts)
        self.put(id_, status, lines, changes=changes)
        return True


def counts_of(history: History, ask: Ask, lines: Lines, *, held: bool) -> dict[Limit, int]:
    """Return what these lines add to each limit, and of a hold to each hold budget."""
    counts: dict[Limit, int] = defaultdict(int)
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
        return state.change(self.hold, self.about, status, self.ask.lines, again=False)


class Amend(Step):
    def apply(self, state: Sale) -> bool:
        return state.status(self.about) == "held" and state.change(
            self.hold, self.about, "held", self.ask.lines, again=True
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
        return state.change(self.hold, self.about, "confirmed" if lines else "cancelled", lines, again=True)


class End(Step):
    """A hold becomes what `word` says; twice is once."""

    def apply(self, state: Sale) -> bool:
        status = state.status(self.about)
        if status == self.word and self.ask.verb != "expire":
            return True
        if status != "held":
            return False
        lines, changes = state.reservations[self.about][1], state.changed(self.about)
        if not state.may_become(self.about, self.word, lines, changes=changes):
            return False
        confirmed = self.word == "confirmed"
        state.move(*state.units(self.hold, lines if confirmed else (), lines, held=False, was_held=True))
        state.put(self.about, self.word, lines, changes=changes)
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
        return state.is_over({who: n for who, n in counts.items() if self.rests_on(who)})

    def rests_on(self, limit: Limit) -> bool:
        """Return whether this refusal may rest on this limit: it is of the kind that the answer names."""
        return limit[0].startswith(HOLDS) == (self.word == "hold-budget-reached")


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
