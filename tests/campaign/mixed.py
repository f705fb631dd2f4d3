"""Rounds of the mixed load with one fault each, and a check; `make chaos` runs it after the fault campaign.

A seed and a number reproduce the clients' requests and the faults with their times. How the requests
interleave depends on the machine.
"""

import argparse
import asyncio
import math
import random
import shutil
import signal
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from redis.asyncio import Redis

from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from tests.campaign.campaign import keep_logs, make_folder
from tests.campaign.checker import Violation
from tests.campaign.list_check import IdleUnits
from tests.campaign.mixed_check import SaleState, bound_seconds, check, grants_of, waiting_for_free
from tests.campaign.mixed_payments import Payers
from tests.campaign.mixed_reading import partitions_of, read, rebuilds
from tests.campaign.mixed_shop import Known, Shop
from tests.campaign.mixed_verbs import FAIR, PLAIN, RULES, WIDE
from tests.campaign.processes import hit
from tests.campaign.room_watch import RoomWatch, let_in_twice, pace_broken, too_many_inside
from tests.campaign.stock_watch import StockWatch
from tests.campaign.up_stack import START_SECONDS, UpStack, until_ready
from tests.support.stand_in import StandIn, standing_in

SELL_SECONDS: Final = 2.5
READY_SECONDS: Final = 60.0
QUIET_SECONDS: Final = 45.0
ADMISSIONS_MOST: Final = 5
UNITS_EACH: Final = 4
REBUILDS_MOST: Final = 40
"""Rebuilds in one round, over all partitions: an endless one makes several per second."""
FAULTS: Final = (
    "kill valkey", "key lost: items", "key lost: line", "kill postgres", "kill recorder", "kill api",
    "key lost: reservations", "flushall", "kill deliverer", "none", "key lost: reservations, unheard",
)  # fmt: skip
FORGETTING: Final = {fault for fault in FAULTS if fault == "flushall" or fault.startswith("key lost")}
UNHEARD_SECONDS: Final = 2.0
KINDS: Final = (PLAIN, FAIR, WIDE)


async def strike(stack: UpStack, fault: str, known: Known, partitions: int) -> None:
    """Cause the fault of this name; a lost key is one of this sale."""
    what, _, which = fault.partition(" ")
    if what == "kill":
        hit(signal.SIGKILL, *stack.processes_of(which)[:1])
        return
    if what == "none":
        return
    client = Redis(unix_socket_path=stack.memory_socket)
    try:
        if fault == "flushall":
            await client.flushall()
            return
        sale = SaleId(known.id)
        names = keys.sale(partition_of(sale, partitions), sale)
        if fault.endswith("items"):
            await client.hdel(names.sale, "item:a")
        else:
            await client.delete(names.reservations if "reservations" in fault else names.queue)
        until = time.monotonic() + (UNHEARD_SECONDS if fault.endswith("unheard") else 0.0)
        while time.monotonic() < until:  # what the recorder announces meanwhile is lost
            await client.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.005)
    finally:
        await client.aclose()


def is_quiet(final: SaleState) -> bool:
    """Return whether nothing is pending: no hold, no entry to serve, ledger and memory equal."""
    return final.ledger == final.memory and not any(
        held or any(sku == its and stock - sold >= n for its, n in final.waiting.values())
        for sku, (stock, held, sold) in final.ledger.items()
    )


async def sell_out(shop: Shop, kind: str) -> list[Violation]:
    """Let new buyers buy all remaining units: a unit that can't be bought is a broken promise."""
    known = shop[kind]
    seen = await shop.must("GET", f"sales/{known.id}")
    for item in seen["items"]:
        left = item["available"]
        while left > 0:
            units = min(left, UNITS_EACH if known.room else 1)  # the room admits few at a time
            customer = f"newcomer-{item['sku']}-{left}"
            for _ in range(ADMISSIONS_MOST):
                admission = await shop.admit(known, customer) if known.room else None
                got = await shop.take("buy", known, customer, ((item["sku"], units),), admission=admission)
                if got.word != "queue-required":
                    break  # otherwise its session ended, on a slow machine
            if got.word != "confirmed":
                return [Violation("stuck", f"{kind}: {left} of {item['sku']} are free, and {got.word}")]
            left -= units
    return []


