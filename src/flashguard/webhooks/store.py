"""Endpoints and their delivery log, as a shop's operator manages them."""

import secrets
from datetime import datetime
from typing import Final

import asyncpg
from msgspec import Struct

from flashguard.errors import Code
from flashguard.ledger import Ledger
from flashguard.ledger.admin_log import AdminAction
from flashguard.ledger.sealing import UNSEALED, Sealer
from flashguard.ledger.webhooks import EndpointDisabled, UnknownEndpoint, WebhookBook
from flashguard.model import Refused, public_sale, unknown
from flashguard.model.fingerprints import fingerprint

from .endpoints import MAX_ENDPOINTS, TEST_EVENT, Endpoint, EventType, NewEndpoint
from .messages import id_of
from .signing import new_secret

MAX_REPLAY: Final = 10_000
"""Messages of one replay; the answer says how many there were, so that another replay can follow."""
TEST_LOOKBACK: Final = 10_000
"""Lines of the delivery log in which a retried test finds its event: a retry comes within seconds."""
BY_HAND: Final = "by hand"


class Delivery(Struct, frozen=True, kw_only=True):
    """A line of the delivery log: a message, and its newest attempt."""

    id: int
    message_id: str
    type: str
    sale_id: str
    reservation_id: str | None
    at: datetime
    written_at: datetime
    state: str
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    status: int | None
    error: str | None
    took_ms: int | None


