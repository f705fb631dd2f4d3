"""The waiting room's lottery, as anyone can check it: the seed, the commitment to it, each ticket's number.

A sale commits to a secret seed when it is made and publishes it once the lottery takes no more tickets. A
ticket's number follows from the seed and the ticket's id alone, so the order was settled before anyone came.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

SEED_BYTES: Final = 32
NUMBER_HEX_DIGITS: Final = 12
"""48 bits: exact as a score in Valkey, and below every place that is given by time."""


def new_seed() -> str:
    """A random seed, in hex."""
    return secrets.token_hex(SEED_BYTES)


def commitment(seed: str) -> str:
    """What is published beforehand: SHA-256 of the seed's bytes, in hex."""
    return hashlib.sha256(bytes.fromhex(seed)).hexdigest()


def number(seed: str, ticket: str) -> int:
    """A ticket's number: the first 12 hex digits of HMAC-SHA256 over its id, with the seed's bytes as key."""
    digest = hmac.digest(bytes.fromhex(seed), ticket.encode(), "sha256").hex()
    return int(digest[:NUMBER_HEX_DIGITS], 16)


def order(seed: str, tickets: Iterable[str]) -> list[str]:
    """The tickets by number, the lowest first; two of one number by their ids."""
    return sorted(tickets, key=lambda ticket: (number(seed, ticket), ticket))
