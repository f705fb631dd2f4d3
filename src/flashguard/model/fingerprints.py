"""Fingerprints of requests: whether two requests under one idempotency key are the same."""

import hashlib
from typing import Final

import msgspec

from .names import CustomerId
from .sale import Line

FINGERPRINT_BYTES: Final = 6
"""48 bits: exact in Lua's numbers. It only tells one body from another under the same key."""

_encode = msgspec.json.Encoder().encode


def fingerprint(*parts: object) -> int:
    """A 48-bit digest of a request's meaning."""
    digest = hashlib.blake2b(_encode(parts), digest_size=FINGERPRINT_BYTES).digest()
    return int.from_bytes(digest, "big")


def request_fingerprint(verb: str, customer: CustomerId, lines: tuple[Line, ...]) -> int:
    """A 48-bit digest of a reserve or buy request."""
    return fingerprint(verb, customer, [(line.sku, line.quantity) for line in lines])
