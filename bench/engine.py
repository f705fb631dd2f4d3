"""Measures the engine without HTTP: the library beside redis-benchmark, and 16 one-request processes."""

import asyncio
import re
import secrets
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from bench.children import Generators
from bench.cpu import Meter
from bench.generated import generated
from bench.loads import Bench
from bench.measure import US
from bench.rows import Row

IN_FLIGHT = 64
PROCESSES = 16
EVALSHA_CALLS = 100_000
TEXTBOOK = Path(__file__).parents[1] / "src/flashguard/simulator/strategies/lua/take.lua"
REQUESTS_PER_SECOND = re.compile(r"([\d.]+) requests per second")


async def engine(bench: Bench) -> list[Row]:
    """Measure the library's holds, 64 in flight, beside redis-benchmark's EVALSHAs of the textbook script."""
    rows: list[Row] = []
    sale = await bench.service.sale()
    given = {"sale": sale, "verb": "reserve", "in_flight": IN_FLIGHT, "seconds": bench.seconds}
    async with Generators("bench.library", [given], bench.house.env) as children:
        for round_ in range(bench.times):
            rows += await textbook(bench, round_)
            row = await generated("engine", "library", children, bench.servers)
            row.round, row.connections = round_, IN_FLIGHT
            rows.append(row)
            bench.progress.did(row)
    return rows


async def textbook(bench: Bench, round_: int) -> list[Row]:
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
            "-c", str(IN_FLIGHT), "-n", str(EVALSHA_CALLS), "-q", "EVALSHA", sha, "1", key,
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
        scenario="engine", target="redis-benchmark", connections=IN_FLIGHT, round=round_,
        per_second=float(found[-1]) if found else 0.0, errors=0 if found else 1,
        cpu_us={part: round(spent / EVALSHA_CALLS * US, 2) for part, spent in meter.stop().items()}
        | {"client": round(meter.client_seconds / EVALSHA_CALLS * US, 2)},
        others_cores=round(meter.others_cores, 2),
    )  # fmt: skip
    bench.progress.did(row)
    return [row]


async def small(bench: Bench) -> list[Row]:
    """Measure 16 processes that each make one request at a time, so that none of them can batch."""
    rows: list[Row] = []
    ours = {"sale": await bench.service.sale(), "verb": "buy", "in_flight": 1, "seconds": bench.seconds}
    env = bench.house.env | {"FLASHGUARD_LEDGER_CONNECTIONS": "1"}
    bench.progress.say(f"small: starting {PROCESSES} processes of each kind")
    async with AsyncExitStack() as stack:
        rival = await stack.enter_async_context(bench.house.rival("conditional-update"))
        theirs = {"schema": rival.variables["SCHEMA"], "seconds": bench.seconds}
        kinds = [
            (target, await stack.enter_async_context(Generators(module, [given] * PROCESSES, env)))
            for target, module, given in (
                ("library", "bench.library", ours),
                ("conditional-update", "bench.conditional_update", theirs),
            )
        ]
        for round_ in range(bench.times):
            for target, children in kinds if round_ % 2 == 0 else reversed(kinds):
                row = await generated("small", target, children, bench.servers)
                row.round, row.connections = round_, PROCESSES
                rows.append(row)
                bench.progress.did(row)
    return rows
