"""A soak: mixed load for a while and a fault a minute; memory, journal and file descriptors must stay flat.

`make soak MINUTES=30`; it prints a line per sample and ends with 1 when something grew or a promise broke.
"""

import argparse
import asyncio
import json
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
from buyers import OTHER, PROBE, SCARCE, Clients
from history import History
from lane import Lane
from msgspec.structs import replace
from processes import children
from redis.asyncio import Redis
from up_stack import UpStack, until_ready

from campaign import Output, commit_of_now, make_folder
from flashguard.kernel import keys
from flashguard.settings import Settings
from plan import Plan, plan

FAULTS = [
    ("valkey", signal.SIGKILL),
    ("postgres", signal.SIGKILL),
    ("recorder", signal.SIGKILL),
    ("valkey", None),
]
"""In turn; None: FLUSHALL."""
SAMPLE_SECONDS = 5.0
WARM_SHARE = 0.3
"""Of the samples, the first ones only warm up: caches and pools fill."""
GROWTH_MOST = 1.3
"""By how much the middle of the last third may be above the middle of the second."""
STOCK = 1_000_000


def rss_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


async def sample(stack: UpStack) -> dict[str, float]:
    """What each part uses now, and how long the longest journal is."""
    seen: dict[str, float] = {}
    for part, pid in stack.run.pids.items():
        family = [pid, *children(pid)]
        try:
            seen[f"{part} MB"] = round(sum(map(rss_mb, family)), 1)
            seen[f"{part} files"] = sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in family)
        except OSError:  # it has just ended
            continue
    client = Redis(unix_socket_path=stack.memory_socket)
    try:
        lengths = [await client.xlen(keys.journal(number)) for number in range(Settings().partitions)]
        seen["journal entries"] = max(lengths)
    except (OSError, ConnectionError):
        pass
    finally:
        await client.aclose()
    return seen


def grown(samples: list[dict[str, float]]) -> list[str]:
    """What went up and stayed there. PostgreSQL's and Valkey's memory holds what was sold: it may."""
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
        elif name not in ("valkey MB", "postgres MB", "postgres files") and last > first * GROWTH_MOST + 1:
            found.append(f"{name}: {first:.1f}, later {last:.1f}")
    return found


async def soak(seconds: float, fault_every: float, buyers: int, folder: Path) -> int:
    stack = UpStack(folder / "up")
    await stack.start()
    samples: list[dict[str, float]] = []
    try:
        await until_ready(stack)
        the: Plan = replace(
            plan("soak", 0, "kill valkey"),
            buyers=buyers,
            customers=100_000,
            limit=None,
            stock=STOCK,
            also=None,
        )
        history = History("soak", None, {SCARCE: STOCK, OTHER: STOCK, PROBE: STOCK})
        lane = Lane(stack, commit_of_now(), Output(None, folder / "kept", until_broken=False))
        async with aiohttp.ClientSession() as admin:
            lane._admin = admin
            await lane._open_sale(the, history)
            violations = await _run(lane, stack, the, history, seconds, fault_every, samples)
    finally:
        await stack.stop()
    wrong = [*grown(samples), *(f"{v.promise}: {v.what}" for v in violations)]
    print(
        json.dumps(
            {"seconds": seconds, "answers": len(history.told), "samples": len(samples), "wrong": wrong}
        )
    )
    return 1 if wrong else 0


async def _run(
    lane: Lane, stack: UpStack, the: Plan, history: History, seconds: float, fault_every: float,
    samples: list[dict[str, float]],
) -> list[Any]:  # fmt: skip
    from checker import check

    timeout = aiohttp.ClientTimeout(total=2.5)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        clients = Clients(the, stack, history, http)
        shopping = asyncio.create_task(clients.shop())
        started = time.monotonic()
        next_fault, faults = started + fault_every, 0
        try:
            while time.monotonic() < started + seconds:
                await asyncio.sleep(SAMPLE_SECONDS)
                samples.append(await sample(stack))
                print(f"{time.monotonic() - started:6.0f} s {samples[-1]}", flush=True)
                if time.monotonic() > next_fault:
                    part, number = FAULTS[faults % len(FAULTS)]
                    print(f"       fault: {part} {number.name if number else 'FLUSHALL'}", flush=True)
                    if number is None:
                        async with Redis(unix_socket_path=stack.memory_socket) as client:
                            await client.flushall()
                    else:
                        stack.hit(part, number)
                    next_fault, faults = next_fault + fault_every, faults + 1
        finally:
            clients.closing = True
            await shopping
    ledger, short_id = await lane._quiet(history)
    return check(history, ledger, short_id, memory_forgets=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--fault-every", type=float, default=60.0, help="seconds")
    parser.add_argument("--buyers", type=int, default=60)
    given = parser.parse_args()
    folder = make_folder()
    try:
        return asyncio.run(soak(given.seconds, given.fault_every, given.buyers, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
