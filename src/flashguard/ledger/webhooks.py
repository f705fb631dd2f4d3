"""Webhook endpoints and the log of what is delivered to them."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from flashguard.errors import FlashGuardError

from .admin_log import AdminAction, note
from .connections import Connections, rows_of
from .sealing import UNSEALED, Sealer
from .sql import query


class Settlement(Struct, frozen=True):
    """What became of one attempt to deliver a claimed message."""

    delivery: int
    attempts: int
    """As claimed: when another deliverer has claimed the message since, this settlement changes nothing."""
    state: str
    wait_seconds: float
    status: int | None
    error: str | None
    took_ms: int | None


class CreatedEndpoint(Struct, frozen=True):
    """An endpoint that a retried request finds: its secret, None where it can't be decrypted here, and the
    fingerprint of the first request."""

    id: str
    secret: str | None
    body: int

    def __repr__(self) -> str:
        return f"CreatedEndpoint({self.id})"


class EnabledEndpoint(Struct, frozen=True):
    """An endpoint to deliver to.

    Parameters:
        signers: the secrets that sign now; empty where the newest can't be decrypted here.
    """

    id: str
    url: str
    signers: tuple[str, ...]

    def __repr__(self) -> str:
        return f"EnabledEndpoint({self.id})"


class UnknownEndpoint(FlashGuardError):
    """The ledger has no such webhook endpoint."""


class EndpointDisabled(FlashGuardError):
    """The webhook endpoint is disabled: nothing is sent to it."""


class WebhookBook:
    """Reads and writes webhooks. Every method raises `LedgerAway` when PostgreSQL does not answer.

    Parameters:
        action: the line of the admin log that an operator's change writes in its own transaction.
        sealer: encrypts and decrypts secrets.
    """

    def __init__(
        self, connections: Connections, action: AdminAction | None = None, sealer: Sealer = UNSEALED
    ) -> None:
        self._connections = connections
        self._action = action
        self._sealer = sealer

    def _sealed(self, id_: str, secret: str) -> str:
        return self._sealer.seal(secret.encode(), f"webhook:{id_}").decode()

    def _opened(self, id_: str, kept: str | None) -> str | None:
        opened = None if kept is None else self._sealer.open(kept.encode(), f"webhook:{id_}")
        return None if opened is None else opened.decode()

    async def _made(self, name: str, *args: object) -> bool:
        """Run a change that returns a row if it changes something, with its line of the admin log."""
        async with self._connections.connection() as connection, connection.transaction():
            made = await connection.fetchval(query(name), *args) is not None
            if made:
                await note(connection, self._action)
            return made

    async def create(
        self,
        id_: str,
        url: str,
        description: str,
        events: Sequence[str],
        secret: str,
        *,
        key: str | None,
        body: int,
        most: int,
    ) -> bool:
        """Write a new endpoint; return False when there are `most` already, or when this idempotency key made
        one before."""
        return await self._made(
            "create_webhook",
            id_,
            url,
            description,
            list(events),
            self._sealed(id_, secret),
            key,
            body,
            most,
        )

    async def created_with(self, key: str) -> CreatedEndpoint | None:
        """Return the endpoint that this idempotency key made."""
        row = await self._connections.row("webhook_created_with", key)
        if row is None:
            return None
        return CreatedEndpoint(row["id"], self._opened(row["id"], row["secret"]), row["creation_body"])

    async def endpoints(self) -> list[asyncpg.Record]:
        """Return all endpoints, the oldest first."""
        return await self._connections.rows("webhooks", None)

    async def endpoint(self, id_: str) -> asyncpg.Record | None:
        """Return one endpoint; None when there is none."""
        return await self._connections.row("webhooks", id_)

    async def change(
        self,
        id_: str,
        url: str | None,
        description: str | None,
        events: Sequence[str] | None,
        *,
        enabled: bool | None,
        why: str,
    ) -> None:
        """Change what is not None. The messages of an endpoint that is enabled are due now.

        Parameters:
            why: the reason that a disabled endpoint shows.
        """
        async with self._connections.connection() as connection, connection.transaction():
            listed = None if events is None else list(events)
            await connection.execute(query("change_webhook"), id_, url, description, listed)
            if enabled is True:
                await connection.execute(query("enable_webhook"), id_)
            elif enabled is False:
                await connection.execute(query("disable_webhook"), id_, why)
            await note(connection, self._action)

    async def delete(self, id_: str) -> bool:
        """Delete an endpoint; return False when there was none."""
        return await self._made("delete_webhook", id_)

    async def rotate(self, id_: str, secret: str, overlap_seconds: float, key: str | None) -> bool:
        """Replace an endpoint's secret; the old one stays valid for a while. Return False when there is no
        endpoint, or when this idempotency key rotated it before."""
        return await self._made("rotate_webhook", id_, self._sealed(id_, secret), overlap_seconds, key)

    async def secret(self, id_: str) -> str | None:
        """Return an endpoint's secret; None when there is no endpoint, or it can't be decrypted here."""
        return self._opened(id_, await self._connections.value("webhook_secret", id_))

    async def deliveries(
        self, id_: str, before: int | None, limit: int, state: str | None
    ) -> list[asyncpg.Record]:
        """Return a page of the delivery log, newest first."""
        return await self._connections.rows("webhook_deliveries_page", id_, before, state, limit)

    async def test(
        self, id_: str, type_: str, key: str | None, *, lookback: int
    ) -> tuple[asyncpg.Record, bool]:
        """Write a test event, or make the one that waits due; return its line of the log, and whether this
        idempotency key had asked for it before.

        Parameters:
            lookback: lines of the log in which the event of the key is looked for.

        Raises:
            UnknownEndpoint, EndpointDisabled: nothing was written.
        """
        async with self._connections.connection() as connection, connection.transaction():
            enabled = await connection.fetchval(query("lock_webhook"), id_)
            if enabled is None:
                raise UnknownEndpoint(id_)
            if key is not None:
                earlier = await connection.fetchrow(query("test_event_of_key"), id_, type_, key, lookback)
                if earlier is not None:
                    return earlier, True
            if not enabled:
                raise EndpointDisabled(id_)
            (row,) = await connection.fetch(query("test_event"), id_, type_, key)
            await note(connection, self._action)
            return row, False

    async def replay(
        self,
        id_: str,
        *,
        deliveries: list[int] | None,
        since: datetime | None,
        until: datetime | None,
        state: str | None,
        most: int,
    ) -> int:
        """Make messages of the log due again, at most this number; return how many."""
        async with self._connections.connection() as connection, connection.transaction():
            status = await connection.execute(
                query("replay_deliveries"), id_, deliveries, since, until, state, most
            )
            await note(connection, self._action)
            return rows_of(status)

    async def enabled_endpoints(self) -> list[EnabledEndpoint]:
        """Return the enabled endpoints with the secrets that are valid now."""
        found = []
        for row in await self._connections.rows("webhooks_to_serve"):
            new, old = (self._opened(row["id"], row[name]) for name in ("secret", "old_secret"))
            signers = () if new is None else (new,) if old is None else (new, old)
            found.append(EnabledEndpoint(row["id"], row["url"], signers))
        return found

    async def claim(self, id_: str, most: int, lease_seconds: float) -> list[asyncpg.Record]:
        """Lease the endpoint's next messages to the caller; return them in the order they were written."""
        rows = await self._connections.rows("claim_deliveries", id_, most, lease_seconds)
        return sorted(rows, key=lambda row: int(row["id"]))

    async def settle(self, id_: str, settlements: Sequence[Settlement]) -> None:
        """Write down what became of claimed messages."""
        await self._connections.run(
            "settle_deliveries", id_,
            [each.delivery for each in settlements], [each.attempts for each in settlements],
            [each.state for each in settlements], [each.wait_seconds for each in settlements],
            [each.status for each in settlements], [each.error for each in settlements],
            [each.took_ms for each in settlements],
        )  # fmt: skip

    async def note_success(self, id_: str) -> None:
        """Note that the endpoint took a message."""
        await self._connections.run("note_webhook_works", id_)

    async def note_failure(
        self, id_: str, *, disable_seconds: float, why: str, disable_now: bool
    ) -> str | None:
        """Note that the endpoint took no message; disable it when that has lasted for `disable_seconds`, or
        now. Return its URL when it is disabled now."""
        row = await self._connections.row("note_webhook_fails", id_, disable_seconds, why, disable_now)
        return None if row is None or row["enabled"] else str(row["url"])

    async def forget_deliveries(self, seconds: float, limit: int) -> int:
        """Delete lines of the log older than this, at most `limit`; return how many."""
        return await self._connections.run("forget_deliveries", seconds, limit)

    async def forget_deliveries_beyond(self, most: int, limit: int) -> tuple[int, int]:
        """Delete messages that are more than `most` behind the newest, at most `limit`; return how many, and
        how many of them were neither delivered nor given up."""
        row = await self._connections.row("forget_deliveries_beyond", most, limit)
        return (0, 0) if row is None else (row["gone"], row["waiting"])

    async def forget_orphans(self, limit: int) -> int:
        """Delete messages of endpoints that were deleted, at most `limit`; return how many."""
        return await self._connections.run("forget_orphans", limit)
