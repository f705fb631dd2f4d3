"""The waiting rooms of sales: tickets are issued, polled and given up; admissions are signed and verified.

Sales may share the room of another one, their host: what is asked about their tickets is asked of the host.
The kernel decides every place (scripts/lib/room.lua). A ticket's id is derived from the sale and the
customer, so one customer has one ticket, and a reload returns it. The signed ticket names its place: after a
loss of memory, a buyer who shows it gets that place back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from flashguard.access.tokens import KeyRing
from flashguard.engine.customers import WHAT_IT_IS
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import refusal, refused_by_status
from flashguard.engine.receipts import Signer
from flashguard.errors import Code
from flashguard.kernel.results import Refusal, Result
from flashguard.kernel.room_results import Admitted, InRoom, Issued, RoomLeft, RoomNow
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.model import (
    MAX_LINES,
    MAX_QUANTITY,
    Admission,
    CustomerId,
    Refused,
    Sale,
    SaleId,
    SaleStatus,
    from_millis,
    is_str,
    unknown_sale,
)
from flashguard.model.arguments import MAX_PAGE, SALE, first_wrong, is_ascii, is_sale, is_text, is_whole, must
from flashguard.model.lottery import MOST_NUMBER, number
from flashguard.model.shards import shard_ids, shard_number

from .departures import Departures
from .hosts import Hosts
from .place import Drawing, Place, merged_page, poll_after_seconds
from .proof_of_work import NO_PROOF, NO_ROOM, Proofs
from .tickets import Tickets, shard_of

MOST_SEEDS: Final = 1024
"""Sales whose seeds a process caches; a seed never changes."""
SPARE: Final = 8
"""Tickets beyond a page of the lottery that are read, to keep those with one number together."""
FULL_RETRY_SECONDS: Final = 10.0
RECOVERING_RETRY_SECONDS: Final = 1.0
MOST_UNITS: Final = MAX_LINES * MAX_QUANTITY
"""Units of the largest basket."""
TICKET: Final = "id: must be a ticket's"
UNITS: Final = "units: must be a number of units"

NO_KEY_YET: Final = Refused(
    code=Code.RECOVERING,
    detail="No signing key is loaded yet. Retry.",
    retry_after_seconds=RECOVERING_RETRY_SECONDS,
)


class WaitingRooms:
    """The waiting rooms of all sales. Refusals are values, also where a server is away.

    Parameters:
        ring: signs tickets and admissions, and verifies them.
        customer_of: returns the spelling of a customer's id that limits count by; None where it can't be an
            id.
        read: returns a sale as it was at most 100 ms ago; None where there is none.
    """

    def __init__(
        self,
        decisions: Decisions,
        ledger: Ledger,
        signer: Signer,
        ring: KeyRing,
        customer_of: Callable[[str], CustomerId | None],
        read: Callable[[SaleId], Awaitable[Sale | None]],
    ) -> None:
        self._decisions = decisions
        self._ledger = ledger
        self._customer_of = customer_of
        self._tickets = Tickets(signer, ring, customer_of)
        self._hosts = Hosts(decisions)
        self._seeds: dict[SaleId, tuple[str, int]] = {}
        self._departures = Departures(decisions, self._hosts, self._tickets, self._lottery, self._leave)
        self.proofs = Proofs(signer, decisions, customer_of, read)

    async def is_ticket_of(self, sale: SaleId, customer: str, id_: str) -> bool:
        """Return whether a ticket with this id can only be this customer's, whether it was issued or not.

        Raises:
            ValueError: an id is invalid.
        """
        must((is_sale(sale), SALE), (is_str(customer), WHAT_IT_IS), (is_text(id_), TICKET))
        host = await self._hosts.of(sale)
        return not isinstance(host, Refused) and self._tickets.is_of(host, customer, id_)

    async def issue(
        self, sale: SaleId, customer: CustomerId, *, shown: str | None = None, proof: str | None = None
    ) -> tuple[Place, bool] | Refused:
        """Issue a ticket.

        Parameters:
            shown: the signed ticket that this customer got earlier.
            proof: the solution of a challenge, for a room that demands one.

        Returns:
            where it stands, and whether the customer had it already; or a refusal.
        """
        one = self._customer_of(customer)
        if one is None:
            return Refused(code=Code.INVALID_REQUEST, detail=WHAT_IT_IS)
        wrong = first_wrong(
            (is_sale(sale), SALE),
            (shown is None or is_ascii(shown), "shown: must be a signed ticket"),
            (proof is None or is_ascii(proof), "proof: must be a challenge's solution"),
        )
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        host = await self._hosts.of(sale)
        if isinstance(host, Refused):
            return host
        lottery = await self._lottery(host)
        if isinstance(lottery, Refused):
            return lottery
        seed, spread = lottery
        id_ = self._tickets.id_of(host, customer, spread)
        drawn = number(seed, id_)
        solved = NO_PROOF if proof is None else self.proofs.verify(host, one, proof)
        decision = await self._decisions.ask(
            Verb.ISSUE_TICKET,
            shard_of(host, id_),
            (id_, drawn, self._tickets.read(host, id_, drawn, shown), *solved, one),
        )
        refused = refused_by_status(decision)
        if refused:
            return refused
        issued = decision.result
        if not isinstance(issued, Issued):
            return await self._refused(sale, issued)
        standing = issued.standing
        try:
            place = self._place(sale, host, id_, standing, decision.now_ms)
            if isinstance(standing, InRoom):
                place_then = int(standing.place)
                signed = self._tickets.signed(host, id_, place_then, drawn, decision.now_ms, issued.epoch)
                place = msgspec.structs.replace(place, ticket=signed)
            return place, issued.known
        except LookupError:
            return NO_KEY_YET

    async def poll(self, sale: SaleId, id_: str) -> Place | Refused:
        """Return where a ticket stands now; an admitted one comes with its admission."""
        standing = await self.standing(sale, id_)
        return standing if isinstance(standing, Refused) else standing[0]

    async def standing(self, sale: SaleId, id_: str) -> tuple[Place, float] | Refused:
        """Return where a ticket stands now, and its place in the order of the room, 0 once it is admitted.
        The place is for this process alone: a lottery's is secret until it is drawn."""
        wrong = first_wrong((is_sale(sale), SALE), (is_text(id_), TICKET))
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        host = await self._hosts.of(sale)
        if isinstance(host, Refused):
            return host
        decision = await self._decisions.ask(Verb.POLL_TICKET, shard_of(host, id_), (id_,))
        refused = refused_by_status(decision)
        if refused:
            return refused
        result = decision.result
        if not isinstance(result, Admitted | InRoom):
            return await self._refused(host, result, id_)
        try:
            place = self._place(sale, host, id_, result, decision.now_ms)
        except LookupError:
            return NO_KEY_YET
        return place, result.place if isinstance(result, InRoom) else 0.0

    async def first_place(self, sale: SaleId, id_: str) -> float | Refused:
        """Return the first place that waits where this ticket is; every ticket before it was admitted, or is
        gone."""
        wrong = first_wrong((is_sale(sale), SALE), (is_text(id_), TICKET))
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        host = await self._hosts.of(sale)
        now = host if isinstance(host, Refused) else await self._now(host, shard_of(host, id_), 0, 0)
        return now if isinstance(now, Refused) else now.first_place

    async def _now(self, sale: SaleId, shard: SaleId, start: int, count: int) -> RoomNow | Refused:
        decision = await self._decisions.ask(Verb.GET_ROOM, shard, (start, count))
        refused = refused_by_status(decision)
        if refused:
            return refused
        result = decision.result
        return result if isinstance(result, RoomNow) else await self._refused(sale, result)

    async def leave(self, sale: SaleId, id_: str, *, units: int = 0) -> Refused | None:
        """Give up a ticket's place, to the buyers who wait.

        Parameters:
            units: the units that its buyer bought.
        """
        wrong = first_wrong(
            (is_sale(sale), SALE), (is_text(id_), TICKET), (is_whole(units, 0, MOST_UNITS), UNITS)
        )
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        host = await self._hosts.of(sale)
        return (
            host if isinstance(host, Refused) else await self._leave(host, id_, units, at_guest=host != sale)
        )

    async def _leave(self, host: SaleId, id_: str, units: int, *, at_guest: bool) -> Refused | None:
        decision = await self._decisions.ask(Verb.LEAVE_ROOM, shard_of(host, id_), (id_, units, at_guest))
        refused = refused_by_status(decision)
        if refused:
            return refused
        if not isinstance(decision.result, RoomLeft):
            return await self._refused(host, decision.result, id_)
        return None  # to leave twice is to leave

    def bought(self, sale: SaleId, customer: str, units: int) -> None:
        """Give up the place of an admitted buyer who has bought, in the background.

        Raises:
            ValueError: an id is invalid, or `units` is not a number of units.
        """
        must(
            (is_sale(sale), SALE),
            (is_str(customer) and self._customer_of(customer) is not None, WHAT_IT_IS),
            (is_whole(units, 0, MOST_UNITS), UNITS),
        )
        self._departures.begin(sale, customer, units)

    def admitted_until(self, sale: SaleId, customer: str, admission: str) -> int | Admission:
        """Return until when this admission is valid for this customer in this sale, in milliseconds by
        memory's clock, and whose room made it if it is not the sale's; 0 where it is valid for neither. The
        kernel compares it with its own clock, and with the room that the sale shares.
        """
        return self._tickets.admitted_until(sale, customer, admission)

    async def drawing(self, sale: SaleId, start: int, count: int) -> Drawing | Refused:
        """Return the public view of a room. It has the seed only once the ledger knows that the lottery is
        over: from then on, no loss of memory can reopen the lottery.

        Parameters:
            start: the number of the lottery with which the page begins.
            count: tickets of the page; those that have the number of its last one are on it, too.

        Raises:
            LedgerAway: PostgreSQL does not answer.
        """
        wrong = first_wrong(
            (is_sale(sale), SALE),
            (is_whole(start, 0, MOST_NUMBER), f"start: 0 to {MOST_NUMBER}"),
            (is_whole(count, 1, MAX_PAGE), f"count: 1 to {MAX_PAGE}"),
        )
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        host = await self._hosts.of(sale)
        if isinstance(host, Refused):
            return host
        stored = await self._ledger.sales.get(sale := host)
        if stored is None:
            return unknown_sale(sale)
        room, seed = stored.sale.waiting_room, stored.room_seed
        if room is None or room.commitment is None or seed is None:
            return NO_ROOM
        shards = shard_ids(sale, stored.sale.spread)
        asked = (self._now(sale, shard, start, count + SPARE) for shard in shards)
        rooms: list[RoomNow] = []
        for now in await asyncio.gather(*asked):
            if isinstance(now, Refused):
                return now
            rooms.append(now)
        opened = all(now.opened_ms for now in rooms)
        if opened:
            await self._ledger.sales.note_room_opened(sale)
        page, next_start = merged_page([now.page for now in rooms] if opened else [], count)
        return Drawing(
            mode=room.mode, commitment=room.commitment, seed=seed if opened else None,
            drawn_at=from_millis(max(int(now.opened_ms) for now in rooms)) if opened else None,
            waiting=sum(now.waiting for now in rooms), active=sum(now.active for now in rooms),
            admitted=sum(now.admitted for now in rooms), tickets=sum(now.tickets for now in rooms),
            page=page, next_start=next_start,
        )  # fmt: skip

    async def _lottery(self, sale: SaleId) -> tuple[str, int] | Refused:
        """Return the seed of the lottery of a sale's room, and the number of the sale's shards."""
        known = self._seeds.get(sale)
        if known is not None:
            return known
        stored = await self._ledger.sales.get(sale)
        if stored is None:
            return unknown_sale(sale)
        if stored.room_seed is None:
            return NO_ROOM
        if len(self._seeds) >= MOST_SEEDS:
            self._seeds.clear()
        lottery = stored.room_seed, stored.sale.spread
        if stored.sale.status is SaleStatus.DRAFT:
            return lottery  # a draft may get another room, or be deleted
        return self._seeds.setdefault(sale, lottery)

    def _place(self, sale: SaleId, host: SaleId, id_: str, standing: Admitted | InRoom, now_ms: int) -> Place:
        if isinstance(standing, Admitted):
            until_ms = int(standing.until_ms)
            return Place(
                id=id_, sale_id=sale, room=host, status="admitted", outlook="likely",
                admission=self._tickets.admission(host, id_, until_ms, now_ms),
                admitted_until=from_millis(until_ms),
            )  # fmt: skip
        wait_ms, opens_ms = standing.wait_ms, standing.opens_ms
        return Place(
            id=id_, sale_id=sale, room=host, status="waiting",
            position=standing.position or None, about=standing.about, waiting=standing.waiting,
            expected_wait_seconds=None if wait_ms < 0 else round(wait_ms / 1000, 1), outlook=standing.outlook,
            opens_at=from_millis(opens_ms) if opens_ms else None,
            poll_after_seconds=poll_after_seconds(id_, standing.poll_ms, opens_ms - now_ms),
        )  # fmt: skip

    async def _refused(self, sale: SaleId, result: Result | None, id_: str = "") -> Refused:
        match result:
            case Refusal("no-room"):
                return NO_ROOM
            case Refusal("guest"):
                self._hosts.forget(sale)
                return Refused(code=Code.RECOVERING, retry_after_seconds=RECOVERING_RETRY_SECONDS)
            case Refusal("overloaded"):
                return Refused(
                    code=Code.OVERLOADED,
                    detail="The waiting room is full.",
                    retry_after_seconds=FULL_RETRY_SECONDS,
                )
            case Refusal("unknown-sale"):
                stored = await self._ledger.sales.get(sale)
                if stored is None:
                    return unknown_sale(sale)
                if shard_number(shard_of(sale, id_)) >= stored.sale.spread:
                    return Refused(code=Code.UNKNOWN_TICKET)
                if stored.sale.status is not SaleStatus.CLOSED:
                    return Refused(code=Code.RECOVERING, retry_after_seconds=RECOVERING_RETRY_SECONDS)
                return Refused(code=Code.SALE_NOT_OPEN, detail="The sale is closed.")
        return refusal(result)
