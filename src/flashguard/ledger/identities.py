"""API keys, as hashes, and the secrets that sign tokens."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
from msgspec import Struct

from .admin_log import AdminAction, note
from .connections import Connections
from .sealing import UNSEALED, Sealer
from .sql import query

MAX_LIVE_KEYS: Final = 1_000
"""Every process keeps all of them in its memory."""
MAX_REVOKED_TOKENS: Final = 10_000
"""Revoked tokens that have not ended; every process keeps them. Beyond this, rotate the signing key."""


class SigningKey(Struct, frozen=True):
    """A secret that signs tokens. Times are seconds since the Unix epoch."""

    id: str
    secret: bytes
    signs_from: float
    ends_at: float | None

    def __repr__(self) -> str:
        return f"SigningKey({self.id})"


class LiveKey(Struct, frozen=True):
    """An API key as a process needs it to admit its caller."""

    id: str
    hash: bytes
    scopes: tuple[str, ...]
    expires_at: float | None

    def __repr__(self) -> str:
        return f"LiveKey({self.id})"


class ApiKey(Struct, frozen=True, kw_only=True):
    """An API key as its owner sees it: everything but the key."""

    id: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    rotated_to: str | None


class Once(Struct, frozen=True):
    """The idempotency key under which an API key is made, and a fingerprint of the request; or neither."""

    key: str | None = None
    body: int | None = None


ALWAYS: Final = Once()


class Known(Struct, frozen=True):
    """All identities that are valid at a moment."""

    signing_keys: tuple[SigningKey, ...]
    api_keys: tuple[LiveKey, ...]
    revoked_tokens: Mapping[str, float]
    locked: tuple[str, ...]
    """Ids of signing keys that can't be decrypted here."""


