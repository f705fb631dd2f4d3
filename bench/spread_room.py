"""Measures one crowd in the room of a sale that is spread, and of one that is not, in turns of one run.

`bench/waiting_room.py --spread N` runs it. Both rooms are filled through the library. Then, with both crowds
there, joins and polls come over HTTP to one API process, in slices that take turns; last come event streams,
fewer than the crowd. CPU is that of processes, without what they spend on both rooms while no request comes.
"""

import asyncio
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from redis.asyncio import Redis

from bench import wrk
from bench.cpu import tree_seconds
from bench.limits import KEY, ready, start
from bench.report import commit, machine
from bench.say import Progress
from flashguard import FlashGuard, NewSale, Settings
from flashguard.access.identities import Identities
from flashguard.embedded import EmbeddedServers
from flashguard.kernel import keys
from flashguard.ledger import Ledger
from flashguard.model import (
    CustomerId,
    Item,
    MinorUnits,
    Refused,
    RoomMode,
    SaleId,
    Sku,
    WaitingRoom,
    partition_of,
)
from flashguard.model.shards import shard_ids

PORT: Final = 18_360
PARTITIONS: Final = 16
CHUNK: Final = 5_000
"""Tickets of one sale before it is the other's turn."""
AT_ONCE: Final = 256
CONNECTIONS: Final = 64
CONNECTS_AT_ONCE: Final = 100
MOST_SECONDS: Final = 1_500.0
SETTLE_SECONDS: Final = 1.0
UNITS: Final = 1_000_000
ASKED: Final = 500
"""Tickets whose answers are read for their size and their interval."""
PARTS: Final = ("api", "recorder", "valkey")


class Plan(msgspec.Struct, frozen=True):
    """The size of a run."""

    people: int = 100_000
    spread: int = 4
    seconds: int = 4
    turns: int = 3
    streams: int = 2_000
    admit_per_second: int = 20


