"""Locations: where an item's units are, and where a reservation has its own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET

from .names import Sku
from .sale import Allocation, Item, Line, Location, LocationStock

AT: Final = "\x1f"
"""Between sku and location in the name of a counter. It is in no name, because it is not printable."""
MAX_LOCATIONS: Final = 20
"""Most locations of one sale."""


def counter_at(sku: str, location: str) -> Sku:
    """Return the name of the counter of an item's units at a location."""
    return Sku(f"{sku}{AT}{location}")


def item_and_location(counter: str) -> tuple[Sku, str | None]:
    """Return the item of a counter, and its location; None of a counter of the item itself, or of a pool."""
    sku, at, location = counter.partition(AT)
    return Sku(sku), location if at else None


def flat_locations(locations: Iterable[Location]) -> list[str]:
    """Return a sale's locations as memory and ledger keep them: id, name, id, name, …"""
    return [text for each in locations for text in (each.id, each.name)]


def locations_from_flat(flat: Sequence[str]) -> tuple[Location, ...]:
    """Return the locations that memory and ledger keep flat."""
    return tuple(Location(id=id_, name=name) for id_, name in zip(flat[::2], flat[1::2], strict=True))


def at_all(item: Item, locations: Iterable[Location]) -> tuple[LocationStock, ...]:
    """Return an item's stock at each location of the sale, in their order; 0 where it says none."""
    if not item.locations:
        return ()
    stock = {each.id: each.stock for each in item.locations}
    return tuple(LocationStock(id=each.id, stock=stock.get(each.id, 0)) for each in locations)


def pick_up_of(lines: Iterable[Line]) -> list[str] | None:
    """Return the lines that name a location, as a reservation's details have them: sku, location, …; None
    where none does."""
    named = {each.sku: each.location for each in lines if each.location is not UNSET}
    return [text for pair in named.items() for text in pair] or None


def allocated(lines: Iterable[Line], takes: Sequence[Any] | None) -> tuple[Line, ...]:
    """Return the lines of a reservation with their allocations.

    Parameters:
        takes: what the reservation moves, flat: counter, quantity, …; None where that is its lines.
    """
    found: dict[str, list[Allocation]] = {}
    for counter, quantity in zip((takes or ())[::2], (takes or ())[1::2], strict=True):
        sku, location = item_and_location(counter)
        if location is not None:
            found.setdefault(sku, []).append(Allocation(location, quantity))
    if not found:
        return tuple(lines)
    return tuple(
        Line(line.sku, line.quantity, allocations=tuple(found[line.sku]))
        if sum(each.quantity for each in found.get(line.sku, ())) == line.quantity
        else line
        for line in lines
    )


def kept_at(lines: Iterable[Line], takes: Sequence[Any], locations: Iterable[Location]) -> dict[str, int]:
    """Return the units that a reservation keeps at its locations, by counter, where it has fewer left: those
    at the first locations of the sale."""
    had: Mapping[str, int] = dict(zip(takes[::2], takes[1::2], strict=True))
    kept: dict[str, int] = {}
    places = [each.id for each in locations]
    for line in lines:
        left = line.quantity
        for counter in (counter_at(line.sku, place) for place in places):
            units = min(left, had.get(counter, 0))
            left -= units
            if units:
                kept[counter] = units
    return kept
