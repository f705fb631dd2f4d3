"""Measures what grows in memory and ledger under load, beside what bounds it, on the embedded servers.

    .venv/bin/python -m bench.bounded --json bench/results/bounded.json --svg bench/results/bounded.svg

Some bounds are set low for the run, so that each is reached within seconds; every curve says its bound.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import uvloop

from bench.bounded_house import SAMPLE_SECONDS, House, Read, Watch
from bench.children import ROOT
from bench.plot_bounded import Bounded, Curve, plot_bounded
from bench.report import commit, machine
from bench.say import Progress
from flashguard import FlashGuard, Settings
from flashguard.access.identities import Identities
from flashguard.embedded import EmbeddedServers
from flashguard.garbage import THRESHOLDS
from flashguard.kernel import keys
from flashguard.ledger import Ledger
from flashguard.ledger.facts import FactBook
from flashguard.ledger.webhooks import WebhookBook
from flashguard.model import CustomerId, RoomMode, WaitingRoom
from flashguard.webhooks import deliverer
from flashguard.webhooks.deliverer import Deliverer
from flashguard.webhooks.signing import new_secret

CLOSED_SECONDS: Final = 8
"""How long a closed sale stays in memory in this run; by default a day."""
KEPT: Final = 1_000
"""The rows that the webhooks' log and the feed of facts keep in this run; by default 10 million."""
FORGET_SECONDS: Final = 2.0
"""How often the deliverer deletes in this run; by default every 10 minutes."""
WINDOW_SECONDS: Final = 10
"""Of the rate limits."""
TAIL, BACKLOG = 1_000, 2_000
"""The journal's bounds in this run; by default 5,000 and 10,000 entries."""
TICKETS: Final = 10_000
CALLERS: Final = 20_000
MB: Final = 2**20


async def journal(house: House) -> list[Curve]:
    """Hold as fast as it goes; meanwhile the recorder is away for a while."""
    name = keys.journal(0)
    length = Curve(
        title="journal of a partition, entries", bound=TAIL + BACKLOG,
        by=f"tail {TAIL:,} + backlog {BACKLOG:,} (default: 5,000 + 10,000)",
    )  # fmt: skip
    size = Curve(title="the same, MB", by="with up to 32 holds in an entry")
    refused = Curve(
        title="holds refused meanwhile, in half a second", by="503 overloaded: the journal is full"
    )
    seen = [0]

    async def entries() -> float:
        return float(await house.memory.xlen(name))

    async def megabytes() -> float:
        return await house.bytes_of(name) / MB

    sale = await house.sale(hold_seconds=5)
    async with house.load(sale, "hold") as counts:

        async def refusals() -> float:
            before, seen[0] = seen[0], counts[1]
            return float(counts[1] - before)

        watch = Watch((length, entries), (size, megabytes), (refused, refusals))
        await watch.run(15)
        watch.mark("recorder away")
        await house.stop_recording()
        await watch.run(90, lambda: counts[1] > 500)
        await watch.run(5)
        watch.mark("back")
        await house.record()
        await watch.run(90, lambda: length.points[-1][1] <= TAIL + 100)
        await watch.run(10)
        length.each = round(await house.bytes_of(name) / length.points[-1][1], 1)
    await house.guard.shop.change(sale, "close")
    return [length, size, refused]


async def sale_keys(house: House) -> list[Curve]:
    """Buy, hold and let holds expire, then close the sale: its idempotency keys go with it."""
    sale = await house.sale(hold_seconds=5)
    names = keys.sale(0, sale)
    curve = Curve(title="all keys of a sale, MB", by=f"go {CLOSED_SECONDS} s after closing (default: a day)")

    async def megabytes() -> float:
        return await house.bytes_of(*names) / MB

    watch = Watch((curve, megabytes))
    async with house.load(sale, "buy"):
        await watch.run(8)
    async with house.load(sale, "hold"):
        await watch.run(8)
    await watch.run(8)
    count = await house.memory.hlen(names.reservations)
    curve.each = round(await house.bytes_of(*names) / max(1, count), 1)
    watch.mark("closed")
    await house.guard.shop.change(sale, "close")
    await watch.run(CLOSED_SECONDS + 12)
    return [curve]


async def room(house: House) -> list[Curve]:
    """Let many wait in a room, then close the sale: the room goes with it."""
    rule = WaitingRoom(mode=RoomMode.FIFO, admit_per_second=100, max_active=500, session_seconds=600)
    sale = await house.sale(waiting_room=rule, starts_at=datetime.now(UTC) + timedelta(days=1))
    names = keys.room(0, sale)
    curve = Curve(
        title=f"room with {TICKETS:,} tickets, MB",
        by=f"goes {CLOSED_SECONDS} s after closing (default: a day)",
    )

    async def megabytes() -> float:
        return await house.bytes_of(*names) / MB

    watch = Watch((curve, megabytes))
    watching = asyncio.create_task(watch.run(12))
    for first in range(0, TICKETS, 250):
        await asyncio.gather(
            *(house.guard.rooms.issue(sale, CustomerId(f"t{first + each}")) for each in range(250))
        )
    await watching
    curve.each = round(await house.bytes_of(*names) / TICKETS, 1)
    watch.mark("closed")
    await house.guard.shop.change(sale, "close")
    await watch.run(CLOSED_SECONDS + 12)
    return [curve]


