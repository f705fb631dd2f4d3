"""What buyers do first, on one partition: hold, or buy at once.

A basket becomes a request of the kernel's next batch (`prepare`), and the decision becomes its outcome
(`outcome`). Between the two nothing runs for the basket alone, so that a process answers a batch in one loop.
A spread sale's baskets come here with their shard: see flashguard.spread.routing.
"""

from typing import Any, Final, NamedTuple

import msgspec

from flashguard.errors import Code
from flashguard.kernel.results import Bought, Held, Refusal, Result, Spread
from flashguard.kernel.verbs import Verb
from flashguard.ledger import RecordedReservation, UnreadableRow
from flashguard.model import (
    Durability,
    Granted,
    Line,
    Outcome,
    Refused,
    Reservation,
    ReservationId,
    ReservationStatus,
    SaleId,
    from_millis,
    priced,
    public_sale,
)
from flashguard.model.attached import NAMES as ATTACHED
from flashguard.model.fingerprints import request_fingerprint
from flashguard.model.locations import allocated

from .baskets import Basket
from .decision import Decision, DecisionStatus, PendingDecision
from .decisions import Decisions
from .durability import DurabilityWaiter
from .fallback import RECOVERING, Fallback
from .outcomes import (
    IN_FLIGHT_RETRY_SECONDS,
    has_been,
    newly_confirmed,
    newly_held_for_good,
    refusal,
    refused_by_status,
)
from .receipts import IdKind, Signer

NOT_DURABLE_IN_TIME: Final = Refused(
    code=Code.OVERLOADED,
    detail="The hold was not made durable in time. Retry with the same idempotency key.",
    retry_after_seconds=IN_FLIGHT_RETRY_SECONDS,
)
MISMATCH: Final = Refused(code=Code.IDEMPOTENCY_MISMATCH)

ASKS_ELSEWHERE: Final = ("unknown-sale", "idempotency-mismatch")
"""Refusals of the kernel after which the ledger is asked."""


class Shard(NamedTuple):
    """The shard of a spread sale that a request goes to, and over how many shards the caller believes the
    sale to be spread."""

    id: SaleId
    shards: int


class NotHere(NamedTuple):
    """The request belongs elsewhere: the sale is spread over `shards`. 0: the request named no shard, and
    memory has no sale of this id."""

    shards: int
    short: str
    body: int


class Sell(PendingDecision):
    """A basket that waits for its decision.

    Parameters:
        short: the short id of the reservation.
        body: the fingerprint of the basket.
    """

    __slots__ = ("basket", "body", "shard")

    def __init__(self, basket: Basket, short: str, body: int, shard: Shard | None) -> None:
        flat = [value for line in basket.lines for value in (line.sku, line.quantity)]
        request: tuple[object, ...] = (short, body, basket.customer, flat, basket.buy)
        if basket.details is not None:
            request += (basket.admitted_until, None if shard is None else shard.shards, basket.details)
        elif shard is not None:
            request += (basket.admitted_until, shard.shards)
        elif basket.admitted_until:
            request += (basket.admitted_until,)
        super().__init__(
            Verb.RESERVE,
            basket.sale if shard is None else shard.id,
            request,
            id_=short,
            durable=newly_confirmed if basket.buy else newly_held_for_good,
        )
        self.basket = basket
        self.body = body
        self.shard = shard

    def is_same(self, result: Result, found: RecordedReservation) -> bool:
        is_order = has_been(ReservationStatus.CONFIRMED, found)
        return found.fingerprint == self.body and (is_order or not self.basket.buy)


