"""The scenarios that wrk alone can run: buy, hold, hold + confirm, sold-out, replay, read, spread."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

import aiohttp

from bench import wrk
from bench.house import House, Service, Target
from bench.measure import Committed, rounds, variables, warm
from bench.rows import Row
from bench.say import Progress

BUY_RIVALS = (
    "row-lock", "row-lock+lane", "conditional-update", "skip-locked", "redis-lua", "redis-lua+lane",
    "sql-batched", "sql-batched+lane", "sql-batched×2", "sql-batched-bare", "sql-batched-bare×2",
)  # fmt: skip
BUY_TARGETS = ("flashguard", *BUY_RIVALS, "flashguard×2", "floor")
HOLD_TARGETS = ("flashguard", "evalsha-hold", "floor")
REPLAY_KEYS = 1_000
BATCH_SIZES = (64, 1_000)
SPREAD_SKUS = 1_000


@dataclass(frozen=True)
class Bench:
    """What every scenario receives."""

    house: House
    service: Service
    recorder_pid: int
    progress: Progress
    seconds: int = 3
    times: int = 1
    """Rounds."""
    connections: tuple[int, ...] = (256,)
    only: tuple[str, ...] = ()
    """Targets to measure; empty: all."""

    @property
    def servers(self) -> dict[str, int]:
        """Return the recorder and both servers: what the library needs, without the API."""
        return {name: pid for name, pid in self.service.parts.items() if name != "api"}

    def wants(self, target: str) -> bool:
        return not self.only or target in self.only

    async def measured(self, scenario: str, targets: Sequence[tuple[Target, Committed | None]]) -> list[Row]:
        """Measure all targets at all numbers of connections."""
        rows: list[Row] = []
        for connections in self.connections:
            rows += await rounds(
                scenario, targets, connections=connections, seconds=self.seconds,
                times=self.times, progress=self.progress,
            )  # fmt: skip
        return rows


async def open_targets(bench: Bench, stack: AsyncExitStack, names: Sequence[str], noun: str) -> list[
    tuple[Target, Committed | None]
]:  # fmt: skip
    """Start the selected targets; yield each with a function that counts its commits."""
    targets: list[tuple[Target, Committed | None]] = []
    for name in filter(bench.wants, names):
        bench.progress.doing(f"starting {name}")
        kind, _, workers = name.partition("×")
        if kind == "flashguard":
            service = bench.service
            if workers:
                service = await stack.enter_async_context(
                    bench.house.api(bench.recorder_pid, workers=int(workers))
                )
            targets.append(await sale_target(service, noun))
        elif kind in ("floor", "evalsha-hold"):
            target = await stack.enter_async_context(bench.house.small(kind.replace("-", "_")))
            targets.append((target, None))
        else:
            house = bench.house
            rival = house.bare if kind == "sql-batched-bare" else partial(house.rival, kind)
            target = await stack.enter_async_context(rival(workers=int(workers or 1)))
            targets.append((target, rival_orders(target)))
    await warm([target for target, _ in targets])
    return targets


async def sale_target(service: Service, noun: str) -> tuple[Target, Committed | None]:
    sale = await service.sale()

    async def committed() -> int:
        return await service.committed(sale)

    return service.press(sale, noun), committed if noun == "orders" else None


def rival_orders(target: Target) -> Callable[[], Awaitable[int]]:
    async def orders() -> int:
        async with aiohttp.ClientSession() as http, http.get(f"{target.url}/truth") as answer:
            return int((await answer.json())["orders"])

    return orders


async def buy(bench: Bench) -> list[Row]:
    """Measure durable buys of one hot item: FlashGuard's, and every other way that a shop may use."""
    async with AsyncExitStack() as stack:
        return await bench.measured("buy", await open_targets(bench, stack, BUY_TARGETS, "orders"))


async def hold(bench: Bench) -> list[Row]:
    """Holds of one hot item."""
    async with AsyncExitStack() as stack:
        return await bench.measured("hold", await open_targets(bench, stack, HOLD_TARGETS, "reservations"))


async def hold_confirm(bench: Bench) -> list[Row]:
    """Measure a hold, then its confirm. The rate is that of the confirms; the holds are beside them."""
    target = bench.service.press(await bench.service.sale(), "reservations")
    target = replace(target, script="hold_confirm", good=("200", "201"))
    await warm([target])
    rows = await bench.measured("hold+confirm", [(target, None)])
    for row in rows:
        row.more = {
            "holds_per_second": round(row.answers.get("201", 0) / row.seconds, 1),
            "durable_confirmations_per_second": round(row.answers.get("200", 0) / row.seconds, 1),
        }
        row.per_second = row.more["durable_confirmations_per_second"]
    return rows


async def sold_out(bench: Bench) -> list[Row]:
    """Measure rejections of a crowd that comes after the last unit, beside holds while there are units."""
    empty = await bench.service.sale(stock=0)
    nothing = replace(bench.service.press(empty, "reservations"), name="sold-out", good=("409 sold-out",))
    plenty = replace(bench.service.press(await bench.service.sale(), "reservations"), name="hold")
    await warm([nothing, plenty])
    return await bench.measured("sold-out", [(nothing, None), (plenty, None)])


async def replay(bench: Bench) -> list[Row]:
    """Measure replays: earlier buys, repeated with their keys."""
    target = bench.service.press(
        await bench.service.sale(), "orders", KEYS=str(REPLAY_KEYS), RUN="replay", REPLAYS="1"
    )
    await wrk.run(target.url, target.script, variables(target), connections=64, seconds=1)
    return await bench.measured("replay", [(replace(target, good=("201 replayed",)), None)])


async def read(bench: Bench) -> list[Row]:
    """Measure reads of a sale with its current stock, by callers without and with the newest answer."""
    sale = await bench.service.sale()
    targets = [bench.service.read(sale), await bench.service.read_again(sale)]
    return await bench.measured("read", [(target, None) for target in targets])


async def batch(bench: Bench) -> list[Row]:
    """Measure batches of holds by a gateway with few connections. The rate is that of holds in effect."""
    targets: list[tuple[Target, Committed | None]] = []
    for size in BATCH_SIZES:
        sale = await bench.service.sale()
        targets.append((bench.service.batch(sale, "reservations", size), partial(bench.service.taken, sale)))
    rows = await bench.measured("batch", targets)
    for row in rows:
        row.more = {"calls_per_second": row.per_second}
        row.per_second = round((row.committed or 0) / row.seconds, 1)
    return rows


async def spread(bench: Bench) -> list[Row]:
    """Holds of one hot item, and of 1,000 items in turn."""
    one = replace(bench.service.press(await bench.service.sale(), "reservations"), name="1 item")
    sale = await bench.service.sale(skus=SPREAD_SKUS)
    many = replace(
        bench.service.press(sale, "reservations", SKUS=str(SPREAD_SKUS)), name=f"{SPREAD_SKUS:,} items"
    )
    await warm([one, many])
    return await bench.measured("spread", [(one, None), (many, None)])
