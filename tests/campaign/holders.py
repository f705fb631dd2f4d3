"""What each customer, and each card, held and let go, by the ledger's times, to check the hold rules.

A budget and a cool-down are never exceeded while memory has lost nothing. Where it did, a memory that has
not noticed yet may grant more (guarantees.md, *Detection*); what it granted after the last rebuild may not,
because a rebuild counts all that the ledger has.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec import Struct

from tests.campaign.history import Ask, Entry, History, Ledger, Row

Found = Iterator[tuple[str, str]]
LET_GO = {"released", "expired"}
NEVER_MS = 1 << 60


def holders_of(history: History, ask: Ask) -> list[str]:
    """Return whose budget and cool-down a request counts for."""
    return [ask.customer, *([ask.card] if ask.card and history.cards_hold else [])]


class Hold(Struct, frozen=True):
    """A reservation as its holder's history has it."""

    row: Row
    least: int
    """Its units, of all its baskets the smallest: an amend's time is not in its row."""
    most: int
    ask: Ask

    def lived_at(self, moment_ms: int) -> bool:
        return bool(self.row.hold_ms) and self.row.created_ms <= moment_ms < (self.row.ended_ms or NEVER_MS)

    def counts_at(self, moment_ms: int) -> bool:
        """Return whether its units count for limits: an order's do for good."""
        until = NEVER_MS if self.row.status == "confirmed" else self.row.ended_ms or NEVER_MS
        return self.row.created_ms <= moment_ms < until


class Holders:
    """The holds and orders of a round, by holder."""

    def __init__(self, history: History, ledger: Ledger, asks: Mapping[str, Ask]) -> None:
        self._history = history
        self._all: list[Hold] = []
        self._by: dict[str, list[Hold]] = defaultdict(list)
        baskets: dict[str, list[int]] = defaultdict(list)
        for told in history.told:
            if told.ask.verb == "amend":
                baskets[told.ask.about.rpartition(".")[2]].append(units_of(told.ask.lines))
        for row in ledger.rows:
            if (ask := asks.get(row.id)) is None:
                continue
            units = [units_of(row.lines), units_of(ask.lines), *baskets[row.id]]
            hold = Hold(row, min(units), max(units), ask)
            self._all.append(hold)
            for holder in holders_of(history, ask):
                self._by[holder].append(hold)

    def violations(self, *, since_ms: int) -> Found:
        """Yield every hold after this moment that its holder's budget or cool-down forbade."""
        for hold in self._all:
            at = hold.row.created_ms
            if not hold.row.hold_ms or at <= since_ms:
                continue
            for holder in holders_of(self._history, hold.ask):
                others = [each for each in self._by[holder] if each is not hold]
                held = sum(each.least for each in others if each.lived_at(at)) + hold.least
                if self._history.max_held is not None and held > self._history.max_held:
                    yield (
                        "hold budget exceeded",
                        f"{holder} held {held} of at most {self._history.max_held} with {hold.row}",
                    )
                if (until := self._cools_until(others, at)) > at:
                    yield "cool-down broken", f"{holder} cooled until {until}, and has {hold.row}"

    def _cools_until(self, holds: list[Hold], moment_ms: int) -> int:
        """Return until when these holds let go, of one holder, forbid another; 0 when they do not."""
        history = self._history
        ends = [h.row.ended_ms for h in holds if h.row.status in LET_GO and 0 < h.row.ended_ms < moment_ms]
        if not history.cool_down_ms or len(ends) < history.cool_down_after:
            return 0
        return max(ends) + history.cool_down_ms

    def could_hold(self, entry: Entry, ask: Ask, moment_ms: int, *, without: Row | None = None) -> bool:
        """Return whether rules and limits let this entry have its units at this moment, for certain.

        `without` a row, as if it had not been granted."""
        history, units = self._history, entry.quantity
        for holder in holders_of(history, ask):
            holds = [each for each in self._by[holder] if each.row is not without]
            held = sum(each.most for each in holds if each.lived_at(moment_ms)) + units
            if history.max_held is not None and held > history.max_held:
                return False
            if self._cools_until(holds, moment_ms + 1) > moment_ms:
                return False
        counted = [each for each in self._all if each.row is not without]
        return self._within_limits(entry, ask, moment_ms, counted)

    def _within_limits(self, entry: Entry, ask: Ask, moment_ms: int, counted: list[Hold]) -> bool:
        most, history = [], self._history
        if history.limit is not None or entry.sku in history.item_limits:
            limit = min(history.limit or NEVER_MS, history.item_limits.get(entry.sku, NEVER_MS))
            most.append((limit, [h for h in counted if h.ask.customer == ask.customer]))
        if ask.card and history.card_limit is not None:
            most.append((history.card_limit, [h for h in counted if h.ask.card == ask.card]))
        return all(
            sum(h.most for h in holds if h.counts_at(moment_ms)) + entry.quantity <= limit
            for limit, holds in most
        )

    def could_hold_before(self, entry: Entry, ask: Ask, row: Row) -> bool:
        """Return whether the entry could have its units at each moment from its joining to this row's grant.

        Grants of one millisecond have no known order, so all others of that last one count."""
        until_ms = row.created_ms
        moments = {entry.created_ms, until_ms}
        for hold in self._all:
            if hold.ask.customer == ask.customer or (ask.card and hold.ask.card == ask.card):
                moments |= {hold.row.created_ms, hold.row.ended_ms or 0}
        return all(
            self.could_hold(entry, ask, moment, without=row)
            for moment in moments
            if entry.created_ms <= moment <= until_ms
        )


def units_of(lines: tuple[tuple[str, int], ...]) -> int:
    return sum(units for _, units in lines)