class Stream(asyncio.Protocol):
    """Reads an event stream, and counts its bytes and its places."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.bytes = 0
        self.places = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        self.places += data.count(b"event: place")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


class Bench:
    """The processes, both sales, and their tickets."""

    def __init__(
        self, plan: Plan, guard: FlashGuard, http: aiohttp.ClientSession, folder: Path, memory: Redis
    ) -> None:
        self._plan = plan
        self._guard = guard
        self._memory = memory
        self._http = http
        self._folder = folder
        self._url = f"http://127.0.0.1:{PORT}"
        self._headers = {"Authorization": f"Bearer {KEY}"}
        self.pids: dict[str, int] = {}
        self.say = Progress()
        self.sales = {1: f"room-{uuid.uuid4().hex[:8]}", plan.spread: f"room-{uuid.uuid4().hex[:8]}"}
        self.tickets: dict[int, list[str]] = {spread: [] for spread in self.sales}
        self.rest: dict[str, float] = {}
        """CPU seconds per second of each part, with both crowds and no request."""

    async def open_sale(self, spread: int) -> None:
        item = Item(sku=Sku("unit"), name="Unit", price_minor=MinorUnits(1), currency="EUR", stock=UNITS)
        room = WaitingRoom(
            mode=RoomMode.FIFO,
            admit_per_second=self._plan.admit_per_second,
            max_active=UNITS,
            session_seconds=3_600,
        )
        sale = SaleId(self.sales[spread])
        new = NewSale(name="Crowd", items=(item,), id=sale, waiting_room=room, spread=spread)
        for answer in (await self._guard.shop.create_sale(new), await self._guard.shop.change(sale, "open")):
            assert not isinstance(answer, Refused), answer

    async def fill(self) -> dict[int, float]:
        """Let both crowds come in turns; return Valkey's bytes per ticket of each."""
        for first in range(0, self._plan.people, CHUNK):
            count = min(CHUNK, self._plan.people - first)
            for spread, sale in self.sales.items():
                names = iter([CustomerId(f"c{first + n:07}") for n in range(count)])
                await asyncio.gather(*(self._join(SaleId(sale), spread, names) for _ in range(AT_ONCE)))
            self.say.say(f"{first + count:,} people in each room")
        return {spread: round(await self._room_bytes(spread) / self._plan.people, 1) for spread in self.sales}

    async def _join(self, sale: SaleId, spread: int, names: Iterator[CustomerId]) -> None:
        for name in names:
            answer = await self._guard.rooms.issue(sale, name)
            assert isinstance(answer, tuple), answer
            self.tickets[spread].append(answer[0].id)

    def _waiting(self, spread: int) -> list[str]:
        """Return tickets whose turn does not come in this run: one that is not fetched is lost."""
        return self.tickets[spread][self._plan.people // 2 :]

    async def _room_bytes(self, spread: int) -> int:
        """Return the bytes of the room's keys: those of all data also change with the journal."""
        found = 0
        for shard in shard_ids(SaleId(self.sales[spread]), spread):
            for name in keys.room(partition_of(shard, PARTITIONS), shard):
                found += await self._memory.memory_usage(name, samples=0) or 0
        return found

    def cpu(self) -> dict[str, float]:
        return {name: tree_seconds(self.pids[name]) for name in PARTS}

    async def at_rest(self) -> dict[str, float]:
        """Return the CPU seconds of each part per second while no request comes."""
        before, began = self.cpu(), time.monotonic()
        await asyncio.sleep(self._plan.seconds)
        after, seconds = self.cpu(), time.monotonic() - began
        return {name: (after[name] - before[name]) / seconds for name in PARTS}

    async def slice_of(self, what: str, spread: int) -> dict[str, float]:
        """Send joins or polls as fast as they are answered; return their rate and the CPU of each."""
        path = f"/v1/sales/{self.sales[spread]}/tickets"
        variables = {"AUTH": f"Bearer {KEY}", "RUN": uuid.uuid4().hex[:8], "BODY": '{"customer":"%s"}'}
        variables["PATH"] = path if what == "join" else f"{path}/"
        if what == "poll":
            ids = self._folder / "ids"
            ids.write_text("\n".join(self._waiting(spread)))
            variables["IDS"] = str(ids)
        before, began = self.cpu(), time.monotonic()
        count = await wrk.run(
            self._url, "press" if what == "join" else "poll", variables,
            connections=CONNECTIONS, seconds=self._plan.seconds,
        )  # fmt: skip
        await asyncio.sleep(SETTLE_SECONDS)
        spent, seconds = self._spent(before), time.monotonic() - began
        answers = sum(count.answers.values())
        assert set(count.answers) <= {"200", "201"}, count
        row = {
            f"{name}_cpu_us": (cpu - seconds * self.rest[name]) / answers * 1e6 for name, cpu in spent.items()
        }
        return {"per_second": answers / count.seconds, "p99_ms": count.p99_ms} | row

    def _spent(self, before: dict[str, float]) -> dict[str, float]:
        return {name: after - before[name] for name, after in self.cpu().items()}

    async def sizes(self, spread: int) -> dict[str, float]:
        """Return the bytes of a poll, and the interval that its buyer is told, of a sample of the crowd."""
        tickets = self._waiting(spread)
        waits, bytes_ = [], []
        for ticket in tickets[:: max(1, len(tickets) // ASKED)]:
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            writer.write(self._request(spread, ticket))
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            body = await reader.readexactly(length)
            writer.close()
            place = msgspec.json.decode(body)
            if place["status"] == "waiting":
                waits.append(place["poll_after_seconds"])
                bytes_.append(len(self._request(spread, ticket)) + len(head) + length)
        a_poll, after = statistics.mean(bytes_), statistics.median(waits)
        polls = statistics.mean(60 / each for each in waits)
        return {
            "bytes_of_a_poll": round(a_poll), "poll_after_seconds": after,
            "bytes_per_person_per_minute": round(a_poll * polls),
        }  # fmt: skip

    def _request(self, spread: int, ticket: str, more: str = "") -> bytes:
        path = f"/v1/sales/{self.sales[spread]}/tickets/{ticket}{more}"
        host = urlsplit(self._url).netloc
        return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()

    async def listen(self, spread: int) -> dict[str, float]:
        """Let a part of the crowd listen; return bytes and CPU of each listener."""
        loop, tickets = asyncio.get_running_loop(), self.tickets[spread][-self._plan.streams :]
        streams = [Stream(self._request(spread, ticket, "/events")) for ticket in tickets]
        for at in range(0, len(streams), CONNECTS_AT_ONCE):
            some = streams[at : at + CONNECTS_AT_ONCE]
            await asyncio.gather(
                *(loop.create_connection(lambda each=each: each, "127.0.0.1", PORT) for each in some)
            )
        async with asyncio.timeout(60):
            while not all(each.places for each in streams):
                await asyncio.sleep(0.1)
        await asyncio.sleep(SETTLE_SECONDS)
        before, began = self.cpu(), time.monotonic()
        bytes_, places = sum(each.bytes for each in streams), sum(each.places for each in streams)
        await asyncio.sleep(3 * self._plan.seconds)
        spent, minutes = self._spent(before), (time.monotonic() - began) / 60
        listening = minutes * len(streams)
        row = {
            "streams": len(streams),
            "lost": sum(each.lost for each in streams),
            "bytes_per_person_per_minute": round((sum(each.bytes for each in streams) - bytes_) / listening),
            "places_per_person_per_minute": round(
                (sum(each.places for each in streams) - places) / listening, 1
            ),
        } | {
            f"{name}_cpu_ms_per_person_per_minute": round(
                (cpu - minutes * 60 * self.rest[name]) / listening * 1e3, 2
            )
            for name, cpu in spent.items()
        }
        for each in streams:
            each.transport.close()
        await asyncio.sleep(SETTLE_SECONDS)
        return row


@asynccontextmanager
async def running(plan: Plan, folder: Path) -> AsyncIterator[Bench]:
    """Run servers, a recorder and one API process."""
    async with EmbeddedServers(folder / "data") as servers, aiohttp.ClientSession() as http:
        ledger = await Ledger.connect(servers.database_url)
        await ledger.migrate(PARTITIONS)
        await ledger.close()
        env = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")} | {
            "FLASHGUARD_REDIS_URL": servers.redis_url,
            "FLASHGUARD_DATABASE_URL": servers.database_url,
            "FLASHGUARD_ADMIN_KEY": KEY,
            "FLASHGUARD_EMBEDDED": "true",
            "FLASHGUARD_LOG_LEVEL": "warning",
            "FLASHGUARD_MAX_VIEWERS": str(plan.streams + 100),
            "FLASHGUARD_PORT": str(PORT),
        }
        children = {name: start(name, env) for name in ("recorder", "api")}
        settings = Settings(redis_url=servers.redis_url, database_url=servers.database_url, embedded=True)
        try:
            await ready(http, f"http://127.0.0.1:{PORT}")
            identities = Identities()
            async with (
                await FlashGuard.connect(settings, ring=identities.ring) as guard,
                identities.following(guard.ledger),
                Redis.from_url(servers.redis_url) as memory,
            ):
                bench = Bench(plan, guard, http, folder, memory)
                bench.pids = {name: child.pid for name, child in children.items()}
                bench.pids["valkey"] = servers.valkey.pid
                yield bench
        finally:
            for child in children.values():
                child.terminate()
            for child in children.values():
                child.wait(30)


async def measure(plan: Plan) -> dict[str, Any]:
    """Run everything; it ends by itself."""
    with tempfile.TemporaryDirectory(prefix="fg-rooms-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        async with asyncio.timeout(MOST_SECONDS), running(plan, Path(place)) as bench:
            return await _measured(plan, bench)


async def _measured(plan: Plan, bench: Bench) -> dict[str, Any]:
    rests = {"no room": await bench.at_rest()}
    for spread in bench.sales:
        await bench.open_sale(spread)
    ticket_bytes = await bench.fill()
    await asyncio.sleep(SETTLE_SECONDS)
    bench.rest = rests["both rooms"] = await bench.at_rest()
    rows: dict[str, dict[int, list[dict[str, float]]]] = {}
    for turn in range(plan.turns):
        for spread in bench.sales if turn % 2 == 0 else reversed(bench.sales):
            for what in ("join", "poll"):
                row = await bench.slice_of(what, spread)
                rows.setdefault(what, {}).setdefault(spread, []).append(row)
                bench.say.say(
                    f"turn {turn + 1}, spread {spread}, {what}: {row['per_second']:,.0f} per second"
                )
    found: dict[str, Any] = {}
    for spread in bench.sales:
        found[str(spread)] = {
            what: {
                name: round(statistics.median(row[name] for row in of[spread]), 1) for name in of[spread][0]
            }
            for what, of in rows.items()
        } | {"valkey_bytes_per_ticket": ticket_bytes[spread], "polling": await bench.sizes(spread)}
    for spread in bench.sales:
        found[str(spread)]["listening"] = row = await bench.listen(spread)
        bench.say.say(
            f"spread {spread}, {row['streams']:,} streams: {row['bytes_per_person_per_minute']:,} bytes"
        )
    return {
        "commit": commit(), "machine": machine(), "people": plan.people,
        "admit_per_second": plan.admit_per_second, "connections": CONNECTIONS,
        "cpu_ms_per_second_at_rest": {
            name: {part: round(cpu * 1e3, 1) for part, cpu in rest.items()} for name, rest in rests.items()
        },
        "spread": found,
        "spread_times_unspread": {what: times(found, what, plan.spread) for what in ("join", "poll")},
    }  # fmt: skip


def times(found: dict[str, Any], what: str, spread: int) -> dict[str, float]:
    """Return how many times the CPU of an unspread sale a spread one takes for a join or a poll."""
    unspread, of_spread = found["1"][what], found[str(spread)][what]
    return {
        part: round(of_spread[f"{part}_cpu_us"] / max(unspread[f"{part}_cpu_us"], 0.1), 2)
        for part in ("api", "valkey")
    }
