"""The last guard's slow path: finds the transitions of a doubtful group that the ledger can still accept.

Only a memory that lost data can journal what the ledger refuses. The group is then checked one transition
at a time, in the journal's order, against the ledger's own locked counters.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

from msgspec import Struct

from flashguard.errors import FlashGuardError
from flashguard.journal import (
    Amend,
    Buy,
    Cancel,
    Confirm,
    Create,
    Delete,
    Describe,
    Entry,
    Expire,
    Extend,
    Hold,
    ItemChange,
    Items,
    Join,
    LateConfirm,
    Leave,
    Rebuilt,
    Release,
    Restock,
    SaleChange,
    Transition,
    takes_of,
)

from .fold import fewer
from .refuse import TransitionRefusal, is_sound

_LIVE = "the ledger has no such hold, or it has ended there"
_ORDER = "the ledger has no such order"
_AMENDED_OTHERWISE = "amended otherwise"
"""The status of a reservation whose amend was refused: no transition is of it."""
_OTHER_BASKET = "the ledger has it with another basket"
_ENDED = {Confirm: "confirmed", Release: "released", Expire: "expired"}


Takes = dict[str, int]
"""Units by counter."""


class Unreplayable(FlashGuardError):
    """The journal needs a sale or an item that the ledger lost. No entry of the run may be dropped, so an
    operator must decide."""


class Counts(Struct):
    """An item's counters in the ledger."""

    stock: int
    held: int
    sold: int

    @property
    def available(self) -> int:
        return self.stock - self.held - self.sold


def admit(
    entries: Iterable[Entry],
    counts: dict[tuple[str, str], Counts],
    known: dict[tuple[str, str], str],
    revisions: dict[tuple[str, str], int] | None = None,
    takes: dict[tuple[str, str], Takes] | None = None,
) -> tuple[list[Transition], list[TransitionRefusal]]:
    """Split a run of entries into what the ledger accepts and what it refuses.

    Parameters:
        counts: the counters of every item in the run, by (sale, sku); changed in place.
        known: the status of every reservation in the run that the ledger has, by (sale, id); changed in
            place.
        revisions: how often a reservation was amended, by (sale, id); changed in place.
        takes: the units that a reservation has of each counter, by (sale, id); changed in place.

    Returns:
        the transitions to apply, and the refused ones: grants, confirms and releases without a live hold,
        amends and cancels of what the ledger has otherwise, restocks below what is held and sold, and
        unreadable transitions. What follows a refused amend is refused too, and so is what is about another
        basket than the ledger has: memory lost the key of a grant and granted it again.

    Raises:
        Unreplayable: the ledger does not have an item of the run.
    """
    revisions = {} if revisions is None else revisions
    takes = {} if takes is None else takes
    accepted: list[Transition] = []
    refused: list[TransitionRefusal] = []
    not_given: set[tuple[str, str]] = set()
    for entry in entries:
        for transition in entry.body.transitions:
            if not is_sound(transition):
                refused.append(
                    TransitionRefusal(transition, f"its lines can't be read: {transition.lines!r}")
                )
                continue
            match transition:
                case Hold() | Buy() | LateConfirm():
                    reason = _why_not(transition, counts, known, revisions)
                    if reason:
                        refused.append(TransitionRefusal(transition, reason))
                        not_given.add((transition.sale, transition.id))
                        continue
                    sold = not isinstance(transition, Hold)
                    _move(
                        transition.sale,
                        takes_of(transition),
                        counts,
                        held=0 if sold else 1,
                        sold=1 if sold else 0,
                    )
                    known[transition.sale, transition.id] = "confirmed" if sold else "held"
                    takes[transition.sale, transition.id] = takes_from(takes_of(transition))
                case Confirm() | Release() | Expire() | Extend():
                    key = (transition.sale, transition.id)
                    other = not isinstance(transition, Extend) and _is_other(transition, takes)
                    if known.get(key) != "held" or other:
                        if isinstance(transition, Confirm | Release):
                            refused.append(TransitionRefusal(transition, _OTHER_BASKET if other else _LIVE))
                        continue
                    if not isinstance(transition, Extend):
                        sold = isinstance(transition, Confirm)
                        _move(transition.sale, takes_of(transition), counts, held=-1, sold=1 if sold else 0)
                        known[key] = _ENDED[type(transition)]
                case Amend():
                    key = (transition.sale, transition.id)
                    after = takes_from((transition.details or {}).get("takes", transition.lines))
                    reason = _why_not_amended(transition, counts, known, revisions)
                    before = _plus(after, transition.moves, -1)
                    if takes.get(key, before) != before:
                        reason = reason or _OTHER_BASKET
                    if reason:
                        refused.append(TransitionRefusal(transition, reason))
                        known[key] = _AMENDED_OTHERWISE
                        continue
                    is_order = transition.is_order
                    _move(
                        transition.sale,
                        transition.moves,
                        counts,
                        held=0 if is_order else 1,
                        sold=1 if is_order else 0,
                    )
                    if not transition.restock:
                        _move(transition.sale, fewer(transition.moves), counts, stock=1)
                    revisions[key], takes[key] = transition.revision, after
                case Cancel():
                    key = (transition.sale, transition.id)
                    if known.get(key) != "confirmed" or _is_other(transition, takes):
                        refused.append(TransitionRefusal(transition, _ORDER))
                        continue
                    stock = 0 if transition.restock else -1
                    _move(transition.sale, takes_of(transition), counts, sold=-1, stock=stock)
                    known[key] = "cancelled"
                case Leave() if (transition.sale, transition.id) in not_given:
                    continue  # it was not offered what the ledger refused: it keeps its place
                case Restock():
                    item = _item(counts, transition.sale, transition.lines[0])
                    if item.available + transition.lines[1] < 0:
                        reason = f"the ledger has {item.available} of {transition.lines[0]} left"
                        refused.append(TransitionRefusal(transition, reason))
                        continue
                    item.stock += transition.lines[1]
                case Leave() | Join() | SaleChange() | Create() | Describe() | Delete() | Rebuilt():
                    pass  # no counter of the ledger can refuse it
                case Items() | ItemChange():
                    pass  # the ledger itself refuses it
                case _:
                    assert_never(transition)
            accepted.append(transition)
    return accepted, refused


