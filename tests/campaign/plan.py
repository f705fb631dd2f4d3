"""The plan of a round, all from its seed: which fault, when, for how long, and the shape of the sale."""

import random
from typing import Any

from msgspec import Struct

UP = [
    "kill valkey", "kill valkey", "kill postgres", "kill postgres", "kill api worker", "kill recorder",
    "kill up", "stop valkey", "stop postgres", "stop api worker", "stop recorder", "flushall",
]  # fmt: skip
LINK_MODES = ["delay", "drop", "cut", "half-close"]
LAB = [
    "older valkey copy", "append-only file cut", "failover by hand", "failover by hand",
    "failover by sentinel", "postgres failover", "two recorders", "two recorders, flushall",
    "full disk", "api clock steps",
    *(f"api-valkey {mode}" for mode in LINK_MODES), *(f"recorder-postgres {mode}" for mode in LINK_MODES),
    "other link",
]  # fmt: skip
TOPOLOGIES = {
    "cluster primary killed": "cluster",
    "cluster failover by hand": "cluster",
    "slots move": "cluster",
    "failover by our own Sentinel client": "sentinel",
}
"""Kinds that run only by name (`--kind`), and the installation of each."""
REPLICATED = "failover by our own Sentinel client"
"""The kind whose new primary has a replica again."""
KINDS = [*UP, *UP, *LAB]
"""One deck: every kind comes one to four times before the next deck."""
OTHER_LINKS = ["recorder-valkey", "api-postgres"]
FORGETTING = {
    "flushall",
    "two recorders, flushall",
    "older valkey copy",
    "append-only file cut",
    "failover by hand",
    "failover by sentinel",
    "cluster primary killed",
    "failover by our own Sentinel client",
}
"""The faults that may lose memory's newest entries."""
MEASURED_FROM_STRIKE = {
    "kill valkey", "kill postgres", "kill api worker", "kill recorder", "kill up", "flushall",
    "older valkey copy",
    "append-only file cut", "failover by hand", "failover by sentinel", "postgres failover",
    *TOPOLOGIES,
}  # fmt: skip
"""Recovery is measured from the strike; of all other kinds, whose length the plan sets, from their end."""


GOODS = ["plain", "pools", "pools", "locations", "locations"]


class Plan(Struct, frozen=True):
    """A round."""

    seed: str
    number: int
    kind: str
    stack: str
    strike_after: float
    lasts: float
    also: str | None
    """A part that is killed at the same moment: two faults at once."""
    buyers: int
    customers: int
    limit: int | None
    stock: int
    hold_seconds: int
    spread: int = 1
    """The number of partitions of the round's sale."""
    goods: str = "plain"
    """What the items are: plain, from pools, or at locations."""
    split: bool = False
    """Whether a basket may be taken from several locations."""
    item_limit: int | None = None
    """The scarce item's own limit per customer."""
    card_limit: int | None = None
    """The limit per card, of the items that are not probes."""
    cards: int = 1
    """Fewer than customers, so that several share one."""
    waiting_list: int | None = None
    """The most entries that wait."""
    max_held: int | None = None
    """The hold budget."""
    cool_down_after: int | None = None
    """The holds let go after which a customer cools down, for a second."""
    replicated: bool = False
    """Whether a hold is answered only once a replica has it."""

    @property
    def memory_forgets(self) -> bool:
        return self.kind in FORGETTING

    def rng(self, what: str) -> random.Random:
        """Return a random generator for one purpose; the same for the same seed."""
        return random.Random(f"{self.seed}/{self.number}/{what}")

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__struct_fields__}


def plan(seed: str, number: int, only: str | None = None) -> Plan:
    """Return round `number` of a seed. `only`: this kind, whatever the deck says."""
    deck = random.Random(f"{seed}/deck/{number // len(KINDS)}").sample(KINDS, len(KINDS))
    kind = only or deck[number % len(KINDS)]
    stack = "up" if kind in UP else TOPOLOGIES.get(kind, "lab")
    rng = random.Random(f"{seed}/{number}/plan")
    strike_after, lasts = rng.uniform(0.2, 0.6), rng.uniform(0.3, 1.1)
    company = rng.choice(["recorder", "api", None, None, None, None])
    if kind == "other link":
        kind = f"{rng.choice(OTHER_LINKS)} {rng.choice(LINK_MODES)}"
    goods_rng = random.Random(f"{seed}/{number}/goods")
    goods = goods_rng.choice(GOODS)
    spread = random.Random(f"{seed}/{number}/spread").choice([1, 2, 3, 4])
    spread = max(spread, 2) if kind.startswith("two recorders") else spread  # each has a part of it
    spread = 1 if goods == "locations" else spread
    limits = random.Random(f"{seed}/{number}/limits")
    is_limited, item_limit, card_limit = (
        limits.random() < 0.5,
        limits.randint(2, 4),
        limits.choice([4, 8, 16]),
    )
    fair = random.Random(f"{seed}/{number}/fair")
    waiting_list, max_held, cool_down_after = fair.randint(3, 12), fair.randint(2, 4), fair.randint(1, 4)
    has_list, has_rules = fair.random() < 0.5, fair.random() < 0.5
    most = fair.randint(3, 15) if has_list else 120  # with a list soon sold out
    lonely = kind == "kill up" or any(part in kind for part in ("recorder", "api"))
    return Plan(
        seed=seed, number=number, kind=kind, stack=stack, strike_after=strike_after, lasts=lasts,
        also=None if lonely else company, buyers=rng.randint(8, 20), customers=rng.randint(8, 40),
        limit=rng.choice([None, 3, 5, 8]), stock=min(rng.randint(10, 120), most),
        hold_seconds=rng.choice([1, 1, 1, 2]),
        goods=goods, split=goods_rng.random() < 0.5,
        spread=spread, item_limit=item_limit if is_limited else None,
        card_limit=card_limit if is_limited and spread == 1 else None, cards=limits.randint(2, 8),
        waiting_list=waiting_list if has_list else None, max_held=max_held if has_rules else None,
        cool_down_after=cool_down_after if has_rules else None,
        replicated=kind == REPLICATED and random.Random(f"{seed}/{number}/replicas").random() < 0.7,
    )  # fmt: skip
