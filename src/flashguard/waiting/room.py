"""The waiting rooms of sales: tickets are issued, polled and given up; admissions are signed and verified.

The kernel decides every place (scripts/lib/room.lua). A ticket's id is derived from the sale and the
customer, so one customer has one ticket, and a reload returns it. The signed ticket names its place: after a
loss of memory, a buyer who shows it gets that place back.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from flashguard.access.tokens import MAX_TOKEN_SECONDS, KeyRing, TokenKind
from flashguard.engine.customers import WHAT_IT_IS
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import refusal, refused_by_status
from flashguard.engine.receipts import Signer
from flashguard.errors import Code
from flashguard.kernel.results import Admitted, InRoom, Issued, Refusal, Result, RoomLeft, RoomNow
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.model import (
    MAX_LINES,
    MAX_QUANTITY,
    CustomerId,
    Refused,
    SaleId,
    SaleStatus,
    from_millis,
    is_str,
    unknown_sale,
)
from flashguard.model.arguments import MAX_PAGE, SALE, first_wrong, is_ascii, is_sale, is_text, is_whole, must
from flashguard.model.lottery import number

from .place import Drawing, Place, poll_after_seconds
from .proof_of_work import NO_PROOF, Proofs

MOST_SEEDS: Final = 1024
"""Sales whose seeds a process caches; a seed never changes."""
FULL_RETRY_SECONDS: Final = 10.0
LOTTERY: Final = 0
"""On a ticket, stands for the place that the seed gives it."""
TOKEN_SLACK_SECONDS: Final = 60
"""A token outlives its session by this: the kernel ends the session by its own clock."""
RECOVERING_RETRY_SECONDS: Final = 1.0
MOST_DEPARTURES: Final = 10_000
"""Buyers who have bought and are leaving the room in the background, at once. Further sessions end by
time."""

MOST_UNITS: Final = MAX_LINES * MAX_QUANTITY
"""Units of the largest basket."""
MOST_TICKETS: Final = 10_000_000
"""Tickets of one room."""
TICKET: Final = "id: must be a ticket's"
UNITS: Final = "units: must be a number of units"

NO_KEY_YET: Final = Refused(
    code=Code.RECOVERING,
    detail="No signing key is loaded yet. Retry.",
    retry_after_seconds=RECOVERING_RETRY_SECONDS,
)
NO_ROOM: Final = Refused(code=Code.INVALID_REQUEST, detail="The sale has no waiting room: buy directly.")


class WaitingRooms:
    """The waiting rooms of all sales. Refusals are values, also where a server is away.

    Parameters:
        ring: signs tickets and admissions, and verifies them.
        customer_of: returns the spelling of a customer's id that limits count by; None where it can't be an
            id.
    """

    def __init__(
        self,
        decisions: Decisions,
        ledger: Ledger,
        signer: Signer,
        ring: KeyRing,
        customer_of: Callable[[str], CustomerId | None],
    ) -> None:
        self._decisions = decisions
        self._ledger = ledger
        self._signer = signer
        self.ring = ring
        self._customer_of = customer_of
        self._seeds: dict[SaleId, str] = {}
        self._departures: set[asyncio.Task[None]] = set()
        self.proofs = Proofs(signer)

    def ticket_of(self, sale: SaleId, customer: str) -> str:
        """Return the id of this customer's ticket, whether it was issued or not.

        Raises:
            ValueError: the sale's or the customer's id is invalid.
        """
        must((is_sale(sale), SALE), (is_str(customer), WHAT_IT_IS))
        return self._signer.ticket_id(sale, self._customer_of(customer) or customer)

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
        seed = await self._seed(sale)
        if isinstance(seed, Refused):
            return seed
        id_ = self.ticket_of(sale, customer)
        drawn = number(seed, id_)
        solved = NO_PROOF if proof is None else self.proofs.verify(sale, proof)
        decision = await self._decisions.ask(
            Verb.ISSUE_TICKET, sale, (id_, drawn, self._read(sale, id_, drawn, shown), *solved, one)
        )
        refused = refused_by_status(decision)
        if refused:
            return refused
        issued = decision.result
        if not isinstance(issued, Issued):
            return await self._refused(sale, issued)
        standing = issued.standing
        try:
            place = self._place(sale, id_, standing, decision.now_ms)
            if isinstance(standing, InRoom):
                signed = self._ticket(sale, id_, int(standing.place), drawn, decision.now_ms, issued.epoch)
                place = msgspec.structs.replace(place, ticket=signed)
            return place, issued.known
        except LookupError:
            return NO_KEY_YET

    async def poll(self, sale: SaleId, id_: str) -> Place | Refused:
        """Return where a ticket stands now; an admitted one comes with its admission."""
        wrong = first_wrong((is_sale(sale), SALE), (is_text(id_), TICKET))
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        decision = await self._decisions.ask(Verb.POLL_TICKET, sale, (id_,))
        refused = refused_by_status(decision)
        if refused:
            return refused
        if not isinstance(decision.result, Admitted | InRoom):
            return await self._refused(sale, decision.result)
        try:
            return self._place(sale, id_, decision.result, decision.now_ms)
        except LookupError:
            return NO_KEY_YET

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
        decision = await self._decisions.ask(Verb.LEAVE_ROOM, sale, (id_, units))
        refused = refused_by_status(decision)
        if refused:
            return refused
        if not isinstance(decision.result, RoomLeft):
            return await self._refused(sale, decision.result)
        return None  # to leave twice is to leave

    def bought(self, sale: SaleId, customer: str, units: int) -> None:
        """Give up the place of an admitted buyer who has bought, in the background.

        Raises:
            ValueError: an id is invalid, or `units` is not a number of units.
        """
        must(
            (is_sale(sale), SALE),
            (is_str(customer), WHAT_IT_IS),
            (is_whole(units, 0, MOST_UNITS), UNITS),
        )
        if len(self._departures) < MOST_DEPARTURES:
            task = asyncio.get_running_loop().create_task(self._leave_after_buying(sale, customer, units))
            self._departures.add(task)
            task.add_done_callback(self._departures.discard)

    async def _leave_after_buying(self, sale: SaleId, customer: str, units: int) -> None:
        await self.leave(sale, self.ticket_of(sale, customer), units=units)

    def admitted_until(self, sale: SaleId, customer: str, admission: str) -> int:
        """Return until when this admission is valid for this customer in this sale, in milliseconds by
        memory's clock; 0 where it is not. The kernel compares it with its own clock.
        """
        if not (is_sale(sale) and is_str(customer) and is_ascii(admission)):
            return 0
        claims = self.ring.verify(TokenKind.ADMISSION, admission.encode())
        if isinstance(claims, Refused) or claims.sale != sale:
            return 0
        until_ms = claims.more.get("until_ms")
        mine = claims.subject == self.ticket_of(sale, customer)
        return until_ms if mine and isinstance(until_ms, int) else 0

    async def drawing(self, sale: SaleId, start: int, count: int) -> Drawing | Refused:
        """Return the public view of a room. It has the seed only once the ledger knows that the lottery is
        over: from then on, no loss of memory can reopen the lottery.

        Raises:
            LedgerAway: PostgreSQL does not answer.
        """
        wrong = first_wrong(
            (is_sale(sale), SALE),
            (is_whole(start, 0, MOST_TICKETS), f"start: 0 to {MOST_TICKETS}"),
            (is_whole(count, 1, MAX_PAGE), f"count: 1 to {MAX_PAGE}"),
        )
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        stored = await self._ledger.sales.get(sale)
        if stored is None:
            return unknown_sale(sale)
        room, seed = stored.sale.waiting_room, stored.room_seed
        if room is None or room.commitment is None or seed is None:
            return NO_ROOM
        decision = await self._decisions.ask(Verb.GET_ROOM, sale, (start, count))
        refused = refused_by_status(decision)
        if refused:
            return refused
        now = decision.result
        if not isinstance(now, RoomNow):
            return await self._refused(sale, now)
        opened_ms = now.opened_ms
        if opened_ms:
            await self._ledger.sales.note_room_opened(sale)
        return Drawing(
            mode=room.mode, commitment=room.commitment, seed=seed if opened_ms else None,
            drawn_at=from_millis(int(opened_ms)) if opened_ms else None,
            waiting=now.waiting, active=now.active, admitted=now.admitted, tickets=now.tickets, page=now.page,
        )  # fmt: skip

    async def _seed(self, sale: SaleId) -> str | Refused:
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
        return self._seeds.setdefault(sale, stored.room_seed)

    def _ticket(self, sale: SaleId, id_: str, place: int, drawn: int, now_ms: int, epoch: int) -> str:
        """Return the signed ticket. Its buyer can read it, so it must not name a number of the lottery
        early."""
        says = {"place": LOTTERY if place == drawn else place, "at_ms": now_ms, "epoch": epoch}
        return self.ring.sign(TokenKind.TICKET, id_, sale, MAX_TOKEN_SECONDS, says).token

    def _read(self, sale: SaleId, id_: str, drawn: int, shown: str | None) -> list[int]:
        """Return what a signed ticket says: place, time of signing in milliseconds, epoch; nothing where it
        is not this ticket's."""
        if shown is None:
            return []
        claims = self.ring.verify(TokenKind.TICKET, shown.encode())
        if isinstance(claims, Refused) or (claims.sale, claims.subject) != (sale, id_):
            return []
        place = claims.more["place"]
        return [drawn if place == LOTTERY else place, claims.more["at_ms"], claims.more["epoch"]]

    def _place(self, sale: SaleId, id_: str, standing: Admitted | InRoom, now_ms: int) -> Place:
        if isinstance(standing, Admitted):
            until_ms = int(standing.until_ms)
            seconds = min((until_ms - now_ms) / 1000 + TOKEN_SLACK_SECONDS, MAX_TOKEN_SECONDS)
            signed = self.ring.sign(TokenKind.ADMISSION, id_, sale, seconds, {"until_ms": until_ms})
            return Place(
                id=id_, sale_id=sale, status="admitted", outlook="likely",
                admission=signed.token, admitted_until=from_millis(until_ms),
            )  # fmt: skip
        wait_ms, opens_ms = standing.wait_ms, standing.opens_ms
        return Place(
            id=id_, sale_id=sale, status="waiting",
            position=standing.position or None, waiting=standing.waiting,
            expected_wait_seconds=None if wait_ms < 0 else round(wait_ms / 1000, 1), outlook=standing.outlook,
            opens_at=from_millis(opens_ms) if opens_ms else None,
            poll_after_seconds=poll_after_seconds(id_, standing.poll_ms, opens_ms - now_ms),
        )  # fmt: skip

    async def _refused(self, sale: SaleId, result: Result | None) -> Refused:
        match result:
            case Refusal("no-room"):
                return NO_ROOM
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
                if stored.sale.status is not SaleStatus.CLOSED:
                    return Refused(code=Code.RECOVERING, retry_after_seconds=RECOVERING_RETRY_SECONDS)
                return Refused(code=Code.SALE_NOT_OPEN, detail="The sale is closed.")
        return refusal(result)
