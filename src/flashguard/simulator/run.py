"""Runs a plan, strategy by strategy, and reports events as they happen."""

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Final

import aiohttp
import msgspec

from flashguard.errors import FlashGuardError, how_to_install
from flashguard.simulator.strategies.flashguard import FlashGuardSale, baskets

from .buyers import BuyTarget, connections_possible, press_together
from .goods import sold_stocks, stocks_of, wanted_by
from .plan import (
    LANE,
    Event,
    LiveCounters,
    LogLine,
    Plan,
    RunFinished,
    RunResult,
    SimulationReport,
    environment,
    stands_behind,
)
from .tally import Tally

TICK_SECONDS: Final = 0.1
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0

SERVICES: Final = {"framework": "flashguard.simulator.baseline", "lane": "flashguard.api.rivals"}
"""The program of a rival, by what it stands behind."""

Truth = Callable[[], Awaitable[dict[str, tuple[int, int]]]]
"""Returns, by stock, the units that the orders in the database took and those that can still be sold."""


class Simulation:
    """One running simulation."""

    def __init__(self, plan: Plan, on_event: Callable[[Event], None], stop: asyncio.Event) -> None:
        self._plan = plan
        self._on_event = on_event
        self._stop = stop
        self._stocks = stocks_of(plan.stock, pools=plan.pools)
        self._started = time.perf_counter()

    def say(self, text: str, level: str = "info") -> None:
        self._on_event(LogLine(at_ms=self._now_ms(), text=text, level=level))

    def _now_ms(self) -> int:
        return round((time.perf_counter() - self._started) * 1000)

    async def run(self, *, embedded: bool) -> SimulationReport:
        plan = self._plan
        possible = connections_possible()
        if possible < plan.buyers:
            self.say(
                f"only {possible} connections at once are possible here: buyers come in waves", "warning"
            )
        runs: list[RunResult] = []
        for strategy in plan.strategies:
            if self._stop.is_set():
                break
            result = await self._run(strategy)
            runs.append(result)
            self._on_event(RunFinished(result=result))
        return SimulationReport(
            environment=environment(embedded), buyers=plan.buyers, stock=plan.stock, runs=tuple(runs)
        )

    async def _run(self, strategy: str) -> RunResult:
        opened = self._flashguard() if strategy == "flashguard" else self._baseline(strategy)
        async with opened as (target, truth):
            tally = Tally()
            ticker = asyncio.create_task(self._tick(strategy, tally))
            try:
                seconds = await press_together(
                    target, self._plan.buyers, tally,
                    seconds=self._plan.run_seconds, stop=self._stop,
                    released=lambda size: self.say(f"{strategy}: {size:,} buyers press Buy at once"),
                )  # fmt: skip
            finally:
                ticker.cancel()
            found = await truth()
        result = tally.result(strategy, seconds, sold_stocks(self._stocks, found))
        too_many, lost = result.inventory_oversold, result.units_leaked
        self._count(strategy, tally, tally, too_many)
        sold = ", ".join(f"{stock.sold:,} of {stock.stock:,} {stock.name}" for stock in result.stocks)
        self.say(
            f"{strategy}: sold {sold}; {too_many:,} oversold, {lost:,} leaked, {tally.errors:,} errors",
            "error" if too_many or lost or tally.errors else "info",
        )
        return result

    async def _tick(self, strategy: str, tally: Tally) -> None:
        before, sold_out = Tally(), False
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._count(strategy, tally, before, max(0, tally.locks - sum(self._stocks.values())))
            before.requests, before.locks = tally.requests, tally.locks
            if tally.sold_out and not sold_out:
                sold_out = True
                self.say(f"{strategy}: first sold-out after {tally.locks:,} locks")

    def _count(self, strategy: str, tally: Tally, before: Tally, oversold: int) -> None:
        self._on_event(
            LiveCounters(
                strategy=strategy,
                total_requests=tally.requests,
                successful_locks=tally.locks,
                inventory_oversold=oversold,
                avg_latency_ms=tally.avg_latency_ms,
                requests_now=tally.requests - before.requests,
                locks_now=tally.locks - before.locks,
                at_ms=self._now_ms(),
            )
        )

    @asynccontextmanager
    async def _flashguard(self) -> AsyncIterator[tuple[BuyTarget, Truth]]:
        plan = self._plan
        for name, part in (await _components(plan.url)).items():
            self.say(f"{name} {part.get('version', '')} {part['status']}".replace("  ", " "))
        sale = FlashGuardSale(plan.url, plan.admin_key, plan.stock, pools=plan.pools)
        target = await sale.open()
        self.say(f"sale {sale.id} opened with {sum(self._stocks.values()):,} units")
        try:
            yield target, sale.truth
        finally:
            await sale.close()

    @asynccontextmanager
    async def _baseline(self, strategy: str) -> AsyncIterator[tuple[BuyTarget, Truth]]:
        plan = self._plan
        async with baseline_service(
            strategy, plan.stock, plan.redis_url, plan.database_url, plan.admin_key, pools=plan.pools
        ) as url:
            behind = "FlashGuard's lane" if stands_behind(strategy) == "lane" else "FastAPI"
            self.say(f"{strategy}: service started behind {behind} at {url}")

            async def truth() -> dict[str, tuple[int, int]]:
                async with aiohttp.ClientSession() as http, http.get(f"{url}/truth") as response:
                    stocks = (await response.json())["stocks"]
                    return {name: (units, left) for name, (units, left) in stocks.items()}

            yield rival_target(strategy, url, plan.admin_key, pools=plan.pools), truth


