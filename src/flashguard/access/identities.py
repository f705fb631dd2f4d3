"""The API keys and signing keys that this process knows: loaded from the ledger every few seconds.

A revoked key stops working in every process within `RELOAD_SECONDS` and the time of one query. New keys work
immediately: an unknown key triggers a reload. While the ledger is away, known keys stay valid; every key and
token still ends at its time.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.identities import IdentityBook, LiveKey
from flashguard.ledger.sealing import UNSEALED, Sealer

from .tokens import KeyRing, new_signing_key

log = logging.getLogger("flashguard")

KEY_PREFIX: Final = "fg_live_"
KEY_BYTES: Final = 32
"""256 random bits can't be guessed."""
HINT: Final = 4
"""Characters of a key that are stored, for people to recognize it; 232 bits stay secret."""
RELOAD_SECONDS: Final = 2.0
"""Interval between reloads: the greatest age of what a process knows, while the ledger answers."""
UNKNOWN_KEY_RELOAD_SECONDS: Final = 0.25
"""Shortest time between two reloads for unknown keys, however many callers send one."""
NOTE_USED_SECONDS: Final = 10.0
"""Interval at which the last use of each key is written to the ledger."""


class Identities:
    """The API keys and the key ring of this process. Empty until the first reload.

    Parameters:
        clock: seconds since the Unix epoch.
        sealer: decrypts signing keys.
    """

    def __init__(self, clock: Callable[[], float] = time.time, sealer: Sealer = UNSEALED) -> None:
        self.ring = KeyRing(clock)
        self._clock = clock
        self._sealer = sealer
        self._locked: tuple[str, ...] = ()
        self._keys: dict[bytes, LiveKey] = {}
        self._used: dict[str, float] = {}
        self._book: IdentityBook | None = None
        self._reloading: asyncio.Future[None] | None = None
        self._loaded_at = float("-inf")
        self._noted_at = float("-inf")
        self._refreshed_at = float("-inf")

    def key(self, digest: bytes) -> LiveKey | None:
        """Return the live key with this SHA-256; None when this process knows none."""
        key = self._keys.get(digest)
        if key is None:
            return None
        now = self._clock()
        if key.expires_at is not None and key.expires_at <= now:
            return None
        self._used[key.id] = now
        return key

    @asynccontextmanager
    async def following(self, ledger: Ledger) -> AsyncIterator[None]:
        """Load now, and again every `RELOAD_SECONDS` until the context ends."""
        self._book = IdentityBook(ledger, sealer=self._sealer)
        try:
            await self._load(self._book)
        except LedgerAway as error:
            log.warning("cannot load API keys yet, trying again: %s", error)
        task = asyncio.create_task(self._follow(self._book))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            with contextlib.suppress(LedgerAway):
                await self._note_used(self._book)
            self._book = None

    async def refresh(self, ledger: Ledger) -> None:
        """Reload if the keys are old: for a process that may be frozen, where no task runs in between."""
        now = self._clock()
        if abs(now - self._refreshed_at) < RELOAD_SECONDS:
            return
        self._book = IdentityBook(ledger, sealer=self._sealer)
        self._refreshed_at = now
        try:
            await self._load(self._book)
            if abs(now - self._noted_at) > NOTE_USED_SECONDS:
                self._noted_at = now
                await self._note_used(self._book)
        except LedgerAway as error:
            log.warning("cannot refresh API keys; known keys stay valid: %s", error)

    async def reload(self) -> None:
        """Return when a load that began after this call has finished: for a caller with an unknown key.

        Raises:
            LedgerAway: PostgreSQL does not answer.
        """
        if self._book is None:
            return
        if self._reloading is None:
            self._reloading = asyncio.ensure_future(self._reload(self._book))
            self._reloading.add_done_callback(self._reloaded)
        await asyncio.shield(self._reloading)

    async def _reload(self, book: IdentityBook) -> None:
        await asyncio.sleep(max(0.0, self._loaded_at + UNKNOWN_KEY_RELOAD_SECONDS - time.monotonic()))
        self._reloading = None  # later callers wait for the next reload
        await self._load(book)

    def _reloaded(self, reload: "asyncio.Future[None]") -> None:
        if not reload.cancelled():
            reload.exception()  # the waiters raise it; without waiters, asyncio must not log it as unhandled

    async def _load(self, book: IdentityBook) -> None:
        self._loaded_at = time.monotonic()
        known = await book.known(new_signing_key())
        self.ring.replace(known.signing_keys, known.revoked_tokens)
        self._keys = {key.hash: key for key in known.api_keys}
        if known.locked != self._locked:
            self._locked = known.locked
            if known.locked:
                log.error(
                    "FLASHGUARD_SECRETS_KEY can't decrypt the signing keys %s: their tokens are refused",
                    ", ".join(known.locked),
                )

    async def _follow(self, book: IdentityBook) -> None:
        warned = False
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            try:
                await self._load(book)
                if time.monotonic() - self._noted_at > NOTE_USED_SECONDS:
                    self._noted_at = time.monotonic()
                    await self._note_used(book)
                warned = False
            except LedgerAway as error:
                if not warned:
                    log.warning("cannot refresh API keys; known keys stay valid: %s", error)
                warned = True
            except Exception:
                log.exception("cannot refresh API keys; known keys stay valid")

    async def _note_used(self, book: IdentityBook) -> None:
        used, self._used = self._used, {}
        if used:
            await book.note_used({id_: datetime.fromtimestamp(at, UTC) for id_, at in used.items()})


def digest_of(secret: bytes) -> bytes:
    """Return the hash that is stored of a key: 256 random bits need no slower hash."""
    return hashlib.sha256(secret).digest()


class NewKey(Struct, frozen=True):
    """A new API key: the only object that contains the secret itself."""

    id: str
    secret: str
    hint: str
    digest: bytes

    def __repr__(self) -> str:
        return f"NewKey({self.id})"


def new_api_key() -> NewKey:
    """Return a new random API key."""
    secret = f"{KEY_PREFIX}{secrets.token_urlsafe(KEY_BYTES)}"
    return NewKey(f"key_{secrets.token_hex(8)}", secret, secret[-HINT:], digest_of(secret.encode()))