def _why_not(
    grant: Hold | Buy | LateConfirm,
    counts: dict[tuple[str, str], Counts],
    known: dict[tuple[str, str], str],
    revisions: dict[tuple[str, str], int],
) -> str | None:
    key = (grant.sale, grant.id)
    if key in known:
        if not isinstance(grant, LateConfirm) or known[key] != "expired":
            return "this id is taken in the ledger"
        if revisions.get(key, 0) != (grant.details or {}).get("revision", 0):
            return _amended(revisions.get(key, 0))
    takes = takes_of(grant)
    for at in range(0, len(takes), 2):
        item = _item(counts, grant.sale, takes[at])
        if item.available < takes[at + 1]:
            return f"the ledger has {item.available} of {takes[at]} left"
    return None


def _why_not_amended(
    amend: Amend,
    counts: dict[tuple[str, str], Counts],
    known: dict[tuple[str, str], str],
    revisions: dict[tuple[str, str], int],
) -> str | None:
    key = (amend.sale, amend.id)
    if known.get(key) != ("confirmed" if amend.is_order else "held"):
        return _ORDER if amend.is_order else _LIVE
    if revisions.get(key, 0) != amend.revision - 1:
        return _amended(revisions.get(key, 0))
    for at in range(0, len(amend.moves), 2):
        item = _item(counts, amend.sale, amend.moves[at])
        if item.available < amend.moves[at + 1]:
            return f"the ledger has {item.available} of {amend.moves[at]} left"
    return None


def _amended(times: int) -> str:
    return f"the ledger has it amended {times} times"


def takes_from(flat: Sequence[Any]) -> Takes:
    """Return units by counter, from a flat list."""
    return _plus({}, flat)


def _plus(takes: Takes, flat: Sequence[Any], sign: int = 1) -> Takes:
    found = dict(takes)
    for at in range(0, len(flat), 2):
        found[flat[at]] = found.get(flat[at], 0) + sign * flat[at + 1]
    return {counter: units for counter, units in found.items() if units}


def _is_other(end: Confirm | Release | Expire | Cancel, takes: Mapping[tuple[str, str], Takes]) -> bool:
    ledgers = takes.get((end.sale, end.id))
    return ledgers is not None and ledgers != takes_from(takes_of(end))


def _item(counts: dict[tuple[str, str], Counts], sale: str, sku: str) -> Counts:
    item = counts.get((sale, sku))
    if item is None:
        raise Unreplayable(f"the ledger has no item {sku} of sale {sale}")
    return item


def _move(
    sale: str,
    takes: list[object],
    counts: dict[tuple[str, str], Counts],
    *,
    held: int = 0,
    sold: int = 0,
    stock: int = 0,
) -> None:
    for at in range(0, len(takes), 2):
        item = counts[sale, str(takes[at])]
        quantity = int(str(takes[at + 1]))
        item.stock += stock * quantity
        item.held += held * quantity
        item.sold += sold * quantity
