"""Makes operations of a round's history, and decides whether a sequential sale explains them.

- All attempts of a key are one operation, from the first request to the first answer that grants it. Without
  an answer it counts only if the ledger has it, and takes effect at any time after its first attempt.
- A hold that the ledger says expired has an operation of its own, not before the end that its answers said.
- The ledger after the round is the last read. It decides every operation that got no answer.
- Operations that share no counter, reservation and limit are decided apart: linearizability is local.

Of a sale at locations, on several partitions or with a waiting list `sold-out` promises less (units may be
elsewhere, on their way, or set aside) and is left out. The offer of an entry, which no client asks for at
that moment, is a grant at the time that the ledger says. Rounds in which memory forgets its newest holds are
not linearizable, by the guarantees.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from flashguard.model.locations import item_and_location
from tests.campaign.checker import ENDED, MAKING
from tests.campaign.history import HOLDING, Ask, History, Ledger, Row, Told
from tests.campaign.linearize import BUDGET, NEVER, Decision, Verdict, linearize
from tests.campaign.refusals import unfounded
from tests.campaign.sequential import (
    Amend,
    End,
    Grant,
    LedgerRead,
    Limit,
    Part,
    Refusal,
    Restock,
    Sale,
    StatusRead,
    Step,
    counts_of,
)  # fmt: skip

CLOCKS_SECONDS = 0.005
"""Between the clock that ends a hold and the one that its answer was timed by, on one machine."""

ALONE: Final = 20_000
"""Steps after which the search about one reservation or limit alone ends undecided."""
NO_LIMIT: Final = ("", 0)
"""Counts for no operation about a reservation: the customer has a name."""


def decide(
    history: History, ledger: Ledger, short_id: Callable[[str], str], *, budget: int = BUDGET
) -> list[Decision[Sale]]:
    """Decide about one round: a decision for each part of the sale that shares no counter and no limit."""
    return [_decide(part, history, budget) for part in parts_of(history, ledger, short_id)]


def _decide(part: list[Step], history: History, budget: int) -> Decision[Sale]:
    """Decide about a part: by sums, then about what stands alone, which takes few steps, then as a whole."""
    if (found := _contradiction(part, history)) is not None:
        return found
    if (refusal := unfounded(part, history)) is not None:
        return Decision(Verdict.NOT, (), refusal, 0)
    *steps, read = part
    if not isinstance(read, LedgerRead):
        raise TypeError("the last read comes last")
    changes = Counter(step.about for step in steps if isinstance(step, Amend | Part))
    for limit, alone in _alone(history, steps, read):
        decision = linearize(alone, Sale(history, read.rows, changes, limit), budget=min(budget, ALONE))
        if decision.verdict is Verdict.NOT:
            return decision
    return linearize(part, Sale(history, read.rows, changes), budget=budget)


def _alone(history: History, steps: list[Step], read: LedgerRead) -> Iterator[tuple[Limit, list[Step]]]:
    """Yield what needs an order of its own, and the limit that counts there.

    Each reservation with what the ledger has of it, and without refusals; then each limit with what is about
    the reservations that count for it, and the refusals that rest on it alone.
    """
    about: dict[Limit, set[str]] = defaultdict(set)
    by_id: dict[str, list[Step]] = defaultdict(list)
    refusals: dict[Limit, list[Step]] = defaultdict(list)
    for step in steps:
        counts = counts_of(history, step.hold, step.ask.lines, held=step.ask.verb != "buy")
        for limit in counts if step.about else ():
            about[limit].add(step.about)
        if not isinstance(step, Refusal):
            by_id[step.about].append(step)
        elif step.word != "sold-out" and len(rests_on := [w for w in counts if step.rests_on(w)]) == 1:
            refusals[rests_on[0]].append(step)
    for id_, its in by_id.items():
        if id_:
            rows = {id_: read.rows[id_]} if id_ in read.rows else {}
            yield NO_LIMIT, [*its, replace(read, rows=rows, ids=frozenset({id_}), counters={})]
    for limit, ids in about.items():
        yield (
            limit,
            [*itertools.chain.from_iterable(by_id[id_] for id_ in ids if id_ in by_id), *refusals[limit]],
        )


def _contradiction(part: list[Step], history: History) -> Decision[Sale] | None:
    """Return the verdict where the ledger contradicts the answers in whatever order: it needs no search."""
    read = part[-1]
    if not isinstance(read, LedgerRead):
        raise TypeError("the last read comes last")
    changed = {step.about for step in part if isinstance(step, Amend | Part)}
    free = {counter: history.stock[counter] for counter in read.counters}
    good = True
    for step in part:
        row = read.rows.get(step.about)
        if isinstance(step, Restock):
            for sku, units in step.ask.lines:
                free[sku] = free.get(sku, 0) + units
        elif isinstance(step, Grant):
            good &= row is not None and (step.word in ("held", row.status))
            if row is not None and step.about not in changed:
                good &= sorted(row.lines) == sorted(step.ask.lines)
        elif isinstance(step, End) and step.returned < NEVER:
            good &= row is not None and row.status == step.word
    for row in read.rows.values():
        if row.status in ("held", "confirmed"):
            for counter, units in history.takes(row.lines).items():
                free[counter] = free.get(counter, 0) - units
    good &= all(0 <= units == free[counter] for counter, units in read.counters.items())
    return None if good else Decision(Verdict.NOT, (), read, 0)


def parts_of(history: History, ledger: Ledger, short_id: Callable[[str], str]) -> list[list[Step]]:
    """Return the operations of a round, divided into parts that share no counter and no limit."""
    return list(_parts(history, ledger, list(_steps(history, ledger, short_id))))


def _steps(history: History, ledger: Ledger, short_id: Callable[[str], str]) -> Iterator[Step]:
    rows = {row.id: row for row in ledger.rows}
    by_key: dict[str, list[Told]] = defaultdict(list)
    for told in history.told:
        by_key[told.ask.key].append(told)
    holds = {short_id(key): told[0].ask for key, told in by_key.items() if told[0].ask.verb in MAKING}
    ends: dict[str, float] = defaultdict(float)
    offers: dict[str, float] = defaultdict(lambda: NEVER)
    for told in history.told:
        if told.word == "offered":
            id_ = _short(told.id or told.ask.about)
            offers[id_] = min(offers[id_], told.ended)
        if told.word in HOLDING and told.expires_in > 0:
            ends[_short(told.id or told.ask.about)] = max(
                ends[_short(told.id or told.ask.about)], told.ended + told.expires_in
            )
    weak = bool(history.located) or history.waiting_list or any("~" in row.part for row in ledger.rows)
    recorded = {key for key, _, _ in ledger.restocks}
    for key, attempts in by_key.items():
        ask = attempts[0].ask
        if ask.verb == "see":
            continue
        id_ = short_id(key) if ask.verb in MAKING else _short(ask.about)
        hold = holds.get(id_, ask)
        granted = [told.ended for told in attempts if told.settles and 200 <= told.http < 300]
        common: dict[str, Any] = {"ask": ask, "hold": hold, "about": id_}
        if ask.verb in ("join", "leave"):
            answered = offers[id_] if ask.verb == "join" else min(granted, default=NEVER)
            yield from _of_the_list(history, rows.get(id_), attempts[0].started, answered, common)
        elif granted or _took_effect(ask, rows.get(id_), key, recorded):
            call, returned = attempts[0].started, min(granted, default=NEVER)
            if (effect := EFFECTS.get(ask.verb)) is not None:
                word = WORDS.get(ask.verb, ask.verb)
                yield effect(call=call, returned=returned, word=word, **common)
            else:  # extend
                yield StatusRead(call=call, returned=returned, word="held", changes=False, **common)
        for told in attempts:
            yield from _refusals(told, weak=weak, **common)
    for id_, row in rows.items():
        if row.status == "expired" and id_ in holds:
            ask = Ask(f"expire-{id_}", "expire", about=id_)
            first = min(told.started for told in by_key[holds[id_].key]) + history.hold_seconds
            first = max(first, row.ended_ms / 1000 - history.wall_offset)
            yield End(
                call=max(first, ends[id_]) - CLOCKS_SECONDS,
                ask=ask,
                hold=holds[id_],
                about=id_,
                word="expired",
            )


def _of_the_list(
    history: History, row: Row | None, call: float, returned: float, common: dict[str, Any]
) -> Iterator[Step]:
    """Yield the offer that an entry got, or the release of an offer by leaving the list."""
    if row is None:
        return
    if common["ask"].verb == "join":
        if row.created_ms:
            at = row.created_ms / 1000 - history.wall_offset
            call, returned = max(call, at - CLOCKS_SECONDS), min(returned, at + CLOCKS_SECONDS)
        yield Grant(call=call, returned=returned, word="held", **common)
    elif row.status == "released":
        yield End(call=call, returned=returned, word="released", **common)


def _refusals(told: Told, *, weak: bool, **common: Any) -> Iterator[Step]:
    times: dict[str, Any] = {"call": told.started, "returned": told.ended, "changes": False}
    if told.ask.verb in ("join", "leave"):
        return
    if told.word in ENDED and told.http >= 400:
        yield StatusRead(word=ENDED[told.word], **times, **common)
    elif told.word == "unknown-reservation":
        yield StatusRead(word="", **times, **common)
    elif told.word in ("limit-reached", "hold-budget-reached") or (told.word == "sold-out" and not weak):
        yield Refusal(word=told.word, **times, **common)


EFFECTS: dict[str, type[Step]] = {
    "hold": Grant, "buy": Grant, "amend": Amend, "part": Part, "confirm": End, "release": End,
    "restock": Restock,
}  # fmt: skip
WORDS = {"hold": "held", "buy": "confirmed", "confirm": "confirmed", "release": "released"}


def _took_effect(ask: Ask, row: Row | None, key: str, recorded: set[str]) -> bool:
    """Return whether a request without an answer may have taken effect, as the ledger tells it."""
    if ask.verb == "restock":
        return f"restock:{key}" in recorded
    if row is None:
        return False
    return ask.verb not in ("confirm", "release", "extend") or row.status == WORDS.get(ask.verb)


def _short(id_: str) -> str:
    return id_.rpartition(".")[2]


def _parts(history: History, ledger: Ledger, steps: list[Step]) -> Iterator[list[Step]]:
    """Divide the operations into parts that share no counter and no limit, each with its last read."""
    groups = _Groups()
    for counter in history.stock:
        groups.find(counter)
    for step in steps:
        groups.join(_touches(history, step))
    end = max((told.ended for told in history.told), default=0.0)
    end = max([end, *(step.call for step in steps)]) + 1.0
    parts: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        parts[groups.find(next(iter(_touches(history, step))))].append(step)
    rows = {row.id: row for row in ledger.rows}
    for root, part in parts.items():
        ids = frozenset(step.about for step in part if step.about)
        counters = {
            sku: item.stock - item.held - item.sold
            for sku, item in ledger.items.items()
            if groups.find(sku) == root and item_and_location(sku)[1] is None
        }  # fmt: skip
        ask = Ask("the ledger after the round", "read")
        yield [
            *part,
            LedgerRead(call=end, returned=end, ask=ask, hold=ask, word="as it is", changes=False,
                       rows={id_: rows[id_] for id_ in ids if id_ in rows}, ids=ids, counters=counters),
        ]  # fmt: skip


def _touches(history: History, step: Step) -> list[str]:
    """Return the reservation, counters and limits that an operation reads or changes."""
    lines = (*step.ask.lines, *step.hold.lines)
    limits = (f"limit: {who}" for who, _ in counts_of(history, step.hold, lines, held=True))
    about = [f"reservation: {step.about}"] if step.about else []
    return [*history.takes(lines), *about, *limits]


class _Groups:
    """Disjoint sets of names."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def find(self, name: str) -> str:
        parent = self._parents.setdefault(name, name)
        while parent != name:
            self._parents[name] = self._parents.setdefault(parent, parent)
            name, parent = parent, self._parents[parent]
        return name

    def join(self, names: Iterable[str]) -> None:
        first, *others = names
        for other in others:
            self._parents[self.find(other)] = self.find(first)


def failures(decisions: Iterable[Decision[Sale]]) -> Iterator[str]:
    """Yield a sentence for every part that no sequential order explains."""
    for decision in decisions:
        if decision.verdict is Verdict.NOT:
            behind = f"behind {len(decision.order)} operations" if decision.order else "in no order"
            yield f"{behind} there is a place for {decision.blocked}"
