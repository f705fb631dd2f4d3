"""Faults in which memory loses single keys: one, all of a sort, or those of a sort again and again."""

import asyncio
import random
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

DECIDING: Final = (b"reservations", b"reservations", b"deadlines")
NOT_EXACT: Final = (b"used", b"habits")
"""What limits and hold rules count by: without it they may be exceeded until the loss is noticed."""
NOTICED_SECONDS: Final = 8.0
NOT_MISSED: Final = (b"room", b"staged")
"""How the keys begin that are not missed: those of a waiting room, and what a rebuild has not taken yet."""


async def delete_key(shop: "Shop", rng: random.Random) -> None:
    """A key of memory is deleted or evicted, or all of its sort: mostly one that decisions are made by."""
    by_sort = _keys(shop)
    if by_sort:
        sorts = [sort for sort in DECIDING if sort in by_sort] if rng.random() < 0.7 else []
        sort = rng.choice(sorts or [*by_sort])
        _delete(shop, sort, by_sort[sort] if rng.random() < 0.5 else [rng.choice(by_sort[sort])])


async def evicted_keys(shop: "Shop", rng: random.Random) -> None:
    """Memory is full and evicts what decisions are made by, again as soon as it is there again."""
    sort = rng.choice(DECIDING)
    for _ in range(rng.randint(2, 6)):
        if names := _keys(shop).get(sort):
            _delete(shop, sort, names)
        await asyncio.sleep(rng.choice([0.1, 1.0, 2.0]) * rng.random())


async def lose_counts(shop: "Shop", sales: Collection[str]) -> None:
    """Have memory lose what the limits or the hold rules of these sales count by, when nothing is sold any
    more; then give a recorder the time to notice it."""
    sort = shop.rng.choice(NOT_EXACT)
    found = sorted(shop.primary.ask("KEYS", "fg:{[0-9]}:*"))
    if names := [key for key in found if _is_of(key, sort, sales)]:
        _delete(shop, sort, names)
    await asyncio.sleep(NOTICED_SECONDS)


def _is_of(key: bytes, sort: bytes, sales: Collection[str]) -> bool:
    """Return whether this key is of this sort and of a shard of one of these sales."""
    _, _, kind, name, *_ = [*key.split(b":"), b"", b""]
    return kind == sort and name.decode().partition("~")[0] in sales


def _keys(shop: "Shop") -> dict[bytes, list[bytes]]:
    """Return the keys that memory may lose, by their sort."""
    by_sort: dict[bytes, list[bytes]] = {}
    for key in sorted(shop.primary.ask("KEYS", "fg:{[0-9]}:*")):
        sort = key.split(b":")[2]
        if not (sort.startswith(NOT_MISSED) or sort in NOT_EXACT or key.endswith(b":door")):
            by_sort.setdefault(sort, []).append(key)
    return by_sort


def _delete(shop: "Shop", sort: bytes, names: list[bytes]) -> None:
    shop.world.note(shop.primary.name, f"loses {len(names)} keys of {sort.decode()}")
    shop.primary.ask("DEL", *names)
