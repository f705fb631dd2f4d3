"""The last thing in some runs: the ledger falls back behind a rebuild, and only an operator may decide."""

import asyncio
import random
from typing import TYPE_CHECKING, Final

from flashguard.kernel import keys
from tests.campaign.checker import Violation
from tests.simulation.faults import restore_ledger
from tests.simulation.handovers import ask_for_rebuild

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

SHARE: Final = 0.25
"""How many runs end so."""
REBUILT_SECONDS: Final = 5.0
CLOSED_SECONDS: Final = 5.0
EPOCHS: Final = "SELECT partition, epoch FROM flashguard.partitions ORDER BY 1"
Epochs = dict[int, int]


def is_last(seed: str) -> bool:
    """Return whether a run ends so; a draw of its own, so that nothing before it is another."""
    return random.Random(f"{seed} last").random() < SHARE


async def fall_behind_rebuild(shop: "Shop") -> list[Violation]:
    """Have memory rebuilt, then put the ledger from before that in place; return the partitions that were
    rebuilt from it, though memory is newer."""
    shop.world.note("harness", "the ledger falls back behind a rebuild")
    shop.servers.copies.save("older")
    before = _epochs(shop)
    await ask_for_rebuild(shop)
    await asyncio.sleep(REBUILT_SECONDS)
    newer = [each for each, epoch in before.items() if _is_rebuilt(shop, each, epoch)]
    restore_ledger(shop)
    await asyncio.sleep(CLOSED_SECONDS)
    return [
        Violation("rebuilt from an older ledger", f"partition {each}: epoch {before[each]}, then {now}")
        for each, now in _epochs(shop).items()
        if each in newer and now > before[each]
    ]


def _is_rebuilt(shop: "Shop", partition: int, epoch: int) -> bool:
    """Return whether memory has been opened since this epoch: else a rebuild goes on, and may begin again."""
    opened, fence = shop.primary.ask("HMGET", keys.partition(partition), "epoch", "fence")
    return int(opened or 0) > epoch and fence is None


def _epochs(shop: "Shop") -> Epochs:
    """Return each partition's epoch, as the ledger has it."""
    return {int(number or 0): int(epoch or 0) for number, epoch in shop.servers.backends.own.query(EPOCHS)}
