"""Changes of what is held or bought: another basket, another customer of a hold, fewer units of an order.

The kernel decides all three as one transition (decision 0027). Memory keeps only the fingerprint and the
revision of an order, so its content is read from the ledger first. Where memory has it amended since, the
kernel refuses, and it is read again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from flashguard.engine.customers import WHAT_IT_IS
from flashguard.engine.decision import Decision
from flashguard.engine.decisions import Decisions
from flashguard.engine.durability import DurabilityWaiter
from flashguard.engine.fallback import RECOVERING, Fallback
from flashguard.engine.holding import Holding
from flashguard.engine.outcomes import newly_done, refusal, refused_by_status
from flashguard.engine.receipts import IdKind, Signer
from flashguard.engine.selling import NOT_DURABLE_IN_TIME
from flashguard.errors import Code
from flashguard.kernel.results import Amended, AsItIs, Cancelled, HoldNow, Refusal
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, RecordedReservation, lines_from_flat
from flashguard.model import (
    CustomerId,
    Durability,
    Granted,
    Key,
    Line,
    Outcome,
    Refused,
    Reservation,
    ReservationId,
    ReservationStatus,
    SaleId,
    from_millis,
    invalid_basket,
    merge_lines,
    public_sale,
    split_reservation_id,
    unknown,
)
from flashguard.model.arguments import KEY, NAME, first_wrong, is_key, is_text
from flashguard.model.fingerprints import fingerprint
from flashguard.model.locations import allocated, pick_up_of
from flashguard.model.shards import home_shard, shard_number
from flashguard.settings import Settings
from flashguard.spread import ShardRouter

from .amend_request import (
    IN_FLIGHT,
    OF_ANOTHER_HISTORY,
    POLL_SECONDS,
    AmendRequest,
    Change,
    flat,
    invalid,
    more,
    order_of,
    without,
)
from .forgotten_orders import ForgottenOrders


class Amending:
    """The changes of holds and orders. Refusals are values; a server that is away is an exception.

    Parameters:
        customer_of: returns the spelling of a customer's id that limits count by.
        changed: told of each sale of which an order was changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        decisions: Decisions,
        router: ShardRouter,
        holding: Holding,
        fallback: Fallback,
        signer: Signer,
        durability: DurabilityWaiter,
        settings: Settings,
        customer_of: Callable[[str], CustomerId | None],
        changed: Callable[[SaleId], None],
    ) -> None:
        self._customer_of = customer_of
        self._ledger = ledger
        self._decisions = decisions
        self._router = router
        self._holding = holding
        self._fallback = fallback
        self._forgotten = ForgottenOrders(ledger, fallback, settings.closed_sale_hours, changed)
        self._signer = signer
        self._durability = durability
        self._settings = settings
        self._changed = changed

    async def amend(
        self,
        id_: str,
        lines: Sequence[Line],
        *,
        restock: bool = True,
        reason: str = "amend",
        key: Key | None = None,
        orders: bool = True,
    ) -> Outcome:
        """Replace the basket of a hold or of an order, in one step. A refusal leaves everything as it was.

        A hold keeps its end. An order's answer waits until the ledger has it.

        Parameters:
            restock: units that an order has fewer are on sale again; else they leave the stock.
            key: an idempotency key; the same key again changes nothing.
            orders: False: refuse an order, as `reservation-confirmed`.
        """
        wrong = invalid_basket("sale", "customer", lines)
        wrong = wrong or first_wrong((isinstance(orders, bool), "orders: must be True or False"))
        request = wrong or self._request("amend", id_, lines, restock, reason, key)
        if not isinstance(request, AmendRequest):
            return request if isinstance(request, Refused) else invalid(request)
        change = {"lines": flat(merge_lines(tuple(lines))), "restock": restock, "reason": reason}
        pick_up = pick_up_of(lines)
        if pick_up is not None:
            change["pick_up"] = pick_up
        decision = await self._ask(request, change)
        if orders and isinstance(decision, Decision) and decision.code == Code.RESERVATION_CONFIRMED:
            return await self._change_order(request, lambda _: change)
        return await self._outcome(request, decision)

    async def transfer(self, id_: str, customer: str, *, key: Key | None = None) -> Outcome:
        """Give a live hold to another customer, whose limits must allow it, in one step.

        Parameters:
            key: an idempotency key; the same key again changes nothing.
        """
        other = self._customer_of(customer)
        request = self._request("transfer", id_, other, True, "transfer", key)
        if isinstance(request, Refused):
            return request
        if other is None:
            return invalid(WHAT_IT_IS)
        change: Change = {"customer": other, "reason": "transfer"}
        shards = await self._router.shards_of(public_sale(request.sale))
        if shards > 1 and home_shard(other, shards) != shard_number(request.sale):
            change["elsewhere"] = True
        return await self._outcome(request, await self._ask(request, change))

    async def cancel_items(
        self, id_: str, lines: Sequence[Line], *, restock: bool, reason: str, key: Key | None = None
    ) -> Outcome:
        """Return the outcome of cancelling items of an order; see `Orders.cancel`."""
        wrong = invalid_basket("sale", "customer", lines)
        wrong = wrong or first_wrong((pick_up_of(lines) is None, "location: units go back where they were"))
        request = wrong or self._request("cancel", id_, lines, restock, reason, key)
        if not isinstance(request, AmendRequest):
            return request if isinstance(request, Refused) else invalid(request)

        def change_of(order: RecordedReservation) -> Change | Refused:
            left = without(order.lines, merge_lines(tuple(lines)))
            if isinstance(left, Refused):
                return left
            cancelled = flat(merge_lines((*lines_from_flat(order.cancelled), *lines)))
            return {"lines": left, "restock": restock, "reason": reason, "cancelled": cancelled}

        decision = await self._ask(request, None)
        if isinstance(decision, Decision) and decision.code == Code.RESERVATION_CONFIRMED:
            return await self._change_order(request, change_of)
        if isinstance(decision, Decision) and decision.code == Code.UNKNOWN_SALE:
            return await self._forgotten.cancel_items(request, change_of, restock=restock, reason=reason)
        return await self._outcome(request, decision)

    def _request(
        self, verb: str, id_: str, what: object, restock: bool, reason: str, key: Key | None
    ) -> AmendRequest | Refused:
        name = split_reservation_id(id_)
        if name is None:
            return unknown(Code.UNKNOWN_RESERVATION, id_)
        wrong = first_wrong(
            (isinstance(restock, bool), "restock: must be True or False"),
            (is_text(reason), f"reason: {NAME}"),
            (key is None or is_key(key), KEY),
        )
        if wrong:
            return invalid(wrong)
        sale, short = name
        field = f"amend:{self._signer.short_id(IdKind.AMEND, sale, key)}"
        return AmendRequest(sale, short, field, fingerprint(verb, short, what, restock, reason))

    async def _ask(
        self, request: AmendRequest, change: Change | None, order: RecordedReservation | None = None
    ) -> Decision | Refused:
        """Return the kernel's decision; units that the shard is short of are brought from other shards."""
        sale, short = request.sale, request.short
        asked: tuple[object, ...] = (short, request.field, request.body)
        if change is not None:
            asked += (change,) if order is None else (change, order_of(order))

        def ask() -> Awaitable[Decision]:
            return self._decisions.ask(Verb.AMEND, sale, asked, name=request.field, durable=newly_done)

        async def wanted() -> tuple[Line, ...]:
            before = order.lines if order is not None else await self._lines_now(sale, short)
            return more(before, (change or {}).get("lines", []))

        return await self._router.ask_with_units(sale, ask, wanted)

    async def _lines_now(self, sale: SaleId, short: str) -> list[Any]:
        result = (await self._decisions.ask(Verb.GET, sale, (short,))).result
        return result.lines if isinstance(result, HoldNow) else []

    async def _change_order(
        self, request: AmendRequest, change_of: Callable[[RecordedReservation], Change | Refused]
    ) -> Outcome:
        """Change an order as the ledger has it; as long as memory has it amended since, read it again."""
        sale, short = request.sale, request.short
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.record_timeout_seconds
        while True:
            order = (await self._ledger.reservations.recorded([(sale, short)])).get((sale, short))
            if order is None or order.status is ReservationStatus.HELD:
                return IN_FLIGHT  # memory has it confirmed
            if order.status is not ReservationStatus.CONFIRMED:
                return Refused(code=Code(f"reservation-{order.status}"))
            change = change_of(order)
            if isinstance(change, Refused):
                return change
            decision = await (
                self._ask(request, change, order)
                if change["lines"]
                else self._cancel_rest(request, change, order)
            )
            self._changed(public_sale(sale))
            since = isinstance(decision, Decision) and decision.code == "amended-since"
            if not since or loop.time() >= deadline:
                return await self._outcome(request, decision)
            await asyncio.sleep(POLL_SECONDS)

    async def _cancel_rest(
        self, request: AmendRequest, change: Change, order: RecordedReservation
    ) -> Decision:
        what = (order_of(order), change["restock"], change["reason"], request.field, request.body)
        return await self._decisions.ask(
            Verb.CANCEL,
            request.sale,
            (request.short, *what),
            id_=request.short,
            durable=newly_done,
            same=lambda _, found: found.status is ReservationStatus.CANCELLED,
        )

    async def _outcome(self, request: AmendRequest, decision: Decision | Refused) -> Outcome:
        """Return what a decision means, as memory has the hold, or as the ledger has the order."""
        if isinstance(decision, Refused):
            return decision
        refused = refused_by_status(decision)
        if refused:
            return OF_ANOTHER_HISTORY if refused.code is Code.LEDGER_REFUSED else refused
        match decision.result:
            case Amended() as hold if hold.expires_ms:
                return await self._amended_hold(request, hold)
            case Amended() | Cancelled():
                return await self._recorded(request, replayed=False, wait=False)
            case AsItIs(seq):
                return await self._recorded(request, replayed=True, wait=bool(seq))
            case Refusal("idempotency-mismatch") if await self._is_parked(request):
                return Refused(code=Code.LEDGER_REFUSED)
            case Refusal("unknown-reservation" | "unknown-sale"):
                return await self._forgotten.outcome(request)
            case Refusal("reservation-expired") as expired:
                found = await self._fallback.after_expiry(
                    request.sale, request.short, ReservationStatus.HELD, refusal(expired)
                )
                return found if found == refusal(expired) else RECOVERING  # a memory that fell back
        return refusal(decision.result)

    async def _is_parked(self, request: AmendRequest) -> bool:
        return bool(await self._ledger.refusals.is_parked(request.sale, "amend", request.field))

    async def _amended_hold(self, request: AmendRequest, hold: Amended) -> Outcome:
        sale, id_ = request.sale, ReservationId(f"{request.sale}.{request.short}")
        partition = self._decisions.partition(sale)
        demanded = Durability(hold.durability or Durability.DISK)
        waits = demanded is Durability.DISK and not self._durability.server_waits(partition)
        waits = waits or demanded is Durability.REPLICATED
        if waits and not await self._durability.reach(demanded, partition):
            return NOT_DURABLE_IN_TIME
        lines = allocated(lines_from_flat(hold.lines), hold.takes or None)
        times, amended = (hold.created_ms, hold.expires_ms), (hold.fingerprint, hold.revision)
        reservation = Reservation(
            id=id_,
            sale_id=public_sale(sale),
            customer=hold.customer,
            status=ReservationStatus.HELD,
            items=lines,
            created_at=from_millis(hold.created_ms),
            expires_at=from_millis(hold.expires_ms),
        )
        more = hold.more or hold.prices or False
        reservation = await self._fallback.with_more(sale, request.short, reservation, more)
        receipt = self._signer.receipt(
            id_, hold.customer, lines, *times, amended, hold.pick_up or (), reservation.reference,
            hold.identities or None, hold.prices,
        )  # fmt: skip
        return Granted(msgspec.structs.replace(reservation, receipt=receipt))

    async def _recorded(self, request: AmendRequest, *, replayed: bool, wait: bool) -> Outcome:
        """Return the reservation as it is now, once the ledger has the request.

        Parameters:
            wait: whether the recorder may still have to write it.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.record_timeout_seconds
        while await self._ledger.reservations.amendment(request.sale, request.field) is None:
            if not wait:
                return OF_ANOTHER_HISTORY
            if loop.time() >= deadline:
                return IN_FLIGHT
            await asyncio.sleep(POLL_SECONDS)
        found = await self._holding.reservation(f"{request.sale}.{request.short}")
        return found if isinstance(found, Refused) else Granted(found, replayed)
