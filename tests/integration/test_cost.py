"""The cost guard: what 1,000 concurrent buys ask of the two servers. Coalescing is what makes it little."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from flashguard import FlashGuard, Granted, Line, Settings
from flashguard.model import Sku
from flashguard.simulator.buyers import BuyTarget, press_together
from flashguard.simulator.tally import Tally

BUYS = 1_000
FEW_CALLS = 20
"""Two batches of at most 512, the recorder's announcements, and room for what it does by the clock."""
FEW_STATEMENTS = 150
"""A handful of groups, and what the recorder asks by the clock on a slow machine; without groups: 1,000."""
CALLS_OVER_HTTP = BUYS // 2
"""Clicks come in over sockets as the machine's load has it; without coalescing every one is a call."""
STATEMENT = re.compile(r"LOG:  (?:execute |statement: )")


class Cost:
    """Script calls and SQL statements of both servers, of whoever asked."""

    def __init__(self, redis: "Redis", log: Path) -> None:
        self._redis = redis
        self._log = log

    async def start(self) -> None:
        self._calls = await self._script_calls()
        self._log_bytes = self._log.stat().st_size

    async def script_calls(self) -> int:
        return await self._script_calls() - self._calls

    def statements(self) -> int:
        with self._log.open("rb") as log:
            log.seek(self._log_bytes)
            return len(STATEMENT.findall(log.read().decode(errors="replace")))

    async def _script_calls(self) -> int:
        commands = await self._redis.info("commandstats")
        return sum(int(commands.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("eval", "evalsha"))


@pytest.fixture
async def cost(service, servers) -> AsyncIterator[Cost]:
    """PostgreSQL logs every statement meanwhile."""
    connection = await asyncpg.connect(servers.database_url)
    redis = Redis.from_url(servers.redis_url, protocol=2)
    await connection.execute("ALTER SYSTEM SET log_statement = 'all'")
    await connection.execute("SELECT pg_reload_conf()")
    try:
        while await connection.fetchval("SHOW log_statement") != "all":
            await asyncio.sleep(0.05)
        yield Cost(redis, servers.postgres.log_file)
    finally:
        await connection.execute("ALTER SYSTEM RESET log_statement")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        await redis.aclose()


async def test_a_thousand_buys_at_once_cost_a_few_script_calls_and_statements(service, cost):
    sale = await service.create_sale(stock=BUYS)
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    async with await FlashGuard.connect(settings) as guard:
        before = guard.kernel.calls
        await cost.start()
        outcomes = await asyncio.gather(
            *(guard.buy(sale, f"c{n}", [Line(Sku("unit"), 1)], key=f"k{n}") for n in range(BUYS))
        )
        statements, script_calls = cost.statements(), await cost.script_calls()
        assert all(isinstance(outcome, Granted) for outcome in outcomes)
        assert guard.kernel.calls - before <= FEW_CALLS
    assert script_calls <= FEW_CALLS + FEW_STATEMENTS  # the recorder's sweeps, by the clock, are calls too
    assert 0 < statements <= FEW_STATEMENTS


async def test_a_thousand_clicks_over_http_share_their_script_calls_and_statements(service, cost):
    sale = await service.create_sale(stock=BUYS)
    items = [{"sku": "unit", "quantity": 1}]
    target = BuyTarget(
        service.url,
        f"/v1/sales/{sale}/orders",
        lambda number: msgspec.json.encode({"customer": f"c{number}", "items": items}),
    )
    tally = Tally()
    await cost.start()
    await press_together(target, BUYS, tally, seconds=60, stop=asyncio.Event())
    statements, script_calls = cost.statements(), await cost.script_calls()
    assert (tally.locks, tally.errors) == (BUYS, 0)
    assert script_calls <= CALLS_OVER_HTTP
    assert 0 < statements <= CALLS_OVER_HTTP
