"""Every problem of FlashGuard: its stable code, HTTP status and a sentence for people.

A refusal that a buyer can cause is a value (`model.Refused` with a `Code`); an exception is raised only where
an operator must act. `OUTCOMES` or `ERRORS` has each code, by what the clients make of it.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class Code(StrEnum):
    """The stable `code` of an RFC 9457 problem. Never renamed: clients branch on it."""

    __hash__ = str.__hash__  # on the hot path: an enumeration's own hash is a call of Python

    SOLD_OUT = "sold-out"
    LIMIT_REACHED = "limit-reached"
    IDENTITY_REQUIRED = "identity-required"
    HOLD_BUDGET_REACHED = "hold-budget-reached"
    COOLING_DOWN = "cooling-down"
    NO_WAITING_LIST = "no-waiting-list"
    WAITING_LIST_FULL = "waiting-list-full"
    ALREADY_WAITING = "already-waiting"
    UNKNOWN_ENTRY = "unknown-entry"
    SALE_NOT_OPEN = "sale-not-open"
    SALE_NOT_DRAFT = "sale-not-draft"
    RESERVATION_EXPIRED = "reservation-expired"
    RESERVATION_RELEASED = "reservation-released"
    RESERVATION_CONFIRMED = "reservation-confirmed"
    RESERVATION_CANCELLED = "reservation-cancelled"
    RESERVATION_HELD = "reservation-held"
    RESERVATION_AMENDED = "reservation-amended"
    REQUEST_IN_FLIGHT = "request-in-flight"
    UNKNOWN_SALE = "unknown-sale"
    UNKNOWN_ITEM = "unknown-item"
    UNKNOWN_POOL = "unknown-pool"
    UNKNOWN_LOCATION = "unknown-location"
    ITEM_NOT_ON_SALE = "item-not-on-sale"
    ITEM_EXISTS = "item-exists"
    ITEM_IN_USE = "item-in-use"
    ROOM_IN_USE = "room-in-use"
    UNKNOWN_RESERVATION = "unknown-reservation"
    UNKNOWN_WEBHOOK = "unknown-webhook"
    UNKNOWN_PROVIDER = "unknown-provider"
    UNKNOWN_PAYMENT = "unknown-payment"
    CURSOR_EXPIRED = "cursor-expired"
    IDEMPOTENCY_MISMATCH = "idempotency-mismatch"
    INVALID_REQUEST = "invalid-request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate-limited"
    OVERLOADED = "overloaded"
    RECOVERING = "recovering"
    PROVIDER_AWAY = "provider-away"
    LEDGER_REFUSED = "ledger-refused"
    QUEUE_REQUIRED = "queue-required"
    UNKNOWN_TICKET = "unknown-ticket"
    PROOF_REQUIRED = "proof-required"


class Problem(NamedTuple):
    """What a code means over HTTP."""

    status: int
    title: str


OUTCOMES: Final[dict[Code, Problem]] = {
    Code.SOLD_OUT: Problem(409, "Not enough units are available."),
    Code.LIMIT_REACHED: Problem(409, "A limit of the sale is reached."),
    Code.HOLD_BUDGET_REACHED: Problem(409, "This customer's unconfirmed units reach the sale's limit."),
    Code.NO_WAITING_LIST: Problem(409, "The sale has no waiting list."),
    Code.WAITING_LIST_FULL: Problem(409, "The sale's waiting list is full."),
    Code.ALREADY_WAITING: Problem(409, "This customer already has a place in the sale's waiting list."),
    Code.UNKNOWN_ENTRY: Problem(404, "There is no such entry in a waiting list."),
    Code.SALE_NOT_OPEN: Problem(409, "The sale is not open."),
    Code.SALE_NOT_DRAFT: Problem(409, "Only a draft can be changed like this."),
    Code.RESERVATION_EXPIRED: Problem(409, "The hold has expired; its units are back in stock."),
    Code.RESERVATION_RELEASED: Problem(409, "The hold was released; its units are back in stock."),
    Code.RESERVATION_CONFIRMED: Problem(409, "The reservation is already confirmed."),
    Code.RESERVATION_CANCELLED: Problem(409, "The order was cancelled."),
    Code.RESERVATION_HELD: Problem(409, "The reservation is a hold, not an order."),
    Code.RESERVATION_AMENDED: Problem(409, "The hold has another basket than its receipt."),
    Code.REQUEST_IN_FLIGHT: Problem(409, "A request with this idempotency key is still in progress."),
    Code.UNKNOWN_SALE: Problem(404, "There is no such sale."),
    Code.UNKNOWN_ITEM: Problem(404, "The sale has no such item."),
    Code.UNKNOWN_POOL: Problem(404, "The sale has no such pool."),
    Code.UNKNOWN_LOCATION: Problem(404, "The item has no such location."),
    Code.ITEM_NOT_ON_SALE: Problem(409, "The item is not on sale; what is held of it can be confirmed."),
    Code.ITEM_EXISTS: Problem(409, "The sale has an item of this sku."),
    Code.ITEM_IN_USE: Problem(
        409, "The item can't be removed: units of it were held, or someone waits for it."
    ),
    Code.ROOM_IN_USE: Problem(409, "Other sales share the sale's waiting room, and are not closed."),
    Code.UNKNOWN_RESERVATION: Problem(404, "There is no such reservation."),
    Code.UNKNOWN_WEBHOOK: Problem(404, "There is no such webhook endpoint."),
    Code.UNKNOWN_PROVIDER: Problem(404, "There is no such payment provider here."),
    Code.UNKNOWN_PAYMENT: Problem(404, "There is no such payment."),
    Code.LEDGER_REFUSED: Problem(409, "The ledger refused this order; nothing was sold."),
    Code.QUEUE_REQUIRED: Problem(403, "The sale has a waiting room, and it has not admitted this buyer."),
    Code.UNKNOWN_TICKET: Problem(404, "There is no such ticket in the waiting room."),
}
"""What a call may come to, besides success: both clients return these as values."""
ERRORS: Final[dict[Code, Problem]] = {
    Code.COOLING_DOWN: Problem(
        429, "Too many holds of this customer ended without an order; hold again later."
    ),
    Code.CURSOR_EXPIRED: Problem(410, "The feed no longer has every fact after this cursor."),
    Code.IDEMPOTENCY_MISMATCH: Problem(422, "This idempotency key was used with another request body."),
    Code.IDENTITY_REQUIRED: Problem(422, "A limit of the sale counts by an identity that the request lacks."),
    Code.INVALID_REQUEST: Problem(422, "The request is not valid."),
    Code.UNAUTHENTICATED: Problem(401, "A valid key is required."),
    Code.FORBIDDEN: Problem(403, "This key does not have the right to do this."),
    Code.RATE_LIMITED: Problem(429, "Too many requests."),
    Code.OVERLOADED: Problem(503, "The service is at its limit; retry shortly."),
    Code.RECOVERING: Problem(503, "The service is recovering; retry shortly."),
    Code.PROVIDER_AWAY: Problem(503, "The payment provider does not answer; retry shortly."),
    Code.PROOF_REQUIRED: Problem(403, "A solved challenge is required to get a ticket."),
}
"""What the calling program, its key or its timing must change: both clients raise these."""
PROBLEMS: Final = OUTCOMES | ERRORS


class FlashGuardError(Exception):
    """Base of the errors on which an operator must act."""


class ConfigurationError(FlashGuardError):
    """A setting or the deployment is wrong; the message says what to change."""


def how_to_install(extra: str) -> str:
    """Return the sentence that says how to install an optional part; FlashGuard is not on a registry.

    Parameters:
        extra: its name in pyproject.toml's `optional-dependencies`.
    """
    return (
        f"install FlashGuard with its extra `{extra}`: `pip install '.[{extra}]'` in the repository's "
        f"folder, or `pip install 'flashguard-VERSION-py3-none-any.whl[{extra}]'`"
    )


class LedgerAhead(FlashGuardError):
    """Ledger and journal disagree in a way that only an operator may resolve."""
