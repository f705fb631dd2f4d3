"""Judges each call that sells, by what memory had just before it: what is set aside for an entry of the
waiting list that wants more than is free does not go to the open sale.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import hiredis

from flashguard.journal import Buy, Entry, Hold, Leave, decode_sound, takes_of
from tests.campaign.checker import Violation

Command = tuple[Any, ...]
SELLS: Final = b"-- reserve_stock:"
"""Where the script begins that decides about baskets."""
FIRST_KEY, KEYS_PER_SALE, QUEUE_KEY = 5, 6, 5
"""Of the words of a script's call: see sales.lua."""


def reads_of(call: Sequence[Any]) -> list[Command]:
    """Return the commands that read what a call may change: the newest entry; of each sale its items, and the
    entries that sleep."""
    keys = call[FIRST_KEY : 3 + int(call[2])]
    reads: list[Command] = [("XREVRANGE", call[4], "+", "-", "COUNT", 1)]
    for at in range(0, len(keys) - KEYS_PER_SALE + 1, KEYS_PER_SALE):
        reads.append(("HGETALL", keys[at]))
        reads.append(("ZRANGEBYLEX", keys[at + QUEUE_KEY], "[d", "(e"))
    return reads


class Turns:
    """Judges calls."""

    def __init__(self, note: Callable[[Violation], None]) -> None:
        self._note = note

    def judge(self, call: Sequence[Any], before: list[bytes], after: list[bytes], now_ms: int) -> None:
        """Check the first grant of a call.

        Parameters:
            before, after: the answers to `reads_of` the call.
        """
        entries = _entries(after[0])
        if not entries or after[0] == before[0]:
            return
        first, *rest = entries[0].body.transitions
        if not isinstance(first, Hold | Buy):
            return  # units came back in the same call
        if rest and isinstance(rest[0], Leave) and rest[0].id == first.id:
            return  # it is an entry that is offered its units
        keys = [bytes(each) for each in call[FIRST_KEY : 3 + int(call[2]) : KEYS_PER_SALE]]
        [number] = [n for n, key in enumerate(keys) if key.endswith(b"sale:" + first.sale.encode())]
        if set(_read(after[2 * number + 2])) - set(_read(before[2 * number + 2])):
            return  # an entry sleeps from now on: what was set aside for it is free
        flat = _read(before[2 * number + 1])
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        takes = takes_of(first)
        for sku, units in zip(takes[::2], takes[1::2], strict=True):
            text = fields.get(f"item:{sku}".encode(), b"0 0 0")
            stock, held, sold, aside, until_ms = map(int, [*text.split(), 0, 0][:5])
            if aside and until_ms > now_ms and units > stock - held - sold - aside:
                what = f"{first.sale}.{first.id} got {units} of {sku}, {stock - held - sold} were free"
                self._note(Violation("out of turn", f"{what}, and {aside} set aside"))


def _entries(raw: bytes) -> list[Entry]:
    found = [(id_, dict(zip(flat[::2], flat[1::2], strict=True))) for id_, flat in _read(raw) or ()]
    return decode_sound(found)[0]


def _read(raw: bytes) -> Any:
    reader = hiredis.Reader()
    reader.feed(raw)
    return reader.gets()