class Webhooks:
    """Manages webhooks for a shop's operator. Every method raises `LedgerAway` when PostgreSQL does not
    answer.

    Parameters:
        private: endpoints may be at addresses of our own network.
        action: the line of the admin log that a change writes in its own transaction.
        sealer: encrypts and decrypts endpoints' secrets.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        private: bool,
        action: AdminAction | None = None,
        sealer: Sealer = UNSEALED,
    ) -> None:
        self._book = WebhookBook(ledger, action, sealer)
        self._private, self._action = private, action

    async def create(self, new: NewEndpoint, *, key: str | None = None) -> tuple[Endpoint, bool] | Refused:
        """Make an endpoint; only this answer has its secret.

        Returns:
            the endpoint, and whether the same key had made it before; or a refusal.
        """
        wrong = new.wrong(private=self._private)
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        body = fingerprint("webhook", new.url, *new.events, new.description)
        id_, new_one = f"we_{secrets.token_hex(12)}", new_secret()
        secret: str | None = new_one
        if self._action is not None:
            self._action.about(id_, events=new.events)
        made = await self._book.create(
            id_, new.url, new.description, new.events, new_one, key=key, body=body, most=MAX_ENDPOINTS
        )
        if not made:
            earlier = await self._book.created_with(key) if key is not None else None
            if earlier is None:
                return Refused(
                    code=Code.INVALID_REQUEST, detail=f"There are {MAX_ENDPOINTS} endpoints, the most."
                )
            if earlier.body != body:
                return Refused(code=Code.IDEMPOTENCY_MISMATCH)
            id_, secret = earlier.id, earlier.secret
        return await self._shown(id_, secret, replayed=not made)

    async def endpoints(self) -> list[Endpoint]:
        """Return all endpoints, the oldest first."""
        return [_endpoint(row) for row in await self._book.endpoints()]

    async def endpoint(self, id_: str) -> Endpoint | None:
        """Return one endpoint; None when there is none."""
        row = await self._book.endpoint(id_)
        return None if row is None else _endpoint(row)

    async def change(
        self,
        id_: str,
        *,
        url: str | None = None,
        description: str | None = None,
        events: tuple[EventType, ...] | None = None,
        enabled: bool | None = None,
    ) -> Endpoint | Refused:
        """Change what is not None. An endpoint that is enabled again gets its waiting messages."""
        now = await self.endpoint(id_)
        if now is None:
            return unknown(Code.UNKNOWN_WEBHOOK, id_)
        after = NewEndpoint(
            url=now.url if url is None else url,
            events=now.events if events is None else events,
            description=now.description if description is None else description,
        )
        wrong = after.wrong(private=self._private)
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        await self._book.change(id_, url, description, events, enabled=enabled, why=BY_HAND)
        return await self.endpoint(id_) or unknown(Code.UNKNOWN_WEBHOOK, id_)

    async def delete(self, id_: str) -> bool:
        """Delete an endpoint and the messages that wait for it; return False when there was none."""
        return await self._book.delete(id_)

    async def rotate(
        self, id_: str, *, overlap_seconds: float, key: str | None = None
    ) -> tuple[Endpoint, bool] | Refused:
        """Replace the secret; for `overlap_seconds` messages are signed with the old one too."""
        made = await self._book.rotate(id_, new_secret(), overlap_seconds, key)
        return await self._shown(id_, await self._book.secret(id_), replayed=not made)

    async def deliveries(
        self, id_: str, before: int | None, limit: int, state: str | None = None
    ) -> list[Delivery] | None:
        """Return a page of the log, newest first; None when there is no such endpoint."""
        rows = await self._book.deliveries(id_, before, limit, state)
        if not rows and await self.endpoint(id_) is None:
            return None
        return [_delivery(row) for row in rows]

    async def test(self, id_: str, *, key: str | None = None) -> tuple[Delivery, bool] | Refused:
        """Write a test event for the deliverer to send; return its line of the delivery log, and whether the
        same key had asked for it before.

        While a test event waits, another call returns the same one, and it is sent now: there is never a
        second one beside it.
        """
        try:
            row, replayed = await self._book.test(id_, TEST_EVENT, key, lookback=TEST_LOOKBACK)
        except UnknownEndpoint:
            return unknown(Code.UNKNOWN_WEBHOOK, id_)
        except EndpointDisabled:
            return Refused(
                code=Code.INVALID_REQUEST,
                detail=f"Webhook {id_} is disabled, so that nothing is sent to it. Enable it first.",
            )
        return _delivery(row), replayed

    async def replay(
        self,
        id_: str,
        *,
        deliveries: list[int] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        state: str | None = None,
    ) -> int | None:
        """Deliver messages again; return how many, at most MAX_REPLAY. None: there is no such endpoint."""
        if await self.endpoint(id_) is None:
            return None
        return await self._book.replay(
            id_, deliveries=deliveries, since=since, until=until, state=state, most=MAX_REPLAY
        )

    async def _shown(
        self, id_: str, secret: str | None, *, replayed: bool
    ) -> tuple[Endpoint, bool] | Refused:
        row = await self._book.endpoint(id_)
        if row is None:
            return unknown(Code.UNKNOWN_WEBHOOK, id_)
        return _endpoint(row, secret), replayed


def _endpoint(row: asyncpg.Record, secret: str | None = None) -> Endpoint:
    return Endpoint(
        id=row["id"], url=row["url"], description=row["description"], events=tuple(row["events"]),
        enabled=row["enabled"], disabled_at=row["disabled_at"], disabled_why=row["disabled_why"],
        failing_since=row["failing_since"], delivered_at=row["delivered_at"], pending=row["pending"],
        created_at=row["created_at"], old_secret_until=row["old_secret_until"], secret=secret,
    )  # fmt: skip


def _delivery(row: asyncpg.Record) -> Delivery:
    pending = row["state"] == "pending"
    return Delivery(
        id=row["id"],
        message_id=id_of(row),
        type=row["type"], sale_id=public_sale(row["sale_id"]),
        reservation_id=f"{row['sale_id']}.{row['reservation']}" if row["reservation"] else None,
        at=row["at"], written_at=row["written_at"], state=row["state"], attempts=row["attempts"],
        next_attempt_at=row["due_at"] if pending else None, last_attempt_at=row["last_at"],
        status=row["status"], error=row["error"], took_ms=row["took_ms"],
    )  # fmt: skip
