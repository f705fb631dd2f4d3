"""The waiting list of a sale: returned units are held for its entries, in order.

An entry is for units of one item. When its turn comes, it is offered them: an ordinary hold with the entry's
own id, which its customer confirms, releases, or lets expire. Then the next entry is offered them.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from flashguard.engine.baskets import hashed_identities
from flashguard.engine.customers import WHAT_IT_IS
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import IN_FLIGHT_RETRY_SECONDS, newly_done, refusal, refused_by_status
from flashguard.engine.receipts import IdKind, Signer
from flashguard.errors import Code
from flashguard.kernel.list_results import Counted, EntryNow
from flashguard.kernel.results import Spread
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.waiting import waiting_entry
from flashguard.model import (
    Admission,
    CustomerId,
    Key,
    Line,
    Refused,
    ReservationId,
    SaleId,
    SaleStatus,
    Sku,
    from_millis,
    invalid_basket,
    public_sale,
    split_reservation_id,
    unknown,
    unknown_sale,
)
from flashguard.model.arguments import ADMITTED_UNTIL, KEY, first_wrong, is_admission, is_key
from flashguard.model.fingerprints import request_fingerprint
from flashguard.model.shards import home_shard, shard_id, shard_ids
from flashguard.spread import ShardRouter

IN_FLIGHT: Final = Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
RECOVERING: Final = Refused(code=Code.RECOVERING, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)


class WaitingStatus(StrEnum):
    WAITING = "waiting"
    OFFERED = "offered"
    """Units were held for it; the reservation of its id says what became of them."""
    LEFT = "left"
    LIMIT_REACHED = "limit-reached"
    """When its turn came, its customer had reached the limit."""
    ENDED = "ended"
    """The sale was closed while it waited, or the entry could not be offered its units."""


class WaitingEntry(Struct, frozen=True, kw_only=True):
    """An entry of the list. `place` is 1 for the next one for its item, None once it no longer waits."""

    id: ReservationId
    sale_id: SaleId
    customer: CustomerId
    status: WaitingStatus
    items: tuple[Line]
    place: int | None
    created_at: datetime


class WaitingList:
    """The waiting lists of all sales. Refusals are values.

    Parameters:
        customer_of: returns the spelling of a customer's id that limits count by; None where it can't be an
            id.
        router: knows which sales are spread. There an entry is on its customer's home shard.
    """

    def __init__(
        self,
        decisions: Decisions,
        ledger: Ledger,
        signer: Signer,
        customer_of: Callable[[str], CustomerId | None],
        router: ShardRouter,
    ) -> None:
        self._decisions = decisions
        self._ledger = ledger
        self._signer = signer
        self._customer_of = customer_of
        self._router = router

    async def join(
        self,
        sale: str,
        customer: str,
        sku: str,
        quantity: int = 1,
        *,
        key: Key | None = None,
        admitted_until: int | Admission = 0,
        identities: Mapping[str, str] | None = None,
    ) -> tuple[WaitingEntry, bool] | Refused:
        """Join the list for units of an item; the answer waits until the ledger has the entry.

        Parameters:
            key: an idempotency key; the same key again returns the same entry, as it is now.
            admitted_until: as in `FlashGuard.reserve`; matters only where units are available at once.
            identities: as in `FlashGuard.reserve`; of its offer, too.

        Returns:
            the entry, and whether the same key had made it before; or a refusal.
        """
        line, one = Line(Sku(sku), quantity), self._customer_of(customer)
        wrong = WHAT_IT_IS if one is None else invalid_basket(sale, one, [line])
        if wrong or one is None:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong or WHAT_IT_IS)
        more = first_wrong(
            (key is None or is_key(key), KEY),
            (is_admission(admitted_until), ADMITTED_UNTIL),
        )
        if more:
            return Refused(code=Code.INVALID_REQUEST, detail=more)
        details: dict[str, Any] = {}
        if identities is not None:
            hashed = hashed_identities(identities, self._signer.identity)
            if isinstance(hashed, Refused):
                return hashed
            details["identities"] = hashed
        body = request_fingerprint(
            "hold", one, (line,), details or None
        )  # its offer's receipt is one of a hold
        asked = (one, sku, quantity, admitted_until)
        public = SaleId(sale)
        shards = self._router.known.get(public, 1)
        for _ in range(2):
            home = shard_id(public, home_shard(one, shards)) if shards > 1 else public
            own = one if shards > 1 else None  # whose key it is
            short = self._signer.short_id(IdKind.WAITING_ENTRY, home, key, customer=own)
            if shards > 1:
                elsewhere = sum(each.waiting for each in await self._count(home, shards, sku, 0))
                details |= {"spread": shards, "elsewhere": elsewhere}
            found = await self._ask(home, short, "join", body, *asked, *([details] if details else []))
            if not isinstance(found, Spread):
                return found
            shards = found.shards
            self._router.note(public, shards)
        return RECOVERING

    async def see(self, id_: str) -> WaitingEntry | Refused:
        """Return an entry as it is now, with its place."""
        return await self._ask_by_id(id_, "see")

    async def leave(self, id_: str) -> WaitingEntry | Refused:
        """Give up an entry's place; an entry that no longer waits stays as it is."""
        return await self._ask_by_id(id_, "leave")

    async def _ask_by_id(self, id_: str, verb: str) -> WaitingEntry | Refused:
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_ENTRY, id_)
        found = await self._ask(*name, verb)
        if isinstance(found, Spread):
            return RECOVERING
        return found if isinstance(found, Refused) else found[0]

    async def _ask(
        self, sale: SaleId, short: str, verb: str, *asked: Any
    ) -> tuple[WaitingEntry, bool] | Refused | Spread:
        decision = await self._decisions.ask(
            Verb.WAITING_LIST,
            sale,
            (verb, short, *asked),
            name=short,
            durable=newly_done,
        )
        refused = refused_by_status(decision)
        if refused:
            return refused
        result = decision.result
        if isinstance(result, Spread):
            return result
        if not isinstance(result, EntryNow):
            if decision.code in (Code.UNKNOWN_SALE, Code.UNKNOWN_ENTRY):
                return await self._not_in_memory(sale, short, verb)
            if decision.code == Code.IDEMPOTENCY_MISMATCH and await self._ledger.refusals.has_parked(
                sale, short
            ):
                return Refused(code=Code.LEDGER_REFUSED)
            return refusal(result)
        as_it_was = result.as_it_was
        if as_it_was and result.seq and verb != "see":
            row = await waiting_entry(self._ledger, sale, short)
            has_left = result.state == WaitingStatus.LEFT
            if row is None or (has_left and row["state"] != WaitingStatus.LEFT):
                return IN_FLIGHT  # memory alone may have it, and lose it
        entry = WaitingEntry(
            id=ReservationId(f"{sale}.{short}"),
            sale_id=public_sale(sale),
            customer=result.customer,
            status=WaitingStatus(result.state),
            items=(Line(result.sku, result.quantity),),
            place=await self._place(sale, result, joins=verb == "join") or None,
            created_at=from_millis(result.created_ms),
        )
        return entry, as_it_was

    async def _place(self, shard: SaleId, entry: EntryNow, *, joins: bool) -> int:
        """Return the place of an entry over all shards that answer; 0 when it does not wait. When it joins,
        all shards set units aside for it."""
        if not entry.place or not entry.order:
            return entry.place
        try:
            shards = await self._router.shards_of(public_sale(shard))
        except LedgerAway:
            return entry.place
        if joins and entry.sets_aside:
            request = ("mark", entry.sku, entry.order)
            await asyncio.gather(
                *(self._decisions.ask(Verb.SERVE_LIST, other, request) for other in _others(shard, shards))
            )
        counts = await self._count(shard, shards, entry.sku, entry.order)
        return entry.place + sum(each.before for each in counts)

    async def _count(self, shard: SaleId, shards: int, sku: str, order: int) -> list[Counted]:
        """Return the counts of the other shards that answer."""
        request = ("count", sku, order)
        decisions = await asyncio.gather(
            *(self._decisions.ask(Verb.SERVE_LIST, other, request) for other in _others(shard, shards))
        )
        return [each.result for each in decisions if isinstance(each.result, Counted)]

    async def _not_in_memory(
        self, sale: SaleId, short: str, verb: str
    ) -> tuple[WaitingEntry, bool] | Refused:
        """Return the outcome from the ledger, where memory has no such sale or entry: it is unknown, closed
        long ago, or not loaded yet."""
        try:
            stored = await self._ledger.sales.get(public_sale(sale))
            row = None if stored is None else await waiting_entry(self._ledger, sale, short)
        except LedgerAway:
            return RECOVERING
        if stored is None:
            return (
                unknown_sale(public_sale(sale))
                if verb == "join"
                else unknown(Code.UNKNOWN_ENTRY, f"{sale}.{short}")
            )
        closed = stored.sale.status is SaleStatus.CLOSED
        if row is None:
            if verb != "join":
                return unknown(Code.UNKNOWN_ENTRY, f"{sale}.{short}")
            return Refused(code=Code.SALE_NOT_OPEN, detail="The sale is closed.") if closed else RECOVERING
        if not closed:
            return RECOVERING
        ended = row["state"] == WaitingStatus.WAITING
        entry = WaitingEntry(
            id=ReservationId(f"{sale}.{short}"),
            sale_id=public_sale(sale),
            customer=CustomerId(row["customer"]),
            status=WaitingStatus.ENDED if ended else WaitingStatus(row["state"]),
            items=(Line(Sku(row["sku"]), row["quantity"]),),
            place=None,
            created_at=row["created_at"],
        )
        return entry, True


def _others(shard: SaleId, shards: int) -> list[SaleId]:
    return [each for each in shard_ids(public_sale(shard), shards) if each != shard]
