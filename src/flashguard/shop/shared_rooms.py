"""Rooms that several sales share: which sales may join one, and what its own sale may not do meanwhile."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import newly_done, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, StoredSale
from flashguard.model import Refused, Sale, SaleId, SaleStatus, WaitingRoom
from flashguard.recorder.transfers import AT_ONCE, open_doors
from flashguard.spread import NOT_ALL

from .new_sale import ENDED, NewSale

MAX_SALES: Final = 100
"""Sales of one room, its own among them: a recorder asks each for its units, four times per second."""
NAMED: Final = 5
"""Sales that a refusal names at most."""


class SharedRooms:
    """The rooms that several sales share. A method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, ledger: Ledger, decisions: Decisions) -> None:
        self._ledger = ledger
        self._decisions = decisions

    async def refused_now(
        self, sale: SaleId, new: NewSale, beside: Mapping[SaleId, NewSale], creation_key: str | None = None
    ) -> Refused | None:
        """Return why such a sale can't be created any longer, or can't share the room that it names; None
        where it can, or was created with this key before.

        Parameters:
            beside: sales that are created together with this one.
        """
        if not new.has_ended() and new.room is None:
            return None
        if creation_key is not None and await self._ledger.sales.created_with(creation_key) is not None:
            return None
        if new.has_ended():
            return ENDED
        return None if new.room is None else await self.may_join(sale, new.room, new.ends_at, beside)

    async def may_join(
        self, sale: SaleId, host: SaleId, ends_at: datetime | None, beside: Mapping[SaleId, NewSale]
    ) -> Refused | None:
        """Return why a sale can't share the room of another one, its host; None where it can.

        Parameters:
            beside: sales that are created together with this one.
        """
        new = beside.get(host)
        guests = {each for each, other in beside.items() if other.room == host}
        if new is not None:
            wrong = _wrong_host(host, new.room, new.waiting_room) or _ends_late(ends_at, host, new.ends_at)
        else:
            stored = await self._ledger.sales.get(host)
            if stored is None:
                return _invalid(f"room: there is no sale {host}")
            found = stored.sale
            if found.status is SaleStatus.CLOSED:
                return _invalid(f"room: sale {host} is closed")
            wrong = _wrong_host(host, found.room, found.waiting_room)
            wrong = wrong or _ends_late(ends_at, host, found.ends_at)
            guests |= {each for each, _ in await self._ledger.sales.sharing_room_of(host)}
        if not wrong and len(guests - {sale}) + 2 > MAX_SALES:
            return _invalid(f"room: at most {MAX_SALES} sales share one room")
        return wrong

    async def may_change(self, stored: StoredSale, verb: str, changes: Mapping[str, Any]) -> Refused | None:
        """Return why a sale can't change like this, because of the room that it shares or that others share;
        None where it can."""
        sale = stored.sale
        host = changes.get("room", sale.room)
        ends_at = changes.get("ends_at", sale.ends_at)
        if host is not None and host != sale.room:
            return await self.may_join(sale.id, host, ends_at, {})
        if host is not None and "ends_at" in changes:
            found = await self._ledger.sales.get(host)
            return None if found is None else _ends_late(ends_at, host, found.sale.ends_at)
        if sale.room is not None or sale.waiting_room is None or not sale.waiting_room.shared:
            return None
        if verb == "close" or changes.get("waiting_room", sale.waiting_room) is None:
            return await self.in_use(sale)
        if verb == "patch" and ends_at is not None and "ends_at" in changes:
            guests = await self._ledger.sales.sharing_room_of(sale.id)
            late = [id_ for id_, end in guests if end is None or end > ends_at]
            if late:
                return _invalid(f"ends_at: {_names(late)} share the room, and end later or not at all")
        return None

    async def open_doors(self, sale: Sale) -> Refused | None:
        """Open the doors of all that share a sale's room once its own are open; return the refusal if not all
        have changed. A recorder completes what is left."""
        if sale.waiting_room is None or not sale.waiting_room.shared:
            return None
        asks = (
            self._decisions.ask(Verb.CHANGE_SALE, guest, open_doors(host), durable=newly_done)
            for guest, _, host in await self._ledger.sales.doors_to_open(sale.id, AT_ONCE)
        )
        decisions = await asyncio.gather(*asks)
        return NOT_ALL if any(refused_by_status(each) or each.code for each in decisions) else None

    async def in_use(self, sale: Sale) -> Refused | None:
        """Return the refusal of what would take a sale's room from others; None where no sale shares it."""
        guests = [id_ for id_, _ in await self._ledger.sales.sharing_room_of(sale.id)]
        if not guests:
            return None
        return Refused(
            code=Code.ROOM_IN_USE, detail=f"Sales that share the room and are not closed: {_names(guests)}."
        )


def _wrong_host(host: SaleId, its_host: SaleId | None, room: WaitingRoom | None) -> Refused | None:
    if its_host is not None:
        return _invalid(f"room: sale {host} shares the room of sale {its_host}: name that one")
    if room is None or not room.shared:
        return _invalid(f"room: sale {host} has no waiting room with `shared`")
    if room.open_to_all:
        return _invalid(f"room: the doors of sale {host} are open to all")
    return None


def _ends_late(ends_at: datetime | None, host: SaleId, end: datetime | None) -> Refused | None:
    """Return the refusal of a sale that would outlive its room; None where it ends in time."""
    if end is None or (ends_at is not None and ends_at <= end):
        return None
    return _invalid(f"ends_at: must not be after that of sale {host}, whose room the sale shares")


def _names(sales: list[SaleId]) -> str:
    more = len(sales) - NAMED
    return ", ".join(sales[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _invalid(detail: str) -> Refused:
    return Refused(code=Code.INVALID_REQUEST, detail=detail)
