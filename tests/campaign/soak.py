"""A soak: mixed load for a while with faults; memory, journal and file descriptors must stay flat.

`make soak MINUTES=120 FAULTS=100 PER_SECOND=100`; it prints a line per sample and exits 1 if something grew
or a promise broke.
"""

import argparse
import asyncio
import math
import shutil
import signal
import statistics
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from flashguard.settings import Settings
from tests.campaign.buyers import PACE_SECONDS, PROBE_EVERY_SECONDS, Clients
from tests.campaign.campaign import Output, commit_of_now, make_folder
from tests.campaign.checker import check
from tests.campaign.goods import OTHER, PROBE, SCARCE
from tests.campaign.history import History
from tests.campaign.lane import Lane, Result
from tests.campaign.plan import Plan, plan
from tests.campaign.processes import hit
from tests.campaign.up_stack import START_SECONDS, UpStack, until_ready
from tests.campaign.usage import Sample, sample

FAULTS = [
    ("valkey", "kill"),
    ("postgres", "kill"),
    ("recorder", "kill"),
    ("valkey", "stop"),
    ("postgres", "stop"),
    ("valkey", "FLUSHALL"),
]
"""The faults, in turn."""
STOP_SECONDS = 3.0
SAMPLE_SECONDS = 5.0
SAMPLES_MOST = 720
"""The most samples of a run: a longer run takes them less often, so that its file stays small."""
WARM_SHARE = 0.3
"""The share of samples that only warm up: caches and pools fill."""
GROWTH_MOST = 1.3
"""The bound on growth after warming up: the median of the second half over that of the first."""
MAY_GROW = {"at", "valkey MB", "postgres MB", "postgres files", "api clients"}
"""These may grow: memory and ledger keep sales, a backend keeps its files open, clients are the test's."""
STOCK = 1_000_000
SHARE = 0.5
"""The share of the machine's capacity that buyers use."""
MOST_BUYERS, MOST_SECONDS = 100, 15.0
ANSWER_SECONDS = 0.02
"""About the duration of an answer, to calculate the number of buyers from a rate."""
FEW_BUYERS = 10
"""The buyers of a run with a set rate."""
PROBES_PER_SECOND = 1 / PROBE_EVERY_SECONDS
HOLDS_END_SECONDS = 5.0
"""How long after the last request every hold has ended, before the ledger is read."""


class Soak(msgspec.Struct):
    """A run and its samples."""

    commit: str
    seconds: float
    fault_every: float | None
    """None: without faults."""
    most_per_second: float | None = None
    """None: not measured."""
    per_second: float | None = None
    """The set rate of requests; None: as many as the buyers make."""
    buyers: int = 0
    answers: int = 0
    orders: int = 0
    faults: list[tuple[float, str]] = msgspec.field(default_factory=list)
    samples: list[Sample] = msgspec.field(default_factory=list)
    wrong: list[str] = msgspec.field(default_factory=list)


