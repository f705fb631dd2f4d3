"""Requests that are repeated once all is quiet: a key returns its first outcome, and changes nothing more."""

import random
from collections.abc import Iterator
from typing import Final

from tests.campaign.buyers import Clients
from tests.campaign.checker import Violation
from tests.campaign.history import Ledger

REPLAYS_MOST: Final = 20
CHANGES: Final = ("amend", "part", "restock", "confirm", "extend")


async def repeat_requests(clients: Clients, rng: random.Random, *, forgets: bool) -> list[Violation]:
    """Repeat requests of the first sale; return the buys that did not return the same order.

    Parameters:
        forgets: whether memory may have lost amends of holds, with the holds.
    """
    told, found = clients.history.told, []
    bought = {t.ask.key: t for t in told if t.ask.verb == "buy" and t.word == "confirmed"}
    done = {
        t.ask.key: t.ask
        for t in told
        if t.http == 200 and t.ask.verb in CHANGES and not (forgets and t.ask.verb == "amend")
    }
    for first in list(bought.values())[-REPLAYS_MOST:]:
        again = await clients.settle(first.ask, phase="replay")
        if again is None or (again.word, again.id) != ("confirmed", first.id):
            what = f"{first.ask.key}: {first.word}, when all was quiet {again}"
            found.append(Violation("two outcomes", what))
    for ask in rng.sample(list(done.values()), min(REPLAYS_MOST, len(done))):
        await clients.settle(ask, phase="replay")
    return found


def changed(before: Ledger, after: Ledger) -> Iterator[Violation]:
    """Yield a violation where the ledger has changed."""
    if (after.rows, after.items, after.restocks) != (before.rows, before.items, before.restocks):
        what = [*set(after.rows) ^ set(before.rows), *set(after.restocks) ^ set(before.restocks)]
        yield Violation("doubled", f"requests that were repeated changed {sorted(map(str, what))}")
