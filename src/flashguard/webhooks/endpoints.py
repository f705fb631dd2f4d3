"""Webhook endpoints, and the types of events that they may subscribe to."""

from datetime import datetime
from typing import Final, Literal, get_args

from msgspec import Struct

from .addresses import wrong_url

EventType = Literal[
    "reservation.held", "reservation.amended", "reservation.released", "reservation.expired",
    "order.confirmed", "order.amended", "order.cancelled", "sale.opened", "sale.sold_out", "sale.closed",
    "ledger.refused", "payment.refunded", "payment.refund_failed",
]  # fmt: skip
EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
TEST_EVENT: Final = "webhook.test"
"""The event that an operator asks for; an endpoint gets it whatever types it subscribes to."""
MAX_ENDPOINTS: Final = 20
"""Endpoints of an installation; every event may be a row for each of them."""
MAX_DESCRIPTION: Final = 200


class NewEndpoint(Struct, frozen=True, kw_only=True):
    """An endpoint to make."""

    url: str
    events: tuple[EventType, ...] = EVENT_TYPES
    description: str = ""

    def wrong(self, *, private: bool) -> str | None:
        """Return why this endpoint is invalid; None when it is valid."""
        why = wrong_url(self.url, private=private)
        if why:
            return f"url: {why}"
        if not self.events or set(self.events) - set(EVENT_TYPES):
            return f"events: one or more of {', '.join(EVENT_TYPES)}"
        if len(self.description) > MAX_DESCRIPTION or not (self.description + "x").isprintable():
            return f"description: at most {MAX_DESCRIPTION} printable characters"
        return None


class Endpoint(Struct, frozen=True, kw_only=True):
    """An endpoint and its condition. `secret` is set only in the answer that makes or rotates it."""

    id: str
    url: str
    description: str
    events: tuple[EventType, ...]
    enabled: bool
    disabled_at: datetime | None
    disabled_why: str | None
    failing_since: datetime | None
    delivered_at: datetime | None
    pending: int
    created_at: datetime
    old_secret_until: datetime | None
    secret: str | None = None