async def _components(url: str) -> dict[str, dict[str, str]]:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as response:
            answer: dict[str, dict[str, dict[str, str]]] = await response.json()
            return answer["components"]
    except (aiohttp.ClientError, KeyError) as error:
        raise FlashGuardError(f"No FlashGuard answers at {url}: {error}") from error


def rival_target(strategy: str, url: str, admin_key: str, *, pools: bool = False) -> BuyTarget:
    """Return the call that buyers make to a rival: behind the lane, that of FlashGuard's own buys."""
    if stands_behind(strategy) == "lane":
        headers = (("Authorization", f"Bearer {admin_key}"),) if admin_key else ()
        return BuyTarget(url, "/v1/sales/rival/orders", baskets(pools=False), headers)

    def click(number: int) -> bytes:
        wanted = {"wanted": wanted_by(number, pools=True)} if pools else {}
        return msgspec.json.encode({"customer": f"buyer-{number}", **wanted})

    return BuyTarget(url, "/buy", click)


@asynccontextmanager
async def baseline_service(
    strategy: str, stock: int, redis_url: str, database_url: str, admin_key: str, *, pools: bool = False
) -> AsyncIterator[str]:
    """Run a rival as a child process on a free port of 127.0.0.1; yield its address.

    Parameters:
        admin_key: what its buyers show, behind the lane.

    Raises:
        FlashGuardError: it did not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"FLASHGUARD_REDIS_URL": redis_url, "FLASHGUARD_DATABASE_URL": database_url}
    if admin_key:
        env["FLASHGUARD_ADMIN_KEY"] = admin_key
    schema = f"flashguard_simulation_{secrets.token_hex(6)}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", SERVICES[stands_behind(strategy)], "--strategy", strategy.removesuffix(LANE),
        "--stock", str(stock), "--schema", schema, "--port", str(port), *(("--pools",) if pools else ()),
        env=env,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        await _started(url, process, strategy)
        yield url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # uvicorn exits normally on SIGINT
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _started(url: str, process: asyncio.subprocess.Process, strategy: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < deadline and process.returncode is None:
            try:
                async with http.get(f"{url}/truth") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    raise FlashGuardError(f"The {strategy} service did not start")


async def run_simulation(
    plan: Plan,
    on_event: Callable[[Event], None] = lambda _: None,
    stop: asyncio.Event | None = None,
    *,
    embedded: bool = True,
) -> SimulationReport:
    """Run every strategy of the plan, one after the other.

    Parameters:
        on_event: called with counters every 100 ms, log lines, and each run's result.
        stop: set it to end the simulation early.
        embedded: whether the servers are the embedded ones, for the report's environment.

    Raises:
        FlashGuardError: a service does not answer, or the rivals' client is not installed.
    """
    if plan.strategies != ("flashguard",) and find_spec("redis") is None:
        raise FlashGuardError(f"The rivals of a simulation need redis-py; {how_to_install('simulator')}.")
    return await Simulation(plan, on_event, stop or asyncio.Event()).run(embedded=embedded)