class Selling:
    """The decisions about baskets.

    Parameters:
        signer: derives reservation ids, and signs receipts.
        durability: waits until a hold has the durability that its sale demands.
    """

    def __init__(
        self, decisions: Decisions, fallback: Fallback, signer: Signer, durability: DurabilityWaiter
    ) -> None:
        self._decisions = decisions
        self._fallback = fallback
        self._signer = signer
        self._durability = durability

    def prepare(self, basket: Basket, shard: Shard | None = None) -> Sell:
        """Return the request that asks the kernel for a basket."""
        if shard is None:
            short = self._signer.short_id(IdKind.RESERVATION, basket.sale, basket.key)
        else:
            short = self._signer.short_id(IdKind.RESERVATION, shard.id, basket.key, customer=basket.customer)
        verb = "buy" if basket.buy else "hold"
        body = request_fingerprint(verb, basket.customer, basket.lines, basket.details)
        return Sell(basket, short, body, shard)

    def outcome(self, asked: Sell, decision: Decision) -> Outcome | None:
        """Return what a decision means; None where that must be asked first: see `outcome_elsewhere`."""
        if decision.status is not DecisionStatus.DECIDED:
            ledger_knows = decision.status is DecisionStatus.REFUSED_BY_LEDGER
            return None if ledger_knows else refused_by_status(decision)
        result = decision.result
        if isinstance(result, Bought):
            in_ledger = not (result.replayed and (result.seq or result.prices)) and result.takes != []
            return self._granted(asked, result) if in_ledger else None
        if isinstance(result, Held):
            is_known = result.takes != [] and self._has_durability(asked.sale, result)
            return self._granted(asked, result) if is_known else None
        if isinstance(result, Refusal) and result.code not in ASKS_ELSEWHERE:
            return refusal(result)
        return None

    async def outcome_elsewhere(self, asked: Sell, decision: Decision) -> Outcome | NotHere:
        """Return what a decision means, by what the ledger, the disk or another partition says."""
        sale, short, body = asked.sale, asked.id, asked.body
        if decision.status is DecisionStatus.REFUSED_BY_LEDGER:
            return await self._fallback.refused_by_ledger(sale, short, body)
        result = decision.result
        match result:
            case Held(takes=[]) | Bought(takes=[]):
                return await self._ended_at_locations(asked, result)
            case Bought():
                found = await self._fallback.ended(
                    sale, short, ReservationStatus.CONFIRMED, wait=False, body=body
                )
                if isinstance(found, Refused) or not result.prices:
                    return found if isinstance(found, Refused) else self._granted(asked, result)
                return Granted(found, True)
            case Held():
                durable = await self._is_durable(asked, result)
                return self._granted(asked, result) if durable else NOT_DURABLE_IN_TIME
            case Spread(shards):
                return NotHere(shards, short, body)
            case Refusal("unknown-sale") if asked.shard is None:
                return NotHere(0, short, body)
            case Refusal("unknown-sale"):
                return await self._fallback.sale_not_in_memory(sale, short, body)
            case Refusal("idempotency-mismatch") if await self._fallback.is_parked(sale, short):
                return Refused(code=Code.LEDGER_REFUSED)
        return refusal(result)

    async def sell(self, basket: Basket, shard: Shard | None = None) -> Outcome | NotHere:
        """Return the outcome of a hold or of a direct order, or that it belongs to a shard."""
        asked = self.prepare(basket, shard)
        decision = await self._decisions.decide(asked)
        return self.outcome(asked, decision) or await self.outcome_elsewhere(asked, decision)

    async def _ended_at_locations(self, asked: Sell, result: Held | Bought) -> Outcome:
        """Return the outcome of a key whose reservation has ended: the ledger alone has its locations."""
        try:
            row = await self._fallback.recorded(asked.sale, asked.id)
        except UnreadableRow:
            row = None
        if row is None:
            return RECOVERING
        found, first = row
        return self._granted(asked, result, found.items) if first == asked.body else MISMATCH

    def _granted(self, asked: Sell, result: Held | Bought, lines: tuple[Line, ...] | None = None) -> Granted:
        basket, sale = asked.basket, asked.sale
        id_, created_ms = ReservationId(f"{sale}.{asked.id}"), result.created_ms
        prices = result.prices if isinstance(result.prices, dict) else None
        if lines is None:
            lines = basket.lines if result.takes is None else allocated(basket.lines, result.takes)
            lines = priced(lines, prices) if prices else lines
        if isinstance(result, Bought):
            reservation = Reservation(
                id=id_,
                sale_id=public_sale(sale),
                customer=basket.customer,
                status=ReservationStatus.CONFIRMED,
                items=lines,
                created_at=from_millis(created_ms),
                confirmed_at=from_millis(result.ended_ms),
            )
            return Granted(_with(basket.details, reservation), result.replayed)
        expires_ms = created_ms + result.hold_ms
        reservation = Reservation(
            id=id_,
            sale_id=public_sale(sale),
            customer=basket.customer,
            status=ReservationStatus.HELD,
            items=lines,
            created_at=from_millis(created_ms),
            expires_at=from_millis(expires_ms),
            receipt=self._signer.receipt(
                id_, basket.customer, lines, created_ms, expires_ms,
                (asked.body, 0) if basket.details or result.takes or prices else None,
                (basket.details or {}).get("pick_up", ()), (basket.details or {}).get("reference"),
                (basket.details or {}).get("identities"), prices,
            ),
        )  # fmt: skip
        return Granted(_with(basket.details, reservation), result.replayed)

    def _has_durability(self, sale: SaleId, hold: Held) -> bool:
        """Return whether it is known without asking that a hold has the durability that its sale demands. A
        new hold of a sale that demands `ledger` has been waited for already."""
        if not hold.durability:
            return self._durability.server_waits(self._decisions.partition(sale))
        return hold.durability == Durability.MEMORY or (
            hold.durability == Durability.LEDGER and not hold.replayed
        )

    async def _is_durable(self, asked: Sell, hold: Held) -> bool:
        """Return whether a hold has the durability that its sale demands, waiting for it where it must."""
        if hold.durability == Durability.LEDGER:
            return await self._fallback.is_recorded(asked.sale, asked.id, asked.body)
        demanded = Durability(hold.durability or Durability.DISK)
        return await self._durability.reach(demanded, self._decisions.partition(asked.sale))


def _with(details: dict[str, Any] | None, reservation: Reservation) -> Reservation:
    """Return the reservation with the reference and the metadata that its request has."""
    if details is None:
        return reservation
    given = {name: details[name] for name in ATTACHED if name in details}
    return msgspec.structs.replace(reservation, **given)
