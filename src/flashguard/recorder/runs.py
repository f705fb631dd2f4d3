"""Which entries of the journal the next group has."""

from collections.abc import Iterable, Sequence
from typing import Final

from flashguard.journal import Delete, Entry, ItemChange, Items, SaleChange, last_position
from flashguard.model import Position

_OF_A_SALE: Final = (SaleChange, Delete)
"""What an entry that edits or deletes a draft begins with."""


def next_group(entries: Iterable[Entry], start: Position) -> tuple[list[Entry], Position, bool]:
    """Return the entries that continue `start`, as `last_position` does, as far as `first_run` has them."""
    run, end, whole = last_position(entries, start)
    first = first_run(run)
    return first, first[-1].position if first else end, whole


def first_run(entries: Sequence[Entry]) -> list[Entry]:
    """Return the first entries, for a group of their own: up to one that replaces a draft's items or deletes
    one, since what comes after may be about the new items, or about another sale of the same id. An entry
    that changes items stands alone: what comes before may be about an item that it removes."""
    for at, entry in enumerate(entries):
        transitions = entry.body.transitions
        first = type(transitions[0]) if transitions else None
        if first is ItemChange:
            return list(entries[: max(at, 1)])
        if first in _OF_A_SALE and any(isinstance(each, Items | Delete) for each in transitions):
            return list(entries[: at + 1])
    return list(entries)
