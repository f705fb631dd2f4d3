"""What the ledger refuses of memory's journal: found one by one, counted, and parked the second time.

One refusal is normal after a loss: memory granted what the ledger knows better, the partition is rebuilt, and
the transition is not made again. A transition that is refused twice would be refused for ever, with a rebuild
of the whole partition each time. So it is parked: it is not made again, and the log tells an operator. The
ledger counts, so that every recorder knows. See docs/decisions/0016.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg
from msgspec import Struct

from flashguard.journal import (
    Amend,
    Buy,
    Cancel,
    Confirm,
    Create,
    Delete,
    Describe,
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
from flashguard.ledger import Connection
from flashguard.ledger.refusals import RefusedTransition, count_refused, end_parked_entries
from flashguard.ledger.unreadable import sound_details, sound_lines

log = logging.getLogger("flashguard.recorder")

REFUSALS: Final = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.RaiseError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
)
"""Errors of a group that the ledger can't take. Every other error is a server that is away or a defect of the
deployment: then the same group is tried again."""
REASON_MOST: Final = 500
"""Characters of a reason that are kept."""
CLOCK: Final = "clock"
"""The id of a sale's change that memory's clock made."""


class TransitionRefusal(Struct, frozen=True):
    """A transition that the ledger does not accept, and why."""

    transition: Transition
    reason: str


class Parked(Struct, frozen=True):
    """A transition that was refused more than once."""

    sale_id: str
    kind: str
    id: str
    reason: str
    times: int


def name_of(transition: Transition) -> tuple[str, str, str]:
    """Return sale, kind and id of a transition, which identify it."""
    kind = str(transition.__struct_config__.tag)
    match transition:
        case Restock():
            id_: str = transition.key
        case Amend():
            id_ = transition.key
        case SaleChange():
            id_ = transition.key or transition.verb or CLOCK
        case ItemChange():
            id_ = transition.key or transition.sku
        case Create() | Describe() | Items() | Delete() | Rebuilt():
            id_ = ""
        case _:
            id_ = transition.id
    return transition.sale, kind, id_


def is_sound(transition: Transition) -> bool:
    """Return whether its lines are names and whole numbers, as every reader expects."""
    match transition:
        case SaleChange() | Create() | Describe() | Items() | ItemChange() | Delete() | Extend() | Rebuilt():
            return True
        case Hold() | Buy() | LateConfirm() | Confirm() | Release() | Expire() | Cancel():
            return sound_lines(transition.lines) and sound_lines(takes_of(transition))
        case Amend(details=details):
            return (
                sound_lines(transition.lines)
                and (transition.moves == [] or sound_lines(transition.moves))
                and sound_details(details or {})
            )
    return sound_lines(transition.lines)


def units(transitions: Iterable[Transition]) -> list[list[Transition]]:
    """Group what must be applied together: each alone, but an offer's hold with the end of its entry."""
    found: list[list[Transition]] = []
    for transition in transitions:
        last = found[-1][-1] if found else None
        if (
            isinstance(transition, Leave)
            and isinstance(last, Hold)
            and (last.sale, last.id) == (transition.sale, transition.id)
        ):
            found[-1].append(transition)
        else:
            found.append([transition])
    return found


async def count_refusals(
    connection: Connection, partition: int, refusals: Sequence[TransitionRefusal]
) -> list[Parked]:
    """Count each refused transition in the ledger; return those that are parked from now on, or were already.

    A waiting list entry whose offer is parked ends: the next entry in the queue is served.
    """
    by_name = {name_of(refusal.transition): refusal.reason for refusal in refusals}
    refused = [
        RefusedTransition(*name, reason[:REASON_MOST].replace("\0", "")) for name, reason in by_name.items()
    ]
    parked = [
        Parked(each.sale, each.kind, each.id, each.reason, times)
        for each, times in await count_refused(connection, refused, partition)
        if times > 1
    ]
    offers = [entry for entry in parked if entry.kind in (_tag(Hold), _tag(Leave), _tag(Join))]
    if offers:
        await end_parked_entries(connection, [(offer.sale_id, offer.id) for offer in offers])
    return parked


def log_parked(partition: int, parked: Iterable[Parked]) -> None:
    """Log what is parked, with what an operator can do."""
    for transition in parked:
        log.error(
            "partition %d: parked %s %r of sale %s: the ledger refused it %d times (%s). It is not made "
            "again; other sales are not affected. Find the reason, then see 'A transition is parked' in "
            "docs/how-to/runbook.md",
            partition, transition.kind, transition.id, transition.sale_id, transition.times,
            transition.reason,
        )  # fmt: skip


def _tag(kind: type[Struct]) -> str:
    return str(kind.__struct_config__.tag)
