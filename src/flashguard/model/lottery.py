"""The waiting room's lottery: the seed, the commitment to it, and the number of each ticket.

A sale publishes a commitment to a secret seed when it is created, and the seed when the lottery is closed. A
ticket's number follows from the seed and the ticket's id alone, so a buyer can verify that the order was
fixed before the first ticket was issued.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

SEED_BYTES: Final = 32
NUMBER_HEX_DIGITS: Final = 12
"""48 bits: exact as a score in Valkey, and smaller than every score made from a time."""
MOST_NUMBER: Final = 16**NUMBER_HEX_DIGITS - 1


def new_seed() -> str:
    """Return a random seed, in hex."""
    return secrets.token_hex(SEED_BYTES)


def commitment(seed: str) -> str:
    """Return the commitment to a seed: SHA-256 of the seed's bytes, in hex."""
    return hashlib.sha256(bytes.fromhex(seed)).hexdigest()


def number(seed: str, ticket: str) -> int:
    """Return a ticket's number: the first 12 hex digits of HMAC-SHA256 over the ticket's id, with the seed's
    bytes as key."""
    digest = hmac.digest(bytes.fromhex(seed), ticket.encode(), "sha256").hex()
    return int(digest[:NUMBER_HEX_DIGITS], 16)


def order(seed: str, tickets: Iterable[str]) -> list[str]:
    """Return the tickets sorted by number, the lowest first; tickets with equal numbers by their ids."""
    return sorted(tickets, key=lambda ticket: (number(seed, ticket), ticket))
