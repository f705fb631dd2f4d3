"""Measures how fair a waiting room is, on servers of its own.

    .venv/bin/python -m bench.fairness --json bench/results/fairness.json

First come, first served: buyers ask for tickets at moments of chance, each through one of several connections
of FlashGuard, as if a load balancer had spread them over as many API processes. Who asked later and got an
earlier place overtook: how often that happens, and by how many milliseconds.

By lot: a thousand lotteries with seeds of their own, drawn by the kernel's own scripts. Where the first and
the last who came were placed, and when the winner had come, must be spread evenly: a chi-square over ten
classes, which chance alone brings above 27.88 once in a thousand times.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.waiting_room import serving
from flashguard import FlashGuard, NewSale
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.model import CustomerId, Item, MinorUnits, RoomMode, SaleId, Sku, WaitingRoom
from flashguard.model.lottery import new_seed, number
from flashguard.model.room import room_rules
from flashguard.recorder.load import more_keys
from flashguard.waiting.place import Place
from tests.properties.memory import Wire, memory_server

CLASSES: Final = 10
LIMIT: Final = 27.88
"""Chi-square of nine degrees of freedom, which chance exceeds once in a thousand times."""
OPENS_MS: Final = 1_800_000_000_000
SALE: Final = SaleId("drop")


def overtaking(asked_at: Sequence[float], places: Sequence[float]) -> dict[str, float]:
    """Return who was overtaken: the share of buyers, and by how much later a buyer had asked, in ms.

    Parameters:
        asked_at: when each buyer asked, in seconds.
        places: the place that each got.
    """
    latest, behind = float("-inf"), []
    for asked in (at for _, at in sorted(zip(places, asked_at, strict=True))):
        behind.append(max(0.0, latest - asked) * 1_000)
        latest = max(latest, asked)
    late = sorted(ms for ms in behind if ms > 0)
    return {
        "buyers": len(behind),
        "overtaken_share": round(len(late) / len(behind), 4),
        "overtaken_by_ms_median": round(late[len(late) // 2], 2) if late else 0.0,
        "overtaken_by_ms_p99_of_all": round(sorted(behind)[len(behind) * 99 // 100], 2),
        "overtaken_by_ms_most": round(max(behind), 2),
    }


async def first_come(guards: Sequence[FlashGuard], people: int, per_second: float) -> dict[str, Any]:
    """Let buyers ask one after another, at moments of chance."""
    item = Item(sku=Sku("unit"), name="Unit", price_minor=MinorUnits(100), currency="EUR", stock=1)
    later = datetime.now(UTC) + timedelta(days=1)  # it opens for nobody meanwhile
    sale = SaleId(f"fifo-{per_second:.0f}")
    room = WaitingRoom(mode=RoomMode.FIFO)
    new = NewSale(name="Queue", items=(item,), id=sale, waiting_room=room, starts_at=later)
    await guards[0].shop.create_sale(new)
    await guards[0].shop.change(sale, "open")
    for guard in guards:  # each reads the lottery's seed once
        await guard.rooms.issue(sale, CustomerId("the first"))
    chance, asked_at, tickets = random.Random(1), [0.0] * people, [""] * people

    async def ask(n: int) -> None:
        guard = chance.choice(guards)
        asked_at[n] = time.perf_counter()
        answer = await guard.rooms.issue(sale, CustomerId(f"customer-{n}"))
        assert isinstance(answer, tuple), answer
        tickets[n] = answer[0].id

    asks, next_at = [], time.perf_counter()
    for n in range(people):
        next_at += chance.expovariate(per_second)
        while time.perf_counter() < next_at:
            await asyncio.sleep(0)
        asks.append(asyncio.create_task(ask(n)))
    await asyncio.gather(*asks)
    positions = []
    for ticket in tickets:
        place = await guards[0].rooms.poll(sale, ticket)
        assert isinstance(place, Place), place
        assert place.position is not None
        positions.append(place.position)
    rate = round(people / (asked_at[-1] - asked_at[0]))
    return {"asks_per_second": rate, **overtaking(asked_at, positions)}


def chi_square(counts: Sequence[int]) -> float:
    """Return how far these counts are from equal ones."""
    expected = sum(counts) / len(counts)
    return round(sum((count - expected) ** 2 / expected for count in counts), 2)


def classes(places: Sequence[int], of: int) -> list[int]:
    """Return how many of these places, from 0, are in each tenth of all."""
    counts = [0] * CLASSES
    for place in places:
        counts[place * CLASSES // of] += 1
    return counts


def draw(wire: Wire, kernel: Kernel, tickets: int, seed: str) -> list[int]:
    """Play one lottery; return who has which place, by the order in which they came."""
    kernel.clock_ms = OPENS_MS - 10_000
    wire.ask("FLUSHALL")

    def run(verb: Verb, sales: Any, requests: Any, more: Any = ()) -> list[Any]:
        reply = wire.run(kernel.run(verb, 0, sales, requests, more_keys=more))
        assert reply.status == "", reply
        return reply.results

    run(Verb.FENCE, [], ["1"])
    run(Verb.UNFENCE, [], ["1", "t", "w", 0])
    rules = room_rules(WaitingRoom(mode=RoomMode.LOTTERY), opened=False)
    config = ["scheduled", OPENS_MS, 0, 60_000, 600_000, 0, "", rules]
    run(Verb.LOAD, [SALE], ("new", "", config, ["item:unit", "1 0 0"], [], [], []), more_keys(0, SALE))
    names = [f"ticket-{n}" for n in range(tickets)]
    run(Verb.ISSUE_TICKET, [SALE], [(0, name, number(seed, name), [], "", 0, name) for name in names])
    kernel.clock_ms = OPENS_MS
    run(Verb.GET_ROOM, [SALE], [(0, 0, 0)])
    order = [raw.decode() for raw in wire.ask("ZRANGE", keys.room(0, SALE).lottery, 0, -1)]
    assert len(order) == tickets
    return [names.index(name) for name in order]


def by_lot(draws: int, tickets: int, seeds: Sequence[str] = ()) -> dict[str, Any]:
    """Draw lotteries, and return the chi-squares of what they came to."""
    first, last, winners = [], [], []
    with memory_server("valkey") as wire:
        kernel = Kernel(wire, max_backlog=10**9)  # type: ignore[arg-type]
        wire.run(kernel.load_scripts())
        for n in range(draws):
            order = draw(wire, kernel, tickets, seeds[n] if seeds else new_seed())
            first.append(order.index(0))
            last.append(order.index(tickets - 1))
            winners.append(order[0])
    spread = {"place_of_the_first": first, "place_of_the_last": last, "when_the_winner_came": winners}
    counts = {name: classes(places, tickets) for name, places in spread.items()}
    return {
        "draws": draws,
        "tickets": tickets,
        "limit": LIMIT,
        "tenths": counts,
        "chi_square": {name: chi_square(each) for name, each in counts.items()},
    }


async def run(folder: Path, people: int, connections: int) -> list[dict[str, Any]]:
    async with serving(folder, connections) as guards:
        return [await first_come(guards, people, rate) for rate in (500.0, 2_000.0)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument("--tickets", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-fair-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        fifo = uvloop.run(run(Path(place), given.people, given.connections))
    figures = {
        "environment": f"{platform.machine()}, {os.cpu_count()} cores",
        "fifo": {"connections": given.connections, "runs": fifo},
        "lottery": by_lot(given.draws, given.tickets),
    }
    text = json.dumps(figures, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
