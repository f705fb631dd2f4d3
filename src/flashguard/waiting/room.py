"""The waiting rooms of sales, seen from a process: tickets are taken, looked at, left, and admissions told.

Where everybody stands is decided by the kernel (scripts/lib/room.lua). A ticket's id follows from the sale
and the customer, so that one customer has one ticket, and whoever reloads has it again. The signed ticket
says its place: after memory was lost, whoever shows it has that place back.
"""

import asyncio
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from flashguard.access.tokens import MAX_TOKEN_SECONDS, KeyRing, Kind
from flashguard.engine.customers import WHAT_IT_IS
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import refusal, refused_by_status
from flashguard.engine.receipts import Signer
from flashguard.errors import Code
from flashguard.kernel.kernel import Verb
from flashguard.ledger import Ledger
from flashguard.model import (
    MAX_LINES,
    MAX_QUANTITY,
    CustomerId,
    Refused,
    RoomMode,
    SaleId,
    SaleStatus,
    from_millis,
    is_str,
    unknown_sale,
)
from flashguard.model.arguments import MAX_PAGE, SALE, first_wrong, is_ascii, is_sale, is_text, is_whole, must
from flashguard.model.lottery import number

from .proof_of_work import NO_PROOF, Proofs

MOST_SEEDS: Final = 1024
"""Sales whose seeds a process remembers; they never change."""
FULL_RETRY_SECONDS: Final = 10.0
LOTTERY: Final = 0
"""Stands on a ticket for the place that the seed gives it."""
TOKEN_SLACK_SECONDS: Final = 60
"""A token ends so much after the session that it is for: the kernel ends that by its own clock."""
RETRY_SECONDS: Final = 1.0
MOST_FAREWELLS: Final = 10_000
"""Buyers who took what they came for and are being signed off, at once; beyond it their session just ends."""

MOST_TAKEN: Final = MAX_LINES * MAX_QUANTITY
"""Units of the largest basket."""
MOST_TICKETS: Final = 10_000_000
"""Tickets of one room."""
TICKET: Final = "id: must be a ticket's"
TAKEN: Final = "taken: must be a number of units"

NO_KEY_YET: Final = Refused(
    code=Code.RECOVERING, detail="No signing key is known yet.", retry_after_seconds=RETRY_SECONDS
)
NO_ROOM: Final = Refused(code=Code.INVALID_REQUEST, detail="The sale has no waiting room: just buy.")


class Place(Struct, frozen=True, kw_only=True):
    """Where a ticket stands.

    Parameters:
        position: how many are let in until it is its turn, itself included; None before a lottery is drawn.
        waiting: how many wait in all.
        expected_wait_seconds: None where it hangs on units that come back, or on the opening.
        outlook: what there is to hope for: likely, possible (units that others hold would have to come
            back), unlikely, sold-out.
        poll_after_seconds: when to look again.
        admission: what reserve and buy want, until `admitted_until`.
        ticket: signed; whoever shows it keeps the place even when memory is lost.
    """

    id: str
    sale_id: SaleId
    status: str
    position: int | None = None
    waiting: int | None = None
    expected_wait_seconds: float | None = None
    outlook: str | None = None
    opens_at: datetime | None = None
    poll_after_seconds: float | None = None
    admission: str | None = None
    admitted_until: datetime | None = None
    ticket: str | None = None


class Drawing(Struct, frozen=True, kw_only=True):
    """A room and, once it is drawn, its lottery: a page of the tickets in their order."""

    mode: RoomMode
    commitment: str
    seed: str | None
    drawn_at: datetime | None
    waiting: int
    active: int
    admitted: int
    tickets: int
    page: list[str]


