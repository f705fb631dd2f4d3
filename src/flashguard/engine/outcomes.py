"""Outcomes: what a decision and the kernel's result in it mean to the caller."""

import math
from typing import Any, Final

from flashguard.errors import Code
from flashguard.ledger import RecordedReservation
from flashguard.model import Durability, Granted, Outcome, Refused, Reservation, ReservationStatus, Sku
from flashguard.model.fingerprints import request_fingerprint

from .decision import Decision, DecisionStatus

IN_FLIGHT_RETRY_SECONDS: Final = 1.0


def first_outcome(found: Reservation, body: int) -> Outcome:
    """Return the first outcome of an idempotency key, as the ledger has it; a refusal where the key came with
    another request."""
    verb = "buy" if found.expires_at is None else "hold"
    if body != request_fingerprint(verb, found.customer, found.items):
        return Refused(code=Code.IDEMPOTENCY_MISMATCH)
    return Granted(found, True)


def is_of_that(result: list[Any], found: RecordedReservation) -> bool:
    """Return whether a record of the ledger is of the reservation that the result is about."""
    return bool(result[1] == found.customer and result[2] == found.lines)


def has_been(status: ReservationStatus, found: RecordedReservation) -> bool:
    """Return whether a record of the ledger has reached this status; a cancelled order has been confirmed."""
    past = ReservationStatus.CANCELLED if status is ReservationStatus.CONFIRMED else status
    return found.status in (status, past)


def newly_confirmed(result: list[Any]) -> bool:
    """Return whether this call made an order; False for a replay of its idempotency key."""
    return result[0] == "confirmed" and not result[1]


def newly_held_for_good(result: list[Any]) -> bool:
    """Return whether this call made a hold whose sale demands durability `ledger`."""
    return len(result) > 6 and result[6] == Durability.LEDGER and not result[1]


def is_confirmed(result: list[Any]) -> bool:
    """Return whether this call confirmed the reservation."""
    return bool(result[0] == "confirmed")


def is_released(result: list[Any]) -> bool:
    """Return whether this call released the reservation."""
    return bool(result[0] == "released")


def refusal(result: list[Any]) -> Refused:
    """Return the kernel's refusal as a value, with the fields that its code calls for."""
    match result:
        case ["sold-out", sku, available]:
            return Refused(code=Code.SOLD_OUT, sku=Sku(sku), available=available)
        case ["limit-reached", limit, *_]:
            return Refused(code=Code.LIMIT_REACHED, limit=limit)
        case ["hold-budget-reached", most, held]:
            return Refused(
                code=Code.HOLD_BUDGET_REACHED,
                detail=f"{held} units are held and not confirmed, at most {most} may be. Confirm or release "
                "some; a direct order is still possible.",
                limit=most,
            )
        case ["cooling-down", wait_ms]:
            return Refused(
                code=Code.COOLING_DOWN,
                detail="Too many holds of this customer ended without an order. A direct order is still "
                "possible.",
                retry_after_seconds=math.ceil(wait_ms / 1000),
            )
        case ["waiting-list-full", most]:
            return Refused(code=Code.WAITING_LIST_FULL, limit=most)
        case ["already-waiting", id_]:
            return Refused(code=Code.ALREADY_WAITING, detail=f"Its entry ends in {id_}.")
        case ["unknown-item", sku]:
            return Refused(code=Code.UNKNOWN_ITEM, sku=Sku(sku))
        case ["sale-not-open", status, *_]:
            return Refused(code=Code.SALE_NOT_OPEN, detail=f"The sale is {status}.")
        case ["invalid-request", available]:
            return Refused(
                code=Code.INVALID_REQUEST, detail="Stock can't go below held + sold.", available=available
            )
        case ["reservation-expired", *_]:
            return Refused(code=Code.RESERVATION_EXPIRED)
        case ["overloaded" | "recovering" as code]:
            return Refused(code=Code(code), retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
        case [code, *_]:
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
