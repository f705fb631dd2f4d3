"""What a payment provider is for us: four questions, and what it may answer.

A provider is asked again after a lost answer, with the same id each time: it must make one session and one
refund per id, as providers do with an idempotency key.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from flashguard.errors import FlashGuardError


class PaidLine(Struct, frozen=True):
    """A line of the hold: the item's name, its price, and how many."""

    name: str
    price_minor: int
    quantity: int


class SessionRequest(Struct, frozen=True, kw_only=True):
    """What a provider is asked to collect.

    Parameters:
        id: of the payment; the session's idempotency key. It must come back in every event about it.
        receipt: of the hold, for the provider's records.
        ends_at: when the provider may end the session by itself. We end it earlier, with the hold.
    """

    id: str
    reservation_id: str
    receipt: str
    amount_minor: int
    currency: str
    lines: tuple[PaidLine, ...]
    success_url: str | None
    cancel_url: str | None
    ends_at: datetime


class Session(Struct, frozen=True, kw_only=True):
    """A session that a provider made: its id there, and what the buyer needs: a page to go to, or a secret
    for the provider's own form."""

    id: str
    url: str | None = None
    client_secret: str | None = None


class SessionNow(Struct, frozen=True, kw_only=True):
    """How a session stands. `processing`: the buyer has paid, but the provider does not have the money."""

    status: Literal["open", "processing", "ended", "paid"]
    amount_minor: int = 0
    currency: str = ""


class RefundRequest(Struct, frozen=True, kw_only=True):
    """A refund to make, of all or of a part of a session's money.

    Parameters:
        id: of the refund; its idempotency key.
        provider_id: the provider's id, where it has named one.
        again: it was asked before, and the answer may be lost.
    """

    id: str
    session: str
    amount_minor: int
    currency: str
    reason: str
    provider_id: str | None
    again: bool


class RefundNow(Struct, frozen=True, kw_only=True, rename={"provider_id": "id"}):
    """How a refund stands. `failed`: the provider will never make it."""

    status: Literal["pending", "done", "failed"]
    provider_id: str | None = None
    error: str | None = None


EventKind = Literal["paid", "ended", "refund"]


class Event(Struct, frozen=True, kw_only=True):
    """A verified event of a provider.

    Parameters:
        id: the provider's own; each counts once.
        payment: the id of `SessionRequest`.
        session: the provider's id of the session; needed where it was paid.
        refund: the id of `RefundRequest`, of an event about a refund.
    """

    id: str
    kind: EventKind
    payment: str
    session: str = ""
    amount_minor: int = 0
    currency: str = ""
    refund: str = ""


class _TypedEvent(Struct, frozen=True):
    type: str


_typed_event = msgspec.json.Decoder(_TypedEvent)


def kind_of(body: bytes, kinds: Mapping[str, EventKind]) -> EventKind | None:
    """Return the kind of an event by its JSON's `type`; None for one that does not matter here.

    Raises:
        msgspec.MsgspecError: it has none.
    """
    return kinds.get(_typed_event.decode(body).type)


class Forged(FlashGuardError):
    """An event is not signed by the provider, or too old."""


class ProviderAway(FlashGuardError):
    """The provider did not answer, or not clearly: it may have done what it was asked. Ask again."""


class ProviderRefused(FlashGuardError):
    """The provider refuses what it was asked, for good; nothing was done."""


class Provider(Protocol):
    """A payment provider. The constructor takes the `Settings`.

    Every method but `event` may raise `ProviderAway` or `ProviderRefused`, and must end in bounded time.
    """

    async def create(self, asked: SessionRequest) -> Session:
        """Return the session of this payment; the same one each time."""

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Return a verified event; None for one that does not matter here.

        Parameters:
            headers: by their names in lower case.

        Raises:
            Forged: it is not signed by the provider, or too old.
        """

    async def expire(self, session: str) -> SessionNow:
        """End a session, if it can still be ended; return how it stands afterwards."""

    async def refund(self, asked: RefundRequest) -> RefundNow:
        """Make this refund, once however often it is asked; return how it stands."""

    async def close(self) -> None:
        """Close the connections."""