class WaitingRooms:
    """All waiting rooms. Refusals are values; a server that is away is a refusal too.

    Parameters:
        ring: signs tickets and admissions, and verifies them.
        customer_of: the spelling of a customer's id that counts; None when it can't be one.
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
        self._farewells: set[asyncio.Task[None]] = set()
        self.proofs = Proofs(signer)

    def ticket_of(self, sale: SaleId, customer: str) -> str:
        """The id of this customer's ticket, whether it was taken or not.

        Raises:
            ValueError: the sale's or the customer's id can't be one.
        """
        must((is_sale(sale), SALE), (is_str(customer), WHAT_IT_IS))
        return self._signer.ticket_id(sale, self._customer_of(customer) or customer)

    async def take(
        self, sale: SaleId, customer: CustomerId, *, shown: str | None = None, proof: str | None = None
    ) -> tuple[Place, bool] | Refused:
        """Takes a ticket.

        Parameters:
            shown: the signed ticket that this customer got before.
            proof: the solution of a challenge, for a room that wants one.

        Returns:
            where it stands, and whether the customer had it already; or why not.
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
            Verb.TAKE_TICKET, sale, (id_, drawn, self._read(sale, id_, drawn, shown), *solved, one)
        )
        refused = refused_by_status(decision)
        if refused:
            return refused
        if not isinstance(decision.result[0], bool):
            return await self._refused(sale, decision.result)
        known, epoch, *result = decision.result
        try:
            place = self._place(sale, id_, result, decision.now_ms)
            if result[0] == "waiting":
                place = msgspec.structs.replace(
                    place, ticket=self._ticket(sale, id_, int(result[1]), drawn, decision.now_ms, epoch)
                )
            return place, known
        except LookupError:
            return NO_KEY_YET

    async def look(self, sale: SaleId, id_: str) -> Place | Refused:
        """Where a ticket stands now; an admitted one has its admission with it."""
        wrong = first_wrong((is_sale(sale), SALE), (is_text(id_), TICKET))
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        decision = await self._decisions.ask(Verb.LOOK_AT_TICKET, sale, (id_,))
        refused = refused_by_status(decision)
        if refused:
            return refused
        if decision.result[0] not in ("waiting", "admitted"):
            return await self._refused(sale, decision.result)
        try:
            return self._place(sale, id_, decision.result, decision.now_ms)
        except LookupError:
            return NO_KEY_YET

    async def leave(self, sale: SaleId, id_: str, *, taken: int = 0) -> Refused | None:
        """Gives a ticket's place to those who wait.

        Parameters:
            taken: the units that its buyer took.
        """
        wrong = first_wrong(
            (is_sale(sale), SALE), (is_text(id_), TICKET), (is_whole(taken, 0, MOST_TAKEN), TAKEN)
        )
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        decision = await self._decisions.ask(Verb.LEAVE_ROOM, sale, (id_, taken))
        refused = refused_by_status(decision)
        if refused:
            return refused
        if decision.result[0] not in ("left", "unknown-ticket"):
            return await self._refused(sale, decision.result)
        return None  # whoever leaves twice has left

    def took(self, sale: SaleId, customer: str, taken: int) -> None:
        """An admitted buyer took what they came for: their place is given on in the background.

        Raises:
            ValueError: an id can't be one, or `taken` is no number of units.
        """
        must(
            (is_sale(sale), SALE),
            (is_str(customer), WHAT_IT_IS),
            (is_whole(taken, 0, MOST_TAKEN), TAKEN),
        )
        if len(self._farewells) < MOST_FAREWELLS:
            task = asyncio.get_running_loop().create_task(self._farewell(sale, customer, taken))
            self._farewells.add(task)
            task.add_done_callback(self._farewells.discard)

    async def _farewell(self, sale: SaleId, customer: str, taken: int) -> None:
        await self.leave(sale, self.ticket_of(sale, customer), taken=taken)

    def admitted_until(self, sale: SaleId, customer: str, admission: str) -> int:
        """Until when this admission counts for this customer in this sale, in memory's milliseconds; 0: not.

        The kernel compares it with its own clock.
        """
        if not (is_sale(sale) and is_str(customer) and is_ascii(admission)):
            return 0
        claims = self.ring.verify(Kind.ADMISSION, admission.encode())
        if isinstance(claims, Refused) or claims.sale != sale:
            return 0
        until_ms = claims.more.get("until_ms")
        mine = claims.subject == self.ticket_of(sale, customer)
        return until_ms if mine and isinstance(until_ms, int) else 0

    async def drawing(self, sale: SaleId, start: int, count: int) -> Drawing | Refused:
        """The room as anyone may see it. The seed is told only once the ledger knows that the lottery is
        over: no loss of memory can reopen it then.

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
        decision = await self._decisions.ask(Verb.LOOK_AT_ROOM, sale, (start, count))
        refused = refused_by_status(decision)
        if refused:
            return refused
        if len(decision.result) == 1:
            return await self._refused(sale, decision.result)
        opened_ms, waiting, active, admitted, tickets, page = decision.result
        if opened_ms:
            await self._ledger.sales.note_room_opened(sale)
        return Drawing(
            mode=room.mode, commitment=room.commitment, seed=seed if opened_ms else None,
            drawn_at=from_millis(int(opened_ms)) if opened_ms else None,
            waiting=waiting, active=active, admitted=admitted, tickets=tickets, page=page,
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
        """The signed ticket. It can be read, so that it does not tell a number of the lottery beforehand."""
        says = {"place": LOTTERY if place == drawn else place, "at_ms": now_ms, "epoch": epoch}
        return self.ring.sign(Kind.TICKET, id_, sale, MAX_TOKEN_SECONDS, says).token

    def _read(self, sale: SaleId, id_: str, drawn: int, shown: str | None) -> list[int]:
        """What a signed ticket says: place, when it was signed, and in which epoch; nothing where it is not
        this one."""
        if shown is None:
            return []
        claims = self.ring.verify(Kind.TICKET, shown.encode())
        if isinstance(claims, Refused) or (claims.sale, claims.subject) != (sale, id_):
            return []
        place = claims.more["place"]
        return [drawn if place == LOTTERY else place, claims.more["at_ms"], claims.more["epoch"]]

    def _place(self, sale: SaleId, id_: str, result: list[Any], now_ms: int) -> Place:
        if result[0] == "admitted":
            until_ms = int(result[1])
            seconds = min((until_ms - now_ms) / 1000 + TOKEN_SLACK_SECONDS, MAX_TOKEN_SECONDS)
            signed = self.ring.sign(Kind.ADMISSION, id_, sale, seconds, {"until_ms": until_ms})
            return Place(
                id=id_, sale_id=sale, status="admitted", outlook="likely",
                admission=signed.token, admitted_until=from_millis(until_ms),
            )  # fmt: skip
        _, _, position, waiting, wait_ms, outlook, opens_ms, look_ms = result
        return Place(
            id=id_, sale_id=sale, status="waiting", position=position or None, waiting=waiting,
            expected_wait_seconds=None if wait_ms < 0 else round(wait_ms / 1000, 1), outlook=outlook,
            opens_at=from_millis(opens_ms) if opens_ms else None,
            poll_after_seconds=_look_again(id_, look_ms, opens_ms - now_ms),
        )  # fmt: skip

    async def _refused(self, sale: SaleId, result: list[Any]) -> Refused:
        match result[0]:
            case "no-room":
                return NO_ROOM
            case "overloaded":
                return Refused(
                    code=Code.OVERLOADED,
                    detail="The waiting room is full.",
                    retry_after_seconds=FULL_RETRY_SECONDS,
                )
            case "unknown-sale":
                stored = await self._ledger.sales.get(sale)
                if stored is None:
                    return unknown_sale(sale)
                if stored.sale.status is not SaleStatus.CLOSED:
                    return Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
                return Refused(code=Code.SALE_NOT_OPEN, detail="The sale is closed.")
        return refusal(result)


def _look_again(id_: str, look_ms: float, left_ms: float) -> float:
    """When to look again, in seconds; around the opening not all at the same moment."""
    if 0 < left_ms < look_ms:
        look_ms = left_ms + look_ms * zlib.crc32(id_.encode()) / 2**32
    return round(look_ms / 1000, 1)
