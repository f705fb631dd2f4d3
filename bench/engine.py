"""Measures the engine without HTTP: beside redis-benchmark, in 16 one-request processes, in 4 busy ones."""

import asyncio
import re
import secrets
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from bench.children import Generators
from bench.cpu import Meter
from bench.generated import generated
from bench.house import Target
from bench.loads import Bench
from bench.measure import US
from bench.rows import Row

SMALL_PROCESSES = 16
BUSY_PROCESSES = 4
EVALSHA_CALLS = 100_000
TEXTBOOK = Path(__file__).parents[1] / "src/flashguard/simulator/strategies/lua/take.lua"
REQUESTS_PER_SECOND = re.compile(r"([\d.]+) requests per second")


async def engine(bench: Bench) -> list[Row]:
    """Measure the library's holds beside redis-benchmark's EVALSHAs of the textbook script, by calls in
    flight."""
    rows: list[Row] = []
    sale = await bench.service.sale()
    for in_flight in bench.connections:
        given = {"sale": sale, "verb": "reserve", "in_flight": in_flight, "seconds": bench.seconds}
        async with Generators("bench.library", [given], bench.house.env) as children:
            for round_ in range(bench.times):
                rows += await textbook(bench, in_flight, round_)
                row = await generated("engine", "library", children, bench.servers)
                row.round, row.connections = round_, in_flight
                rows.append(row)
                bench.progress.did(row)
    return rows


async def textbook(bench: Bench, in_flight: int, round_: int) -> list[Row]:
    """Measure EVALSHA of the textbook script with redis-benchmark; nothing if that is not installed."""
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        bench.progress.say("engine: redis-benchmark is not installed (Debian: redis-tools); no ratio to it")
        return []
    key = f"bench:{secrets.token_hex(6)}:stock"
    async with bench.house.memory() as redis:
        sha = await redis.script_load(TEXTBOOK.read_text())
        await redis.set(key, EVALSHA_CALLS * 2)
        meter = Meter(bench.house.server_parts)
        meter.start()
        process = await asyncio.create_subprocess_exec(
            program, "-s", bench.house.servers.redis_url.removeprefix("unix://"),
            "-c", str(in_flight), "-n", str(EVALSHA_CALLS), "-q", "EVALSHA", sha, "1", key,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            output, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        meter.client_done()
        await redis.unlink(key)
    found = REQUESTS_PER_SECOND.findall(output.decode())
    row = Row(
        scenario="engine", target="redis-benchmark", connections=in_flight, round=round_,
        per_second=float(found[-1]) if found else 0.0, errors=0 if found else 1,
        cpu_us={part: round(spent / EVALSHA_CALLS * US, 2) for part, spent in meter.stop().items()}
        | {"client": round(meter.client_seconds / EVALSHA_CALLS * US, 2)},
        others_cores=round(meter.others_cores, 2),
    )  # fmt: skip
    bench.progress.did(row)
    return [row]


async def small(bench: Bench) -> list[Row]:
    """Measure 16 processes that each make one request at a time, so that none of them can batch."""
    async with bench.house.rival("conditional-update") as rival:
        return await _side_by_side(
            bench, "small", SMALL_PROCESSES, 1, ("conditional-update", "bench.conditional_update", rival)
        )


async def busy(bench: Bench) -> list[Row]:
    """Measure 4 processes without HTTP, as on two hosts, with the step's calls in flight between them."""
    async with bench.house.bare() as rival:
        return await _side_by_side(
            bench, "busy", BUSY_PROCESSES, bench.connections[0] // BUSY_PROCESSES,
            ("sql-batched-bare", "bench.grouped", rival),
        )  # fmt: skip


async def _side_by_side(
    bench: Bench, scenario: str, processes: int, in_flight: int, other: tuple[str, str, Target]
) -> list[Row]:
    """Measure processes that buy: the library's, and those of a rival, which use its tables.

    Parameters:
        in_flight: calls of each process.
        other: the rival's name, its module, and its service.
    """
    name, module, rival = other
    each = {"in_flight": in_flight, "seconds": bench.seconds}
    ours = each | {"sale": await bench.service.sale(), "verb": "buy"}
    theirs = each | {"schema": rival.variables["SCHEMA"]}
    env = bench.house.env | {"FLASHGUARD_LEDGER_CONNECTIONS": "1"}
    bench.progress.say(f"{scenario}: starting {processes} processes of each kind")
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        kinds = [
            (target, await stack.enter_async_context(Generators(module, [given] * processes, env)))
            for target, module, given in (("library", "bench.library", ours), (name, module, theirs))
        ]
        for round_ in range(bench.times):
            for target, children in kinds if round_ % 2 == 0 else reversed(kinds):
                row = await generated(scenario, target, children, bench.servers)
                row.round, row.connections = round_, processes * in_flight
                rows.append(row)
                bench.progress.did(row)
    return rows
