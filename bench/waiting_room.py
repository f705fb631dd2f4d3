"""Measures a hundred thousand buyers in one waiting room, on the embedded servers.

    .venv/bin/python bench/waiting_room.py --json bench/results/waiting_room.json

Tickets and polls go through the library (`guard.rooms`) in one process, like in the API: the figures are
those of the room, without HTTP. With `--spread N` two crowds over HTTP instead, one in a spread sale:
`bench/spread_room.py`.

    .venv/bin/python -m bench.waiting_room --spread 4 --json bench/results/room_spread.json
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from bench import spread_room
from flashguard import FlashGuard, Line, NewSale, Settings
from flashguard.access.identities import Identities
from flashguard.embedded import EmbeddedServers
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import CustomerId, Granted, Item, MinorUnits, RoomMode, SaleId, Sku, WaitingRoom
from flashguard.recorder import Recorder
from flashguard.valkey.connect import connect_kernel
from flashguard.waiting.room import Place

AT_ONCE = 512
UNITS = 1_000


async def crowd(ids: list[str], each: Callable[[str], Awaitable[Any]]) -> list[Any]:
    """Call once per buyer, a bounded number at a time; return the answers in order."""
    answers: list[Any] = [None] * len(ids)
    todo = iter(enumerate(ids))

    async def one() -> None:
        for n, id_ in todo:
            answers[n] = await each(id_)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return answers


class Watch:
    """Wall and CPU time of this process and of Valkey, between two readings."""

    def __init__(self, guard: FlashGuard) -> None:
        self._guard = guard

    async def __aenter__(self) -> "Watch":
        self._started = await self._now()
        return self

    async def __aexit__(self, *_: object) -> None:
        ended = await self._now()
        self.seconds, self.own, self.memory = (b - a for a, b in zip(self._started, ended, strict=True))

    async def _now(self) -> tuple[float, float, float]:
        cpu = await self._guard.kernel.info("cpu")
        used = resource.getrusage(resource.RUSAGE_SELF)
        valkey = float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])
        return time.perf_counter(), used.ru_utime + used.ru_stime, valkey

    def per(self, count: int) -> dict[str, float]:
        return {
            "per_second": round(count / self.seconds),
            "own_cpu_us": round(self.own / count * 1e6, 1),
            "valkey_cpu_us": round(self.memory / count * 1e6, 1),
        }


async def used_memory(guard: FlashGuard) -> int:
    return int((await guard.kernel.info("memory"))["used_memory"])


async def measure(guard: FlashGuard, people: int, mode: RoomMode) -> dict[str, Any]:
    sale = SaleId(f"crowd-{mode}")
    item = Item(sku=Sku("unit"), name="Unit", price_minor=MinorUnits(100), currency="EUR", stock=UNITS)
    room = WaitingRoom(mode=mode, admit_per_second=100_000, max_active=UNITS, session_seconds=600)
    later = datetime.now(UTC) + timedelta(days=1)
    new = NewSale(name="Crowd", items=(item,), id=sale, waiting_room=room, starts_at=later)
    await guard.shop.create_sale(new)
    await guard.shop.change(sale, "open")
    names = [f"customer-{n:07}" for n in range(people)]
    rooms = guard.rooms

    async def take(name: str) -> Place:
        answer = await rooms.issue(sale, CustomerId(name))
        assert isinstance(answer, tuple), answer
        return answer[0]

    async def look(ticket: str) -> Place:
        answer = await rooms.poll(sale, ticket)
        assert isinstance(answer, Place), answer
        return answer

    before = await used_memory(guard)
    async with Watch(guard) as joining:
        tickets = [place.id for place in await crowd(names, take)]
    bytes_each = (await used_memory(guard) - before) / people
    async with Watch(guard) as waiting:
        await crowd(tickets, look)
    await guard.shop.change(sale, "patch", starts_at=None)
    async with Watch(guard) as opened:
        places = await crowd(tickets, look)
    inside = [place for place in places if place.status == "admitted"]
    assert len(inside) == UNITS, len(inside)
    positions = sorted(place.position for place in places if place.position is not None)
    assert positions[-1] == people - UNITS
    names_of = dict(zip(tickets, names, strict=True))

    async def buy(place: Place) -> None:
        name = names_of[place.id]
        until = rooms.admitted_until(sale, name, place.admission or "")
        outcome = await guard.buy(sale, name, [Line(Sku("unit"), 1)], admitted_until=until)
        assert isinstance(outcome, Granted), outcome
        await rooms.leave(sale, place.id, units=1)

    await asyncio.gather(*map(buy, inside))
    still = [place.id for place in places if place.status == "waiting"]
    async with Watch(guard) as telling:
        told = await crowd(still, look)
    assert {place.outlook for place in told} == {"sold-out"}
    return {
        "people": people,
        "join": joining.per(people),
        "look_before_opening": waiting.per(people),
        "look_after_opening": opened.per(people),
        "told_sold_out": telling.per(len(still)) | {"seconds": round(telling.seconds, 2)},
        "valkey_bytes_per_waiting_buyer": round(bytes_each),
    }


@asynccontextmanager
async def serving(folder: Path, connections: int = 1) -> AsyncIterator[list[FlashGuard]]:
    """Run servers and a recorder, and yield this many FlashGuards on them."""
    async with EmbeddedServers(folder / "data") as servers:
        ledger = await Ledger.connect(servers.database_url, prepared=True)
        await ledger.migrate(1)
        settings = Settings(redis_url=servers.redis_url, database_url=servers.database_url, embedded=True)
        client = connect_kernel(servers.redis_url, settings)
        recorder = asyncio.create_task(Recorder(Kernel(client), ledger, settings, 1).run())
        identities = Identities()
        try:
            async with AsyncExitStack() as open_now:
                guards = [
                    await open_now.enter_async_context(
                        await FlashGuard.connect(settings, ring=identities.ring)
                    )
                    for _ in range(connections)
                ]
                await open_now.enter_async_context(identities.following(guards[0].ledger))
                while not (await guards[0].kernel.head(0)).get("epoch"):
                    await asyncio.sleep(0.1)
                yield guards
        finally:
            recorder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await recorder
            await client.aclose()
            await ledger.close()


async def run(folder: Path, people: int) -> dict[str, Any]:
    async with serving(folder) as [guard]:
        return {mode.value: await measure(guard, people, mode) for mode in RoomMode}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--spread", type=int, help="compare with a sale that is spread over this many shards")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.spread:
        write(uvloop.run(spread_room.measure(spread_room.Plan(given.people, given.spread))), given.json)
        return
    with tempfile.TemporaryDirectory(prefix="fg-room-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        found = uvloop.run(run(Path(place), given.people))
    write({"environment": f"{platform.machine()}, {os.cpu_count()} cores", "room": found}, given.json)


def write(result: dict[str, Any], file: Path | None) -> None:
    text = json.dumps(result, indent=2)
    print(text)
    if file:
        file.write_text(text + "\n")


if __name__ == "__main__":
    main()