class IdentityBook:
    """Reads and writes identities. Every method raises `LedgerAway` when PostgreSQL does not answer.

    Parameters:
        action: the line of the admin log that a change writes in its own transaction.
        sealer: encrypts and decrypts signing keys.
    """

    def __init__(
        self, connections: Connections, action: AdminAction | None = None, sealer: Sealer = UNSEALED
    ) -> None:
        self._connections = connections
        self._action = action
        self._sealer = sealer

    def _sealed(self, id_: str, secret: bytes) -> bytes:
        return self._sealer.seal(secret, f"signing key:{id_}")

    def _signing_key(self, row: asyncpg.Record) -> SigningKey:
        secret = self._sealer.open(row["secret"], f"signing key:{row['id']}")
        return SigningKey(row["id"], secret or b"", row["signs_from"].timestamp(), _seconds(row["ends_at"]))

    async def known(self, spare: tuple[str, bytes]) -> Known:
        """Return all identities that are valid now.

        Parameters:
            spare: id and secret of a signing key, written when the ledger has none yet.
        """
        async with self._connections.connection() as connection:
            rows = await connection.fetch(query("signing_keys"))
            if not any(row["ends_at"] is None for row in rows):
                await connection.execute(query("first_signing_key"), spare[0], self._sealed(*spare))
                rows = await connection.fetch(query("signing_keys"))
            keys = await connection.fetch(query("live_api_keys"), 2 * MAX_LIVE_KEYS)
            revoked = await connection.fetch(query("revoked_tokens"), MAX_REVOKED_TOKENS)
        keys_here = [self._signing_key(row) for row in rows]
        return Known(
            tuple(key for key in keys_here if key.secret),
            tuple(
                LiveKey(row["id"], row["hash"], tuple(row["scopes"]), _seconds(row["expires_at"]))
                for row in keys
            ),
            {row["id"]: row["ends_at"].timestamp() for row in revoked},
            tuple(key.id for key in keys_here if not key.secret),
        )

    async def signing_keys(self) -> list[SigningKey]:
        """Return the signing keys; the secret of one that can't be decrypted here is empty."""
        async with self._connections.connection() as connection:
            return [self._signing_key(row) for row in await connection.fetch(query("signing_keys"))]

    async def rotate_signing_keys(
        self, id_: str, secret: bytes, *, signs_in_seconds: float, old_end_in_seconds: float
    ) -> bool:
        """Add a signing key and give all others their end; return False if this one was added before."""
        async with self._connections.connection() as connection, connection.transaction():
            made = await connection.fetchval(
                query("rotate_signing_keys"),
                id_,
                self._sealed(id_, secret),
                signs_in_seconds,
                old_end_in_seconds,
            )
            if made is not None:
                await note(connection, self._action)
        return made is not None

    async def has_signing_key(self, id_: str) -> bool:
        """Return whether there is such a signing key, also one that ended up to a day ago."""
        async with self._connections.connection() as connection:
            return bool(await connection.fetchval(query("has_signing_key"), id_))

    async def revoke_token(self, id_: str, seconds: float) -> bool:
        """Revoke a token for the rest of its life; return False when too many are revoked already."""
        async with self._connections.connection() as connection, connection.transaction():
            done = await connection.fetchval(query("revoke_token"), id_, seconds, MAX_REVOKED_TOKENS)
            if done is not None:
                await note(connection, self._action)
        return done is not None

    async def create_key(
        self,
        id_: str,
        name: str,
        hint: str,
        hash_: bytes,
        scopes: Sequence[str],
        expires_at: datetime | None,
        once: Once = ALWAYS,
    ) -> ApiKey | None:
        """Write a new key; return None when `MAX_LIVE_KEYS` are live, or when it was made before."""
        async with self._connections.connection() as connection, connection.transaction():
            row = await connection.fetchrow(
                query("create_api_key"),
                id_, name, hint, hash_, list(scopes), expires_at, MAX_LIVE_KEYS, once.key, once.body,
            )  # fmt: skip
            if row is not None:
                await note(connection, self._action)
        return None if row is None else _api_key(row)

    async def key_made(self, once: Once) -> tuple[ApiKey, bool] | None:
        """Return the key that an idempotency key made before, and whether the request was the same."""
        if once.key is None:
            return None
        async with self._connections.connection() as connection:
            row = await connection.fetchrow(query("api_key_created_with"), once.key)
        if row is None:
            return None
        values = dict(row)
        return _api_key(values), values.pop("creation_body") == once.body

    async def rotate_key(
        self, old: str, id_: str, hint: str, hash_: bytes, grace_seconds: float, once: Once = ALWAYS
    ) -> ApiKey | None:
        """Write a key in place of a live one, which ends after the grace; return None when the old key is not
        live, or was rotated before."""
        async with self._connections.connection() as connection, connection.transaction():
            before = await connection.fetchrow(query("live_api_key"), old)
            if before is None:
                return None
            row = await connection.fetchrow(
                query("create_api_key"),
                id_, before["name"], hint, hash_, before["scopes"], before["expires_at"], 2 * MAX_LIVE_KEYS,
                once.key, once.body,
            )  # fmt: skip
            if row is None:
                return None
            await connection.execute(query("end_rotated_api_key"), old, id_, grace_seconds)
            await note(connection, self._action)
        return _api_key(row)

    async def revoke_key(self, id_: str) -> ApiKey | None:
        """End a key now; return None when there is no such key."""
        async with self._connections.connection() as connection, connection.transaction():
            row = await connection.fetchrow(query("revoke_api_key"), id_)
            if row is not None:
                await note(connection, self._action)
        return None if row is None else _api_key(row)

    async def keys(self, after: tuple[datetime, str] | None, limit: int) -> list[ApiKey]:
        """Return a page of keys, newest first, including ended keys."""
        at, id_ = after or (None, "")
        async with self._connections.connection() as connection:
            return [_api_key(row) for row in await connection.fetch(query("api_keys_page"), at, id_, limit)]

    async def note_used(self, used: Mapping[str, datetime]) -> None:
        """Note when keys were last used."""
        async with self._connections.connection() as connection:
            await connection.execute(query("note_api_keys_used"), list(used), list(used.values()))


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _api_key(row: asyncpg.Record | dict[str, Any]) -> ApiKey:
    values: dict[str, Any] = {name: value for name, value in row.items() if name != "creation_body"}
    return ApiKey(**(values | {"scopes": tuple(row["scopes"])}))
