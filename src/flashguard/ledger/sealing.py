"""Secrets at rest: encrypted with the operator's key before PostgreSQL gets them.

A secret is combined with a keystream that is used once, from HMAC-SHA256 under a random nonce; then
HMAC-SHA256 authenticates it together with the name of its row (encrypt, then MAC: the XOR mode of SEC 1 and
ISO/IEC 18033-2). See docs/decisions/0038.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
"""Random: 192 bits never repeat by chance."""
TAG_BYTES: Final = 32
PREFIX: Final = b"fgs1."
"""Tells an encrypted secret from a plain one, and this way to encrypt from a later one."""
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
        self.id = _prf(key, b"flashguard secrets: id")[:4].hex().encode()
        self.cipher = _prf(key, b"flashguard secrets: encrypt")
        self.mac = _prf(key, b"flashguard secrets: authenticate")


class Sealer:
    """Encrypts secrets with the first key, and decrypts those of every key. Without keys, secrets stay plain.

    Parameters:
        keys: 32 random bytes each, the newest first.
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
        hidden = _combine(key, nonce, secret)
        sealed = nonce + hidden + _tag(key, nonce, hidden, owner)
        return PREFIX + key.id + b"." + base64.urlsafe_b64encode(sealed)

    def open(self, kept: bytes, owner: str) -> bytes | None:
        """Return the secret that the ledger keeps; None where this process can't."""
        return self._open(kept, owner)[1]

    def how(self, kept: bytes, owner: str) -> SealState:
        """Return how the ledger keeps a secret."""
        return self._open(kept, owner)[0]

    def _open(self, kept: bytes, owner: str) -> tuple[SealState, bytes | None]:
        if (
            not kept.startswith(PREFIX) or len(kept) == KEY_BYTES
        ):  # a plain signing key may begin with anything
            return SealState.PLAIN, kept
        id_, _, text = kept.removeprefix(PREFIX).partition(b".")
        try:
            sealed = base64.b64decode(text, altchars=b"-_", validate=True)
        except binascii.Error:
            return SealState.UNREADABLE, None
        nonce, hidden, tag = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:-TAG_BYTES], sealed[-TAG_BYTES:]
        for place, key in enumerate(self._keys):
            if key.id == id_ and hmac.compare_digest(_tag(key, nonce, hidden, owner), tag):
                return SealState.OLDER if place else SealState.SEALED, _combine(key, nonce, hidden)
        return SealState.UNREADABLE, None


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


def _prf(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _combine(key: _Key, nonce: bytes, text: bytes) -> bytes:
    """Encrypt or decrypt: combine the text with the nonce's keystream."""
    blocks = range(-(-len(text) // 32))
    stream = b"".join(_prf(key.cipher, nonce + block.to_bytes(4, "big")) for block in blocks)
    return bytes(a ^ b for a, b in zip(text, stream, strict=False))


def _tag(key: _Key, nonce: bytes, hidden: bytes, owner: str) -> bytes:
    name = owner.encode()
    return _prf(key.mac, len(name).to_bytes(8, "big") + name + nonce + hidden)