class Round(msgspec.Struct):
    """One round's result."""

    number: int
    fault: str
    violations: list[Violation]
    answers: int = 0
    orders: int = 0
    rebuilds: int = 0
    idle_seconds: float = 0.0
    """The longest time that units were free beside an entry that they fitted, once all servers were back."""
    seconds: float = 0.0
    payments: str = ""


async def play(
    stack: UpStack, provider: StandIn, seed: str, number: int, fault: str, partitions: int
) -> Round:
    """Create three sales, sell, cause a fault in the middle, wait until nothing is pending, and check."""
    started, rng = time.monotonic(), random.Random(f"{seed}/{number}/mixed")
    result = Round(number, fault, [])
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=5)
    ) as http:
        shop = Shop(stack, f"{seed}/{number}", http)
        stock = rng.randint(6, 20)
        before = await rebuilds(stack)
        spread = 3 if number % 2 else 1  # a room and a list over shards
        for kind in KINDS:
            rules: dict[str, Any] = {"spread": spread} if kind == FAIR else {}
            if number % 3 == 2 and kind == FAIR:
                rules["waiting_room"] = RULES[FAIR]["waiting_room"] | {"shared": True}
            elif number % 3 == 2 and kind == WIDE:
                rules["room"] = shop[FAIR].id
            await shop.create(kind, f"m{number}-{zlib.crc32(seed.encode()):x}-{kind}", stock, **rules)
        watch = RoomWatch(stack.memory_socket, shop[FAIR].id, spread, partitions)
        stocks = StockWatch(
            stack.memory_socket,
            {shop[PLAIN].id: 1, shop[FAIR].id: spread, shop[WIDE].id: RULES[WIDE]["spread"]}, partitions,
        )  # fmt: skip
        watching = [asyncio.create_task(each.run()) for each in (watch, stocks)]
        payers = Payers(stack, shop, provider, http, f"{seed}/{number}")
        selling = asyncio.gather(shop.run(), payers.run())
        try:
            await asyncio.sleep(rng.uniform(0.3, 0.7) * SELL_SECONDS)
            shop.wary_until = time.monotonic() + SELL_SECONDS
            await strike(stack, fault, shop[rng.choice(KINDS)], partitions)
            await asyncio.sleep(SELL_SECONDS)
            await until_ready(stack, READY_SECONDS)
            await asyncio.sleep(SELL_SECONDS / 2)
        finally:
            shop.closing = True
            await selling
            for each in watching:
                each.cancel()
        await payers.settled()
        room = RULES[FAIR]["waiting_room"]
        broken = [*pace_broken(watch.samples, room["admit_per_second"], grants=spread > 1 or number % 3 == 2)]
        if fault not in FORGETTING:
            broken += [*too_many_inside(watch.samples, room["max_active"]), *shop.lost_admissions]
        broken += let_in_twice(watch.samples)
        result.violations += [Violation("room", what) for what in broken]
        result.violations += [Violation("promised twice", what) for what in stocks.found.values()]
        finals, idle = await quiet(stack, shop, stock, {FAIR: spread, WIDE: RULES[WIDE]["spread"]})
        result.idle_seconds = max(each.worst for each in idle)
        result.violations += [Violation(*found) for each in idle for found in each.violations()]
        result.violations += await payers.check(finals)
        result.payments = payers.paid.summary
        for final in finals:
            sale = shop[final.kind].id
            result.violations += check(shop.asked, sale, final, memory_forgets=fault in FORGETTING)
            changed = await shop.repeat_all(final.kind)
            result.violations += [
                Violation("two outcomes", f"when all was quiet: {what}") for what in changed
            ]
            grants = grants_of([each for each in shop.asked if each.sale == sale], final)
            result.violations += [Violation("out of turn", what) for what in stocks.given_away(sale, grants)]
            result.violations += await sell_out(shop, final.kind)
            result.orders += sum(status == "confirmed" for _, status, _ in final.rows.values())
        for kind in reversed(KINDS):  # a room ends after the sales that share it
            await shop.must("POST", f"sales/{shop[kind].id}/close")
        result.answers = len(shop.asked)
        result.rebuilds = await rebuilds(stack) - before
        if result.rebuilds > REBUILDS_MOST:
            result.violations.append(Violation("rebuilt again and again", f"{result.rebuilds} times"))
    result.seconds = time.monotonic() - started
    return result


