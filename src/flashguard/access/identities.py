"""The identities that count, in this process: loaded from the ledger, and loaded again every few seconds.

A key that is revoked stops working in every process within `RELOAD_SECONDS` and the time of one look at the
ledger; a new one works at once, for who shows an unknown key has us look. While the ledger is away, what is
known goes on to count; every key and token still ends at its time.
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

from .tokens import KeyRing, new_signing_key

log = logging.getLogger("flashguard")

KEY_PREFIX: Final = "fg_live_"
KEY_BYTES: Final = 32
"""256 random bits: nobody guesses that."""
HINT: Final = 4
"""Characters of a key that are kept, to tell it from others; 232 bits stay unknown."""
RELOAD_SECONDS: Final = 2.0
"""How old what a process knows may be, while the ledger answers."""
LOOK_SECONDS: Final = 0.25
"""Looks for unknown keys come so far apart, however many strangers there are."""
NOTE_SECONDS: Final = 10.0
"""How often the ledger hears when keys were last used."""


class Identities:
    """The API's keys and the key ring. Empty until it follows a ledger.

    Parameters:
        clock: seconds since the Unix epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.ring = KeyRing(clock)
        self._clock = clock
        self._keys: dict[bytes, LiveKey] = {}
        self._used: dict[str, float] = {}
        self._book: IdentityBook | None = None
        self._looking: asyncio.Future[None] | None = None
        self._looked_at = float("-inf")
        self._noted_at = float("-inf")
        self._refreshed_at = float("-inf")

    def key(self, digest: bytes) -> LiveKey | None:
        """The live key whose SHA-256 this is."""
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
        """Loads now, and again every few seconds, until the end."""
        self._book = IdentityBook(ledger)
        try:
            await self._load(self._book)
        except LedgerAway as error:
            log.warning("keys are not known yet: %s", error)
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
        """Loads if what is known is old: for a process that may be frozen, where nothing can follow."""
        now = self._clock()
        if abs(now - self._refreshed_at) < RELOAD_SECONDS:
            return
        self._book = self._book or IdentityBook(ledger)
        self._refreshed_at = now
        try:
            await self._load(self._book)
            if abs(now - self._noted_at) > NOTE_SECONDS:
                self._noted_at = now
                await self._note_used(self._book)
        except LedgerAway as error:
            log.warning("keys can't be looked up, those known go on to count: %s", error)

    async def look(self) -> None:
        """Returns once what we know is from after this call: for a key that is not known.

        Raises:
            LedgerAway: nobody can tell.
        """
        if self._book is None:
            return
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look(self._book))
            self._looking.add_done_callback(self._looked)
        await asyncio.shield(self._looking)

    async def _look(self, book: IdentityBook) -> None:
        await asyncio.sleep(max(0.0, self._looked_at + LOOK_SECONDS - time.monotonic()))
        self._looking = None  # who comes from now on waits for the next look
        await self._load(book)

    def _looked(self, look: "asyncio.Future[None]") -> None:
        if not look.cancelled():
            look.exception()  # whoever waits is told; with nobody left, it is nobody's

    async def _load(self, book: IdentityBook) -> None:
        self._looked_at = time.monotonic()
        known = await book.known(new_signing_key())
        self.ring.replace(known.signing_keys, known.revoked_tokens)
        self._keys = {key.hash: key for key in known.api_keys}

    async def _follow(self, book: IdentityBook) -> None:
        silent = False
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            try:
                await self._load(book)
                if time.monotonic() - self._noted_at > NOTE_SECONDS:
                    self._noted_at = time.monotonic()
                    await self._note_used(book)
                silent = False
            except LedgerAway as error:
                if not silent:
                    log.warning("keys can't be looked up, those known go on to count: %s", error)
                silent = True
            except Exception:
                log.exception("keys can't be read")

    async def _note_used(self, book: IdentityBook) -> None:
        used, self._used = self._used, {}
        if used:
            await book.note_used({id_: datetime.fromtimestamp(at, UTC) for id_, at in used.items()})


def digest_of(secret: bytes) -> bytes:
    """What is kept of a key: one with 256 random bits needs no slower hash."""
    return hashlib.sha256(secret).digest()


class NewKey(Struct, frozen=True):
    """A key that was just made: the only time that the key itself is at hand."""

    id: str
    secret: str
    hint: str
    digest: bytes

    def __repr__(self) -> str:
        return f"NewKey({self.id})"


def new_api_key() -> NewKey:
    """A key that nobody has yet."""
    secret = f"{KEY_PREFIX}{secrets.token_urlsafe(KEY_BYTES)}"
    return NewKey(f"key_{secrets.token_hex(8)}", secret, secret[-HINT:], digest_of(secret.encode()))