async def buckets(house: House) -> list[Curve]:
    """Ask as many callers with a rate limit, each once."""
    curve = Curve(title="token buckets of rate limits", by=f"expire once full: in {WINDOW_SECONDS} s")

    async def count() -> float:
        found = [name async for name in house.memory.scan_iter(match="fg:{limits}:*", count=5_000)]
        return float(len(found))

    watch = Watch((curve, count))
    await watch.run(1)
    for first in range(0, CALLERS, 2_000):
        names = [
            keys.bucket("address", f"10.{(first + each) // 250}.0.{each % 250}") for each in range(2_000)
        ]
        requests = [(each, 2, WINDOW_SECONDS * 1000) for each in range(len(names))]
        await house.guard.kernel.spend_tokens(names, requests)
        await watch.run(SAMPLE_SECONDS)
    watch.mark("quiet")
    await watch.run(WINDOW_SECONDS + 2)
    return [curve]


async def tables(house: House) -> list[Curve]:
    """Buy while a webhook's receiver is away and the feed's reader does not read on."""
    settings = house.settings.model_copy(update={"webhook_log_messages": KEPT, "facts_kept": KEPT})
    book, connection = WebhookBook(house.ledger), await asyncpg.connect(house.database_url)
    await book.create(
        "we_away", "http://127.0.0.1:9/away", "", ["order.confirmed"], new_secret(), key=None, body=0, most=20
    )
    await FactBook(house.ledger).start()
    curves = {
        name: Curve(title=title, bound=KEPT, by=f"{KEPT:,} in this run (default: 10 million)")
        for name, title in (("webhook_deliveries", "webhooks' log, rows"), ("facts", "feed of facts, rows"))
    }

    def rows(name: str) -> Read:
        async def count() -> float:
            return float(await connection.fetchval(f"SELECT count(*) FROM flashguard.{name}"))

        return count

    deliverer.FORGET_SECONDS = FORGET_SECONDS  # type: ignore[misc]
    watch = Watch(*((curve, rows(name)) for name, curve in curves.items()))
    sale = await house.sale()
    async with house.load(sale, "buy"):
        await watch.run(12)
        watch.mark("deliverer starts")
        delivering = asyncio.create_task(Deliverer(house.ledger, settings).run())
        await watch.run(25)
    watch.mark("quiet")
    await watch.run(6)
    for name, curve in curves.items():
        await connection.execute(f"VACUUM FULL flashguard.{name}")
        size = await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", f"flashguard.{name}")
        curve.each = round(size / max(1.0, curve.points[-1][1]), 1)
    delivering.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await delivering
    await connection.close()
    return list(curves.values())


async def failed_connections(_: House) -> list[Curve]:
    """Fail to connect 4,000 times, as an API does while PostgreSQL is away."""
    curves = []
    for objects, when in ((50_000, "before"), (THRESHOLDS[0], "now")):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.failed_connections", str(objects), cwd=ROOT, stdout=PIPE
        )
        said, _error = await child.communicate()
        title = f"4,000 failed connections, MB ({when})"
        by = f"the collector runs at {objects:,} objects"
        curves.append(Curve(title=title, by=by, points=json.loads(said)))
    top = max(value for curve in curves for _, value in curve.points)
    return [msgspec.structs.replace(curve, top=top) for curve in curves]


EXPERIMENTS = {
    each.__name__: each for each in (journal, sale_keys, room, buckets, tables, failed_connections)
}


async def measure(folder: Path, names: list[str], progress: Progress) -> list[Curve]:
    async with EmbeddedServers(folder) as servers:
        ledger = await Ledger.connect(servers.database_url, prepared=True)
        await ledger.migrate(1)
        settings = Settings(
            redis_url=servers.redis_url, database_url=servers.database_url, embedded=True,
            closed_sale_hours=CLOSED_SECONDS / 3600, webhook_private_addresses=True,
            journal_tail_entries=TAIL, max_backlog_entries=BACKLOG,
        )  # fmt: skip
        identities = Identities()
        async with await FlashGuard.connect(settings, ring=identities.ring) as guard:
            house = House(servers, guard, ledger, settings)
            await house.record()
            try:
                async with identities.following(ledger):
                    while not (await guard.kernel.head(0)).get("epoch"):
                        await asyncio.sleep(0.1)
                    found = []
                    for name in names:
                        progress.say(f"{name}: {EXPERIMENTS[name].__doc__}")
                        found += await EXPERIMENTS[name](house)
                    return found
            finally:
                await house.close()
                await ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.bounded", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", nargs="*", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--json", type=Path, help="with --only, the other curves of this file stay")
    parser.add_argument("--svg", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-bounded-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        curves = uvloop.run(measure(Path(place) / "data", given.only, Progress()))
    if given.json and given.json.exists() and len(given.only) < len(EXPERIMENTS):
        new = {curve.title: curve for curve in curves}
        old = msgspec.json.decode(given.json.read_bytes(), type=Bounded).curves
        curves = [new.pop(each.title, each) for each in old] + list(new.values())
    found = Bounded(
        commit=commit(), at=datetime.now(UTC).isoformat(timespec="seconds"), machine=machine(),
        load_average=round(os.getloadavg()[0], 1), curves=curves,
    )  # fmt: skip
    for curve in curves:
        most, last = max(value for _, value in curve.points), curve.points[-1][1]
        each = f", {curve.each:,.0f} bytes each" if curve.each else ""
        print(f"{curve.title}: most {most:,.1f}, last {last:,.1f}{each}; {curve.by}")
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=0) + b"\n")
    if given.svg:
        given.svg.write_text(plot_bounded(found))


if __name__ == "__main__":
    main()