async def quiet(
    stack: UpStack, shop: Shop, stock: int, spread: dict[str, int]
) -> tuple[list[SaleState], list[IdleUnits]]:
    """Return the state of all sales once nothing is pending, or after the time limit, and how long units were
    free beside an entry meanwhile."""
    deadline = time.monotonic() + QUIET_SECONDS
    idle = [IdleUnits(bound_seconds(kind, spread.get(kind, 1))) for kind in KINDS]
    while True:
        finals = []
        for kind, watch in zip(KINDS, idle, strict=True):
            final = await read(stack, shop, kind, stock)
            watch.look(time.monotonic(), waiting_for_free(final))
            finals.append(final)
        if all(is_quiet(final) for final in finals) or time.monotonic() > deadline:
            return finals, idle
        await asyncio.sleep(0.2)


async def run(
    folder: Path, seed: str, numbers: range, faults: Sequence[str], enough: Callable[[Round], bool]
) -> list[Round]:
    """Run the rounds one after the other on one installation, until one is enough."""
    results = list[Round]()
    async with standing_in() as provider:
        stack = UpStack(folder / "mixed", **provider.settings())
        await stack.start()
        try:
            await until_ready(stack, START_SECONDS)
            partitions = await partitions_of(stack)
            for number in numbers:
                fault = faults[number % len(faults)]
                result = await _caught(play(stack, provider, seed, number, fault, partitions), number, fault)
                results.append(result)
                if enough(result):
                    break
        finally:
            await stack.stop()
    return results


async def _caught(played: Awaitable[Round], number: int, fault: str) -> Round:
    try:
        return await played
    except Exception as error:
        what = "".join(traceback.format_exception(error))[-2000:]
        return Round(number, fault, [Violation("harness or recovery failed", what)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rounds", type=int, default=len(FAULTS))
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument(
        "--fault", action="append", choices=FAULTS, help="only this fault; several take turns"
    )
    parser.add_argument("--until-broken", action="store_true", help="stop after the first broken promise")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no round after this time")
    parser.add_argument("--keep", type=Path, default=Path(".chaos"), help="where logs of violations go")
    given = parser.parse_args()
    deadline = time.monotonic() + given.seconds

    def enough(result: Round) -> bool:
        print(
            f"mixed {given.seed}/{result.number:<4} {result.fault:<24} {result.answers:>5} answers "
            f"{result.orders:>4} orders  {result.payments or '-':<32} {result.rebuilds:>3} rebuilds  "
            f"idle {result.idle_seconds:4.1f} s  round {result.seconds:5.1f} s",
            flush=True,
        )
        for (promise, what), count in Counter(result.violations).most_common(8):
            print(f"    VIOLATED {promise} (x{count}): {what}", flush=True)
        return time.monotonic() > deadline or (given.until_broken and bool(result.violations))

    folder, results = make_folder(), list[Round]()
    try:
        numbers = range(given.first, given.first + given.rounds)
        results = asyncio.run(run(folder, given.seed, numbers, given.fault or FAULTS, enough))
    finally:
        bad = [result for result in results if result.violations]
        if bad:
            keep_logs(folder, given.keep / f"logs-mixed-{given.seed}-{given.first}")
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(results)} mixed rounds, {len(bad)} with a broken promise")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
