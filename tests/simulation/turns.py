"""Judges each call about a sale with a waiting list, by what memory had just before and after it: what is set
aside for an entry that wants more than is free does not go to the open sale, and no entry is offered units
that one before it fits.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, TypeGuard

import hiredis

from flashguard.journal import Buy, Entry, Hold, Join, Leave, Transition, decode_sound, takes_of
from tests.campaign.checker import Violation

Command = tuple[Any, ...]
SELLS: Final = b"-- reserve_stock:"
"""Where the script begins that decides about baskets."""
OFFERS: Final = b"function learn_waiting()"
"""What the scripts have that may offer units to entries."""
FIRST_KEY, KEYS_PER_SALE, QUEUE_KEY = 5, 6, 5
"""Of the words of a script's call: see sales.lua."""
READS_OF_ALL: Final = 1
READS_PER_SALE: Final = 3
"""See `reads_of`."""
FREES_NOTHING: Final = (Hold, Buy, Leave, Join)
"""Transitions after which no more units are free than before."""


def reads_of(call: Sequence[Any]) -> list[Command]:
    """Return the commands that read what a call may change: the newest entry of the journal; of each sale its
    items, the entries that sleep, and those that can be served."""
    reads: list[Command] = [("XREVRANGE", call[4], "+", "-", "COUNT", 1)]
    for keys in _keys_of_sales(call):
        reads.append(("HGETALL", keys[0]))
        reads.append(("ZRANGEBYLEX", keys[QUEUE_KEY], "[d", "(e"))
        reads.append(("ZRANGEBYLEX", keys[QUEUE_KEY], "[q", "(s"))
    return reads


def _keys_of_sales(call: Sequence[Any]) -> Iterator[Sequence[bytes]]:
    """Yield the keys of each sale that a script is called with; those of rooms may follow them."""
    last = 3 + int(call[2])
    for at in range(FIRST_KEY, last, KEYS_PER_SALE):
        if bytes(call[at]).split(b":")[2] != b"sale":
            break
        yield call[at : at + KEYS_PER_SALE]


class Turns:
    """Judges calls.

    Parameters:
        is_in_order: returns whether one shard serves all entries of a sale.
    """

    def __init__(self, note: Callable[[Violation], None], is_in_order: Callable[[str], bool]) -> None:
        self._note, self._is_in_order = note, is_in_order

    def judge(
        self, call: Sequence[Any], before: list[bytes], after: list[bytes], now_ms: int, *, sells: bool
    ) -> None:
        """Check the first grant of a call that sells, and every offer.

        Parameters:
            before, after: the answers to `reads_of` the call.
        """
        entries = _entries(after[0])
        if not entries or after[0] == before[0]:
            return
        transitions = entries[0].body.transitions
        for number, keys in enumerate(_keys_of_sales(call)):
            name = bytes(keys[0]).rpartition(b":")[2].decode()
            at = READS_OF_ALL + READS_PER_SALE * number
            was, now = (
                [_read(each) for each in reads[at : at + READS_PER_SALE]] for reads in (before, after)
            )
            if sells and transitions[0].sale == name:
                self._judge_grant(transitions, was, now, now_ms)
            if self._is_in_order(name):
                self._judge_offers([each for each in transitions if each.sale == name], was, now)

    def _judge_grant(
        self, transitions: Sequence[Transition], was: list[Any], now: list[Any], now_ms: int
    ) -> None:
        """Check that the first grant of a call took nothing that was set aside before it."""
        first, *rest = transitions
        if not isinstance(first, Hold | Buy):
            return  # units came back in the same call
        if rest and _is_offer(first, rest[0]):
            return
        if set(now[1]) - set(was[1]):
            return  # an entry sleeps from now on: what was set aside for it is free
        fields = _items(was[0])
        takes = takes_of(first)
        for sku, units in zip(takes[::2], takes[1::2], strict=True):
            stock, held, sold, aside, until_ms = fields.get(sku, (0, 0, 0, 0, 0))
            if aside and until_ms > now_ms and units > stock - held - sold - aside:
                what = f"{first.sale}.{first.id} got {units} of {sku}, {stock - held - sold} were free"
                self._note(Violation("out of turn", f"{what}, and {aside} set aside"))

    def _judge_offers(self, transitions: Sequence[Transition], was: list[Any], now: list[Any]) -> None:
        """Check of each offer that no entry was passed over which wanted no more than was free for it."""
        offers = [first for first, second in pairwise(transitions) if _is_offer(first, second)]
        if not offers or not all(
            isinstance(each, FREES_NOTHING) for each in transitions[transitions.index(offers[0]) :]
        ):
            return  # what was free for it is not known
        if any(name.startswith(b"recipe:") for name in now[0][::2]):
            return  # units of an item are those of its pools or locations
        fields, before, still = _items(now[0]), {*_able(was[2])}, {*_able(now[2])}
        places = {id_: place for _, _, place, id_ in before}
        for offer in offers:
            [sku, units, *_] = takes_of(offer)
            stock, held, sold, *_ = fields.get(sku, (0, 0, 0, 0, 0))
            for of, wanted, place, id_ in before & still:
                passed = of == sku and place < places.get(offer.id, 0)
                if passed and wanted <= stock - held - sold + units:
                    what = f"{offer.sale}.{offer.id} was offered {units} of {sku} before {id_}"
                    self._note(Violation("out of turn", f"{what}, who waits for {wanted}"))


def _is_offer(first: Transition, second: Transition) -> TypeGuard[Hold]:
    """Return whether these two are an entry that is offered its units."""
    return isinstance(first, Hold) and isinstance(second, Leave) and first.id == second.id


def _items(flat: Sequence[bytes]) -> dict[str, tuple[int, int, int, int, int]]:
    """Return of each item, by a sale's fields: stock, held, sold, units set aside, and until when."""
    found = {}
    for name, text in zip(flat[::2], flat[1::2], strict=True):
        if name.startswith(b"item:"):
            stock, held, sold, aside, until_ms = (int(each) for each in [*text.split(), b"0", b"0"][:5])
            found[name.removeprefix(b"item:").decode()] = (stock, held, sold, aside, until_ms)
    return found


def _able(members: Sequence[bytes]) -> Iterator[tuple[str, int, int, str]]:
    """Yield the entries that can be served: item, quantity, place and id. See lib/queue.lua."""
    for member in members:
        sku, quantity, place, id_ = member[1:].split(b"\0")
        yield sku.decode(), int(quantity), int(place), id_.decode()


def _entries(raw: bytes) -> list[Entry]:
    found = [(id_, dict(zip(flat[::2], flat[1::2], strict=True))) for id_, flat in _read(raw) or ()]
    return decode_sound(found)[0]


def _read(raw: bytes) -> Any:
    reader = hiredis.Reader()
    reader.feed(raw)
    return reader.gets()
