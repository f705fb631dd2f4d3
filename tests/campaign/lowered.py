"""A round's operations in the form that the outside checker reads: numbers of units, and no rules.

Each operation says what it takes from which counter, what it adds to which limit and, while it holds, to
which hold budget. What a sale may do with these numbers is written in `porcupine/sale.go` alone. The program
around it divides the round into parts.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from flashguard.model.locations import item_and_location
from tests.campaign.history import Record
from tests.campaign.linearize import NEVER
from tests.campaign.operations import parts_of
from tests.campaign.sequential import (
    Amend,
    End,
    Grant,
    LedgerRead,
    Part,
    Refusal,
    Restock,
    StatusRead,
    Step,
    counts_of,
)  # fmt: skip

Units = dict[str, int]


class Reservation(Struct):
    """A reservation as the ledger has it after the round."""

    status: str
    takes: Units


class Operation(Struct):
    """An operation and its answer. Times are nanoseconds since the first call."""

    text: str
    what: str
    """reserve, amend, cancel, end, expire, restock, see, refuse, refuse amend."""
    status: str
    """That a reservation gets, had, or was refused."""
    reason: str
    """Why it was refused: sold-out, limit-reached, hold-budget-reached."""
    about: str
    call: int
    returned: int | None
    takes: Units
    counts: Units
    budgets: Units


class Round(Struct):
    """What the outside checker decides about."""

    stock: Units
    limits: Units
    """The most units of each limit and of each hold budget."""
    operations: list[Operation]
    reservations: dict[str, Reservation]
    free: Units
    """The ledger's free units of each counter after the round."""


KINDS: dict[type[Step], str] = {
    Grant: "reserve", Amend: "amend", Part: "cancel", End: "end", Restock: "restock", StatusRead: "see",
    Refusal: "refuse",
}  # fmt: skip


def lowered(record: Record) -> Round:
    """Return the operations of a round as numbers of units."""
    history, ledger = record.history, record.ledger
    short_id: Callable[[str], str] = record.ids.__getitem__
    steps = [s for part in parts_of(history, ledger, short_id) for s in part if not isinstance(s, LedgerRead)]
    began = min((step.call for step in steps), default=0.0)
    limits: Units = {}

    def named(counts: dict[tuple[str, int], int]) -> Units:
        units: Units = {}
        for (who, most), count in counts.items():
            limits[f"{who} at most {most}"] = most
            units[f"{who} at most {most}"] = count
        return units

    def operations() -> Iterator[Operation]:
        for step in steps:
            lines = step.ask.lines
            always = counts_of(history, step.hold, lines, held=False)
            held = counts_of(history, step.hold, lines, held=True)
            restocks = isinstance(step, Restock)
            yield Operation(
                text=str(step).partition(" [")[0],
                what=_what(step),
                status=_status(step),
                reason=step.word if isinstance(step, Refusal) else "",
                about=step.about,
                call=round((step.call - began) * 1e9),
                returned=None if step.returned == NEVER else round((step.returned - began) * 1e9),
                takes=dict(lines) if restocks else history.takes(lines),
                counts={} if restocks else named(always),
                budgets={} if restocks else named({who: held[who] for who in held.keys() - always.keys()}),
            )

    found = list(operations())
    about = {each.about for each in found}
    free = {
        counter: item.stock - item.held - item.sold
        for counter, item in ledger.items.items()
        if item_and_location(counter)[1] is None
    }
    rows = {r.id: Reservation(r.status, history.takes(r.lines)) for r in ledger.rows if r.id in about}
    return Round({c: history.stock[c] for c in free}, limits, found, rows, free)


def _what(step: Step) -> str:
    if step.ask.verb == "expire":
        return "expire"
    return KINDS[type(step)] + (" amend" if isinstance(step, Refusal) and step.ask.verb == "amend" else "")


def _status(step: Step) -> str:
    if isinstance(step, Grant | Refusal):
        return "confirmed" if step.ask.verb == "buy" else "held"
    return step.word if isinstance(step, End | StatusRead) else ""
