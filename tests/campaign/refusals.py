"""Refusals that no order explains, found by sums alone.

A refusal names what was short: units of a counter, or of a limit. If every reservation that could exist by
then had its largest basket until then, and there was still enough for what was asked, no search is needed. A
history with one such refusal among many operations would keep a search busy to the end of its budget.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import accumulate

from tests.campaign.history import History
from tests.campaign.linearize import NEVER
from tests.campaign.sequential import Amend, End, Grant, Refusal, Restock, Step, counts_of

Units = Mapping[Hashable, int]


class _Sums:
    """Units by what they are of, each from a time on."""

    def __init__(self, changes: Iterable[tuple[float, Units]]) -> None:
        by_name: dict[Hashable, list[tuple[float, int]]] = defaultdict(list)
        for time, units in changes:
            for name, count in units.items():
                by_name[name].append((time, count))
        self._times: dict[Hashable, list[float]] = {}
        self._sums: dict[Hashable, list[int]] = {}
        for name, found in by_name.items():
            found.sort()
            self._times[name] = [time for time, _ in found]
            self._sums[name] = [0, *accumulate(count for _, count in found)]

    def until(self, time: float, name: Hashable) -> int:
        return self._sums[name][bisect_right(self._times[name], time)] if name in self._times else 0


class _Most:
    """The most units of each counter and limit that a reservation may have had until then."""

    def __init__(self) -> None:
        self.grows: list[tuple[float, Units]] = []
        self.ends = NEVER
        """When it surely had none any longer."""
        self.units: dict[Hashable, int] = {}

    def may_have(self, wanted: Units, since: float) -> None:
        """Note a basket that it may have from this time on, later than those before."""
        more = {name: units - self.units.get(name, 0) for name, units in wanted.items()}
        self.grows.append((since, {name: units for name, units in more.items() if units > 0}))
        self.units |= {name: max(units, self.units.get(name, 0)) for name, units in wanted.items()}

    def at(self, refusal: Refusal, name: Hashable) -> int:
        if self.ends <= refusal.call:
            return 0
        return sum(units.get(name, 0) for since, units in self.grows if since <= refusal.returned)


def unfounded(part: Sequence[Step], history: History) -> Refusal | None:
    """Return a refusal for which something was short in no order; None: each may be right."""
    reservations: dict[str, _Most] = defaultdict(_Most)
    for step in sorted(part, key=lambda step: step.call):
        its = reservations[step.about]
        if isinstance(step, Grant | Amend):
            its.may_have(_wanted(step, history), step.call)
        elif isinstance(step, End) and step.word != "confirmed":
            its.ends = min(its.ends, step.returned)
    taken = _Sums(grown for its in reservations.values() for grown in its.grows)
    ended = _Sums((its.ends, its.units) for its in reservations.values())
    restocked = _Sums((s.returned, dict(s.ask.lines)) for s in part if isinstance(s, Restock))
    for step in part:
        if not isinstance(step, Refusal):
            continue
        own = reservations[step.about] if step.ask.verb == "amend" else _Most()

        def left(name: Hashable, stock: int, refusal: Refusal = step, own: _Most = own) -> int:
            """Return the units that were left at least, but for what this reservation has itself."""
            more = restocked.until(refusal.call, name) + ended.until(refusal.call, name)
            return stock + more - taken.until(refusal.returned, name) + own.at(refusal, name)

        counts = counts_of(history, step.hold, step.ask.lines, held=step.ask.verb != "buy")
        if step.word == "sold-out":
            takes = history.takes(step.ask.lines)
            is_enough = all(left(name, history.stock[name]) >= units for name, units in takes.items())
        else:
            limits = [limit for limit in counts if step.rests_on(limit)]
            is_enough = all(left(limit, limit[1]) >= counts[limit] for limit in limits)
        if is_enough:
            return step
    return None


def _wanted(step: Step, history: History) -> dict[Hashable, int]:
    """Return what the basket takes from counters, and adds to limits and unless it is bought to budgets."""
    wanted: dict[Hashable, int] = dict(history.takes(step.ask.lines).items())
    return wanted | dict(counts_of(history, step.hold, step.ask.lines, held=step.ask.verb != "buy").items())
