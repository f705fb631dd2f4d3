"""Secrets at rest: encrypted with the operator's key before PostgreSQL gets them.

AES-256-GCM (NIST SP 800-38D) of the library `cryptography`, under a random nonce; the name of the row is
authenticated with it. See docs/decisions/0038.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from flashguard.errors import ConfigurationError, how_to_install

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
"""Random: safe for 2^32 secrets with one key (NIST SP 800-38D, 8.3)."""
PREFIX: Final = b"fgs1."
"""Tells an encrypted secret from a plain one, and this way to encrypt from a later one. A random
signing key begins so once in 2^40."""
MAX_KEYS: Final = 10


class SealState(StrEnum):
    """How the ledger has a secret."""

    PLAIN = "plain"
    SEALED = "sealed"
    """With the newest key."""
    OLDER = "older"
    """With another key that this process has."""
    UNREADABLE = "unreadable"
    """With a key that this process lacks; or it was changed, or moved from another row."""


class _Key:
    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import (
                AESGCM,
            )  # here: most installations have no key
        except ImportError as error:
            raise ConfigurationError(
                f"FLASHGUARD_SECRETS_KEY requires cryptography; {how_to_install('secrets')}.",
            ) from error
        self.id = hashlib.blake2b(key, digest_size=4, person=b"secrets key").hexdigest().encode()
        self.cipher = AESGCM(key)


class Sealer:
    """Encrypts secrets with the first key, and decrypts those of every key. Without keys, secrets stay plain.

    Parameters:
        keys: 32 random bytes each, the newest first.

    Raises:
        ConfigurationError: there are keys, and `cryptography` is not installed.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = [_Key(key) for key in keys]

    @property
    def has_key(self) -> bool:
        """Whether secrets are encrypted."""
        return bool(self._keys)

    def seal(self, secret: bytes, owner: str) -> bytes:
        """Return a secret as the ledger keeps it.

        Parameters:
            owner: the name of its row: no other row can use what is returned.
        """
        if not self._keys:
            return secret
        key, nonce = self._keys[0], secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + key.cipher.encrypt(nonce, secret, owner.encode())
        return PREFIX + key.id + b"." + base64.urlsafe_b64encode(sealed)

    def open(self, kept: bytes, owner: str) -> bytes | None:
        """Return the secret that the ledger keeps; None where this process can't."""
        return self._open(kept, owner)[1]

    def how(self, kept: bytes, owner: str) -> SealState:
        """Return how the ledger keeps a secret."""
        return self._open(kept, owner)[0]

    def _open(self, kept: bytes, owner: str) -> tuple[SealState, bytes | None]:
        if not kept.startswith(PREFIX):
            return SealState.PLAIN, kept
        id_, _, text = kept.removeprefix(PREFIX).partition(b".")
        try:
            sealed = base64.b64decode(text, altchars=b"-_", validate=True)
        except binascii.Error:
            return SealState.UNREADABLE, None
        place = next((place for place, key in enumerate(self._keys) if key.id == id_), None)
        if place is None:
            return SealState.UNREADABLE, None
        from cryptography.exceptions import InvalidTag

        try:
            nonce, hidden = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            opened = self._keys[place].cipher.decrypt(nonce, hidden, owner.encode())
        except (InvalidTag, ValueError):
            return SealState.UNREADABLE, None
        return SealState.OLDER if place else SealState.SEALED, opened


UNSEALED: Final = Sealer()
"""Keeps secrets plain."""


def sealer_of(text: str | None) -> Sealer:
    """Return the sealer of the setting SECRETS_KEY.

    Raises:
        ValueError: it is not made of such keys; the message does not reveal them.
    """
    return Sealer(keys_of(text)) if text else UNSEALED


def keys_of(text: str) -> list[bytes]:
    """Return the keys that a text names, with commas between them.

    Raises:
        ValueError: it is not made of such keys; the message does not reveal them.
    """
    try:
        keys = [base64.urlsafe_b64decode(each.strip()) for each in text.split(",")]
    except (ValueError, binascii.Error):
        keys = []
    if not keys or len(keys) > MAX_KEYS or {len(key) for key in keys} != {KEY_BYTES}:
        raise ValueError("keys of `flashguard secrets new-key`, with commas between them, the newest first")
    return keys


def new_key() -> str:
    """Return a new random key, as the setting takes it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()
