"""Fingerprints of requests: they tell a repeated request from another one under the same idempotency key."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .names import CustomerId
from .sale import Line

FINGERPRINT_BYTES: Final = 6
"""48 bits: exact in Lua's numbers, and enough to compare two bodies under the same key."""

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def fingerprint(*fields: object) -> int:
    """Return the 48-bit digest of a request's fields."""
    digest = hashlib.blake2b(_encode(fields), digest_size=FINGERPRINT_BYTES).digest()
    return int.from_bytes(digest, "big")


def request_fingerprint(
    verb: str, customer: CustomerId, lines: tuple[Line, ...], details: Mapping[str, Any] | None = None
) -> int:
    """Return the 48-bit digest of a reserve or buy request.

    Parameters:
        details: reference, metadata and locations that lines name, where it has any.
    """
    pairs = [(line.sku, line.quantity) for line in lines]
    if details is None:
        return fingerprint(verb, customer, pairs)
    return fingerprint(verb, customer, pairs, _encode_sorted(details).decode())