def grown(samples: list[Sample]) -> list[str]:
    """Return what grew and stayed high, of what may not grow."""
    warm = samples[int(len(samples) * WARM_SHARE) :]
    found = []
    for name in sorted({name for each in warm for name in each}):
        values = [each[name] for each in warm if name in each]
        half = len(values) // 2
        first, last = sorted(values[:half])[half // 2], sorted(values[half:])[half // 2]
        if name == "journal entries":
            bound = Settings().journal_tail_entries * 2
            if max(values) > bound:
                found.append(f"{name}: {max(values):.0f}, the bound is {bound}")
        elif name not in MAY_GROW and last > first * GROWTH_MOST + 1:
            found.append(f"{name}: {first:.1f}, later {last:.1f}")
    return found


def slope_per_hour(samples: list[Sample], name: str) -> float | None:
    """Return by how much a part grows per hour, fitted to the second half of the samples; None: too few."""
    later = [(each["at"], each[name]) for each in samples[len(samples) // 2 :] if name in each]
    if len(later) < 3:
        return None
    return statistics.linear_regression(*zip(*later, strict=True)).slope * 3600


async def soak(the: Soak, buyers: int | None, folder: Path) -> Soak:
    stack = UpStack(folder / "up")
    await stack.start()
    try:
        await until_ready(stack, START_SECONDS)
        lane = Lane(stack, the.commit, Output(None, folder / "kept", until_broken=False))
        async with aiohttp.ClientSession() as admin:
            lane._admin = admin
            if buyers is None and the.per_second is not None:
                buyers = FEW_BUYERS
            elif buyers is None:
                the.most_per_second = await _most(lane, stack)
                buyers = max(10, round(the.most_per_second * SHARE * (PACE_SECONDS / 2 + ANSWER_SECONDS)))
            the.buyers = buyers
            history = await _sale(lane, _plan("soak", buyers))
            await _run(lane, stack, _plan("soak", buyers), history, the)
    finally:
        await stack.stop()
    the.wrong = [*grown(the.samples), *the.wrong]
    return the


def _plan(sale: str, buyers: int) -> Plan:
    some = plan(sale, 0, "kill valkey")
    return replace(
        some,
        buyers=buyers,
        customers=100_000,
        limit=None,
        stock=STOCK,
        also=None,
        spread=1,
        goods="plain",
        item_limit=None,
        card_limit=None,
    )


async def _sale(lane: Lane, the: Plan) -> History:
    history = History(the.seed, None, {SCARCE: STOCK, OTHER: STOCK, PROBE: STOCK})
    await lane._open_sale(the, history)
    return history


async def _most(lane: Lane, stack: UpStack) -> float:
    """Return answers per second when buyers press without a pause: the machine's current capacity."""
    the = _plan("most", MOST_BUYERS)
    history = await _sale(lane, the)
    async with shoppers() as http:
        clients = Clients(the, stack, history, http)
        clients.pace_seconds = 0.0
        shopping = asyncio.create_task(clients.shop())
        await asyncio.sleep(MOST_SECONDS)
        answers = len(history.told)
        clients.closing = True
        await shopping
    return answers / MOST_SECONDS


def shoppers() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=2.5)
    )


async def _run(lane: Lane, stack: UpStack, plan: Plan, history: History, the: Soak) -> None:
    async with shoppers() as http:
        clients = Clients(plan, stack, history, http)
        if the.per_second is not None:
            of_buyers = max(1.0, the.per_second - PROBES_PER_SECOND)
            clients.pace_seconds = max(0.0, 2 * (the.buyers / of_buyers - ANSWER_SECONDS))
        every = max(SAMPLE_SECONDS, the.seconds / SAMPLES_MOST)
        shopping = asyncio.create_task(clients.shop())
        started = time.monotonic()
        next_fault = started + the.fault_every if the.fault_every is not None else math.inf
        try:
            while time.monotonic() < started + the.seconds:
                await asyncio.sleep(every)
                at = round(time.monotonic() - started, 1)
                the.samples.append({"at": at, **await sample(stack, Settings().partitions)})
                print(the.samples[-1], flush=True)
                if the.fault_every is not None and time.monotonic() > next_fault:
                    part, what = FAULTS[len(the.faults) % len(FAULTS)]
                    the.faults.append((round(time.monotonic() - started, 1), f"{what} {part}"))
                    print(f"fault: {the.faults[-1]}", flush=True)
                    await strike(stack, part, what)
                    next_fault += the.fault_every
        finally:
            clients.closing = True
            await shopping
    the.answers = len(history.told)
    await asyncio.sleep(HOLDS_END_SECONDS)
    result = Result({}, [], {}, 0.0)
    ledger, short_id = await lane._quiet(history, result, 1)
    the.orders = sum(row.status == "confirmed" for row in ledger.rows)
    found = result.violations + check(history, ledger, short_id, memory_forgets=True)
    the.wrong = [f"{violation.promise}: {violation.what}" for violation in found]


async def strike(stack: UpStack, part: str, what: str) -> None:
    if what == "FLUSHALL":
        async with Redis(unix_socket_path=stack.memory_socket) as client:
            await client.flushall()
    elif what == "kill":
        stack.hit(part, signal.SIGKILL)
    else:
        stopped = stack.hit(part, signal.SIGSTOP)
        await asyncio.sleep(STOP_SECONDS)
        hit(signal.SIGCONT, *stopped)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--faults", type=int, help="spread over the time; left out: one per minute")
    parser.add_argument("--buyers", type=int, help="left out: as many as make half of what the machine can")
    parser.add_argument("--per-second", type=float, help="requests of all buyers, instead of that half")
    parser.add_argument(
        "--json", type=Path, help="what was seen goes here; soak_report.py makes the page of it"
    )
    given = parser.parse_args()
    faults = round(given.seconds / 60) if given.faults is None else given.faults
    every = given.seconds / (faults + 0.5) if faults else None
    the = Soak(commit_of_now(), given.seconds, every, per_second=given.per_second)
    folder = make_folder()
    try:
        seen = asyncio.run(soak(the, given.buyers, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(seen)) + b"\n")
    per_second = seen.answers / seen.seconds
    for name in sorted({name for each in seen.samples for name in each if name.endswith(" MB")}):
        print(f"{name}: {slope_per_hour(seen.samples, name) or 0:+.1f} per hour in the second half")
    print(
        f"{seen.answers} answers, {per_second:.0f} per second, {len(seen.faults)} faults; wrong: {seen.wrong}"
    )
    return 1 if seen.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
