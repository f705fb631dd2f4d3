"""Whole numbers that come as text."""

from typing import Final

MAX_DIGITS: Final = 18
"""Every such number fits into 64 bits. Python's `int` raises an error beyond 4,300 digits."""


def whole_number(text: str) -> int | None:
    """Return the number that these digits write; None for any other text, and for more than 18 digits."""
    return int(text) if len(text) <= MAX_DIGITS and text.isascii() and text.isdecimal() else None
