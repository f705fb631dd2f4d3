"""Outcomes: what a decision and the kernel's result in it mean to the caller."""

import math
from typing import Final

from flashguard.errors import Code
from flashguard.kernel.list_results import EntryNow
from flashguard.kernel.results import (
    Amended,
    Bought,
    Cancelled,
    Ended,
    Held,
    Refusal,
    Restocked,
    Result,
    SaleChanged,
)
from flashguard.ledger import RecordedReservation
from flashguard.model import Durability, Granted, Outcome, Refused, Reservation, ReservationStatus, Sku

from .decision import Decision, DecisionStatus

IN_FLIGHT_RETRY_SECONDS: Final = 1.0


def first_outcome(found: Reservation, first: int, body: int) -> Outcome:
    """Return the first outcome of an idempotency key, as the ledger has it; a refusal where the key came with
    another request.

    Parameters:
        first, body: the fingerprints of the first request and of this one.
    """
    return Granted(found, True) if first == body else Refused(code=Code.IDEMPOTENCY_MISMATCH)


def is_of_that(result: Result, found: RecordedReservation) -> bool:
    """Return whether a reservation of the ledger has the customer and the basket of this result."""
    return isinstance(result, Ended) and (result.customer, result.lines) == (found.customer, found.lines)


def has_been(status: ReservationStatus, found: RecordedReservation) -> bool:
    """Return whether a record of the ledger has reached this status; a cancelled order has been confirmed."""
    past = ReservationStatus.CANCELLED if status is ReservationStatus.CONFIRMED else status
    return found.status in (status, past)


def newly_confirmed(result: Result) -> bool:
    """Return whether this call made a direct order, and no earlier one of the same key."""
    return isinstance(result, Bought) and not result.replayed


def newly_held_for_good(result: Result) -> bool:
    """Return whether this call made a hold that the sale demands in the ledger."""
    return isinstance(result, Held) and result.durability == Durability.LEDGER and not result.replayed


def newly_done(result: Result) -> bool:
    """Return whether this call ended a hold, cancelled or amended an order, amended a hold that the sale
    demands in the ledger, or changed a sale, its stock or its list."""
    match result:
        case Amended():
            return not result.expires_ms or result.durability == Durability.LEDGER
        case Ended() | Cancelled():
            return True
        case Restocked() | SaleChanged():
            return not result.replayed
        case EntryNow():
            return not result.as_it_was
    return False


def _over_limit(limit: int, used: int, sku: str = "", by: str | None = None) -> Refused:
    detail = f"This customer's limit {f'of {sku!r}' if sku else 'for the sale'} is reached."
    if by is not None:
        detail = f"The limit by {by!r} is reached."
    return Refused(
        code=Code.LIMIT_REACHED, detail=detail, limit=limit, used=used, sku=Sku(sku) if sku else None, by=by
    )


def refusal(result: Result | None) -> Refused:
    """Return the kernel's refusal as a value, with what its code calls for."""
    match result:
        case Refusal("sold-out", (sku, available, *pool)):
            return Refused(code=Code.SOLD_OUT, sku=Sku(sku), available=available, pool=next(iter(pool), None))
        case Refusal("limit-reached", (limit, used, *whose)):
            return _over_limit(limit, used, *whose)
        case Refusal("limit-reached", (limit,)):
            return Refused(code=Code.LIMIT_REACHED, limit=limit)
        case Refusal("identity-required", (by,)):
            return Refused(
                code=Code.IDENTITY_REQUIRED,
                detail=f"The sale counts by {by!r}: identities must name it.",
                by=by,
            )
        case Refusal("unknown-identity", (by,)):
            return Refused(
                code=Code.INVALID_REQUEST, detail=f"identities: the sale has no limit by {by!r}", by=by
            )
        case Refusal("hold-budget-reached", (most, held, *by)):
            return Refused(
                code=Code.HOLD_BUDGET_REACHED,
                detail=f"{held} units are held and not confirmed, at most {most} may be. Confirm or release "
                "some; a direct order is still possible.",
                limit=most,
                by=by[0] if by else None,
            )
        case Refusal("cooling-down", (wait_ms, *by)):
            return Refused(
                code=Code.COOLING_DOWN,
                detail=f"Too many holds of this {by[0] if by else 'customer'} ended without an order. "
                "A direct order is still possible.",
                retry_after_seconds=math.ceil(wait_ms / 1000),
                by=by[0] if by else None,
            )
        case Refusal("waiting-list-full", (most,)):
            return Refused(code=Code.WAITING_LIST_FULL, limit=most)
        case Refusal("already-waiting", (id_,)):
            return Refused(code=Code.ALREADY_WAITING, detail=f"Its entry ends in {id_}.")
        case Refusal("unknown-item" | "item-not-on-sale" | "item-exists" | "item-in-use" as code, (sku,)):
            return Refused(code=Code(code), sku=Sku(sku))
        case Refusal("unknown-pool", (pool,)):
            return Refused(code=Code.UNKNOWN_POOL, pool=pool)
        case Refusal("unknown-location", (location,)):
            return Refused(code=Code.UNKNOWN_LOCATION, detail=f"The item has no location {location!r}.")
        case Refusal("reservation-amended"):
            return Refused(
                code=Code.RESERVATION_AMENDED,
                detail="The receipt is newer than the hold: an amend was lost. Amend the hold again.",
            )
        case Refusal("limits-elsewhere"):
            return Refused(
                code=Code.INVALID_REQUEST,
                detail="customer: this spread sale counts the customer on another shard than the hold is on. "
                "Release it, and hold again as this customer.",
            )
        case Refusal("amended-since"):
            return Refused(code=Code.REQUEST_IN_FLIGHT, retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        case Refusal("sale-not-open", (status, *_)):
            return Refused(code=Code.SALE_NOT_OPEN, detail=f"The sale is {status}.")
        case Refusal("invalid-request", (available,)):
            return Refused(
                code=Code.INVALID_REQUEST, detail="Stock can't go below held + sold.", available=available
            )
        case Refusal("overloaded" | "recovering" as code):
            return Refused(code=Code(code), retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        case Refusal(code):
            return Refused(code=Code(code))
    raise AssertionError(f"the kernel answered {result!r}")


RETRY_SECONDS: Final = 1.0


def refused_by_status(decision: Decision) -> Refused | None:
    """Return the refusal that a decision's status means; None where it was decided, and committed if due."""
    match decision.status:
        case DecisionStatus.DECIDED:
            return None
        case DecisionStatus.REFUSED_BY_LEDGER:
            return Refused(code=Code.LEDGER_REFUSED)
        case DecisionStatus.OVERLOADED:
            return Refused(code=Code.OVERLOADED, retry_after_seconds=RETRY_SECONDS)
        case DecisionStatus.UNKNOWN:
            return Refused(
                code=Code.OVERLOADED,
                detail="Not committed in time. The same idempotency key tells the outcome.",
                retry_after_seconds=RETRY_SECONDS,
            )
        case DecisionStatus.LOST | DecisionStatus.RECOVERING:
            return Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
