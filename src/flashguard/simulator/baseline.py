"""A rival strategy as its own HTTP service, as a competent engineer would write it: FastAPI, pydantic, a pool
of 20 connections, one request per click. The simulator and the benchmark run it as a child process, and
`api/rivals.py` puts the same service behind FlashGuard's lane.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from flashguard.simulator.goods import stocks_of
from flashguard.simulator.strategies.base import BasketStrategy, Servers, sql

from .rival_memory import connect_rival
from .strategies import BASELINES

POOL_SIZE = 20
WAIT_SECONDS = 60.0
WORKER_VARIABLE = "FLASHGUARD_BASELINE"


class Click(BaseModel):
    customer: str
    wanted: list[str] | None = None


@asynccontextmanager
async def connected(schema: str) -> AsyncIterator[Servers]:
    """Yield the connections of one rival process to both servers."""
    pool = await asyncpg.create_pool(
        os.environ["FLASHGUARD_DATABASE_URL"],
        min_size=POOL_SIZE,
        max_size=POOL_SIZE,
        server_settings={"search_path": schema},
        command_timeout=WAIT_SECONDS,
    )
    redis = connect_rival(os.environ["FLASHGUARD_REDIS_URL"])
    try:
        yield Servers(pool, redis, f"fgsim:{schema}:")
    finally:
        await pool.close()
        await redis.aclose()


async def make_tables(servers: Servers, schema: str) -> None:
    await servers.pool.execute(await servers.pool.fetchval(sql("create_schema"), schema))
    await servers.pool.execute(sql("tables"))


async def remove_tables(servers: Servers, schema: str) -> None:
    await servers.pool.execute(await servers.pool.fetchval(sql("drop_schema"), schema))
    async for key in servers.redis.scan_iter(match=f"{servers.prefix}*", count=1000):
        await servers.redis.unlink(key)


def create_app(strategy_name: str, stocks: dict[str, int], schema: str, *, alone: bool = True) -> FastAPI:
    """Return the service of one strategy, with its own tables, which it drops when it stops.

    Parameters:
        alone: False for one of several workers, for which the tables already exist.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with connected(schema) as servers:
            app.state.strategy = BASELINES[strategy_name](servers)
            try:
                if alone:
                    await make_tables(servers, schema)
                    await app.state.strategy.set_up(stocks)
                # From here on the simulator counts faults as answers; a traceback for each is not needed.
                logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
                yield
            finally:
                if alone:
                    await remove_tables(servers, schema)

    app = FastAPI(title=strategy_name, lifespan=lifespan)

    @app.post("/buy", status_code=201)
    async def buy(click: Click) -> Response:
        try:
            strategy = app.state.strategy
            if click.wanted and isinstance(strategy, BasketStrategy):
                order = await strategy.take(click.customer, click.wanted)
            else:
                order = await strategy.buy(click.customer)
        except (TimeoutError, asyncpg.PostgresError, RedisError) as error:
            return JSONResponse({"code": "overloaded", "detail": str(error)}, 503, {"Retry-After": "1"})
        if order is None:
            return JSONResponse({"code": "sold-out"}, 409)
        return JSONResponse({"order": order}, 201)

    @app.get("/truth")
    async def truth() -> dict[str, object]:
        stocks: dict[str, tuple[int, int]] = await app.state.strategy.truth()
        return {"orders": sum(units for units, _ in stocks.values()), "stocks": stocks}

    @app.get("/orders")
    async def orders() -> list[dict[str, str]]:
        rows = await app.state.strategy.orders()
        return [{"id": id_, "customer": customer} for id_, customer in rows]

    return app


def create_worker() -> FastAPI:
    """Return one of several workers; the process that starts them sets the variable."""
    strategy_name, schema = os.environ[WORKER_VARIABLE].split()
    return create_app(strategy_name, {}, schema, alone=False)


async def around_workers(options: argparse.Namespace, *, before: bool) -> None:
    """Create or drop the tables for several workers, as `create_app` does for one."""
    async with connected(options.schema) as servers:
        if before:
            await make_tables(servers, options.schema)
            await BASELINES[options.strategy](servers).set_up(stocks_of(options.stock, pools=options.pools))
        else:
            await remove_tables(servers, options.schema)


def main(
    wrapped: Callable[[FastAPI], ASGIApp] = lambda app: app,
    worker: str = "flashguard.simulator.baseline:create_worker",
    protocol: str = "httptools",
) -> None:
    """Serve the strategy that the arguments name.

    Parameters:
        wrapped: returns what is served of the strategy's application.
        worker: where the factory of one of several workers is.
        protocol: uvicorn's name of an HTTP protocol, or where one is.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strategy", required=True, choices=sorted(BASELINES))
    parser.add_argument("--stock", type=int, required=True)
    parser.add_argument("--pools", action="store_true", help="two stocks, of which a buyer wants one or both")
    parser.add_argument("--schema", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if options.workers == 1:
        stocks = stocks_of(options.stock, pools=options.pools)
        serve(wrapped(create_app(options.strategy, stocks, options.schema)), options.port, protocol)
        return
    os.environ[WORKER_VARIABLE] = f"{options.strategy} {options.schema}"
    asyncio.run(around_workers(options, before=True))
    try:
        serve(worker, options.port, protocol, options.workers)
    finally:
        asyncio.run(around_workers(options, before=False))


def serve(app: ASGIApp | str, port: int, protocol: str, workers: int = 1) -> None:
    uvicorn.run(
        app,
        factory=workers > 1,
        workers=workers,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http=protocol,
        access_log=False,
        proxy_headers=False,  # as in the product; the lane needs the application itself
        log_level="warning",
        backlog=16_384,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
