"""The sales of the mixed load, its verbs, and their allowed answers."""

from typing import Any, Final

import msgspec

from tests.campaign.history import UNANSWERED

SKUS: Final = ("a", "b")
PLAIN, FAIR, WIDE = "plain", "fair", "wide"
RULES: Final[dict[str, dict[str, Any]]] = {
    PLAIN: {
        "limit_per_customer": 6, "max_held_per_customer": 3,
        "cool_down_after": 3, "cool_down_seconds": 1, "waiting_list": 20,
    },
    FAIR: {
        "limit_per_customer": 5, "waiting_list": 10, "waiting_list_hold_seconds": 1,
        "waiting_room": {"mode": "fifo", "admit_per_second": 5, "max_active": 8, "session_seconds": 3},
    },
    WIDE: {"limit_per_customer": 4, "spread": 3, "waiting_list": 10, "waiting_list_hold_seconds": 1},
}  # fmt: skip
"""A sale with hold rules and a list, one with a room and a list, one with a list over three partitions."""

TAKING: Final = {
    "sold-out", "limit-reached", "hold-budget-reached", "cooling-down", "sale-not-open", "queue-required",
    "idempotency-mismatch",
}  # fmt: skip
ENDING: Final = {
    "reservation-expired", "reservation-released", "reservation-confirmed", "reservation-cancelled",
    "reservation-held", "limit-reached", "sale-not-open",
}  # fmt: skip
STATUSES: Final = {"held", "confirmed", "released", "expired", "cancelled"}
"""An amend that is asked again is answered with the reservation as it is by then."""
EXPECTED: Final[dict[str, set[str]]] = {
    "hold": {"held"} | TAKING,
    "buy": {"confirmed"} | TAKING,
    "again": {"confirmed", "cancelled", "idempotency-mismatch"},
    "confirm": {"confirmed", "sold-out", "reservation-amended"} | ENDING,
    "release": {"released"} | ENDING,
    "extend": {"held"} | ENDING,
    "cancel": {"cancelled"} | ENDING,
    "amend": STATUSES | TAKING | ENDING,
    "part": {"confirmed", "cancelled", "invalid-request"} | ENDING,
    "transfer": STATUSES | {"invalid-request"} | TAKING | ENDING,
    "join": {"waiting", "offered", "already-waiting", "waiting-list-full", "no-waiting-list"} | TAKING,
    "see": {"waiting", "offered", "left", "limit-reached", "ended"},
    "leave": {"waiting", "offered", "left", "limit-reached", "ended"} | ENDING,
    "restock": {"done", "invalid-request"},
    "patch": {"done"},
    "pause": {"done", "sale-not-open"},
    "open": {"done", "sale-not-open"},
    "audit": {"done"},
    "orders": {"done"},
}
"""The allowed answers of each verb besides `RETRY`. Any other is a broken promise."""


class Asked(msgspec.Struct):
    """One request with all its repetitions, and its last answer."""

    verb: str
    sale: str
    key: str
    customer: str = ""
    lines: tuple[tuple[str, int], ...] = ()
    about: str = ""
    """The id of the reservation or waiting-list entry that the verb concerns."""
    word: str = UNANSWERED
    """The status or the problem's code."""
    http: int = 0
    id: str = ""
