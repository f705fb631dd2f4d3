"""A client for a running FlashGuard, for shops in Python; requires the extra `client`: pip install
'.[client]'.

    from flashguard.client import Client, Granted

    with Client("https://stock.example", bearer="fg_live_…") as flashguard:
        outcome = flashguard.buy("drop", "ada", {"ticket": 1})
        if isinstance(outcome, Granted):
            print(outcome.reservation.id)
        else:
            print(outcome.code)

`AsyncClient` is the same with `await`. Both create idempotency keys and retry requests within a bound, so
that a buy takes effect once however often the connection breaks.
"""

from flashguard.errors import how_to_install

try:
    import httpx2  # noqa: F401  (for an error that names the missing extra)
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"The client requires httpx2; {how_to_install('client')}.", name="httpx2"
    ) from error

from flashguard.errors import Code
from flashguard.model import (
    AmendedOrder,
    CancelledOrder,
    Fact,
    FactPage,
    Granted,
    Item,
    Line,
    OrderPayment,
    Outcome,
    Payment,
    PaymentRefund,
    Refused,
    Reservation,
    Sale,
)
from flashguard.waiting.place import Place

from .aio import AsyncClient
from .answers import BuyerToken, ClientError, NoAnswer, Page, ProblemError
from .calls import BatchItem, Told
from .retry import Retry
from .shadow import Shadow
from .sync import Client

__all__ = [
    "AmendedOrder",
    "AsyncClient",
    "BatchItem",
    "BuyerToken",
    "CancelledOrder",
    "Client",
    "ClientError",
    "Code",
    "Fact",
    "FactPage",
    "Granted",
    "Item",
    "Line",
    "NoAnswer",
    "OrderPayment",
    "Outcome",
    "Page",
    "Payment",
    "PaymentRefund",
    "Place",
    "ProblemError",
    "Refused",
    "Reservation",
    "Retry",
    "Sale",
    "Shadow",
    "Told",
]
