"""A rival strategy as its own HTTP service, written as a competent engineer would: FastAPI, pydantic, a
pool of 20 connections, one request per click. Run by the simulator and the benchmark as a child process.
"""

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response

from flashguard.simulator.strategies import BASELINES
from flashguard.simulator.strategies.base import Servers, sql

POOL_SIZE = 20
REDIS_CONNECTIONS = 50
WAIT_SECONDS = 60.0


class Click(BaseModel):
    customer: str


def create_app(strategy_name: str, stock: int, schema: str) -> FastAPI:
    """The service of one strategy, with tables of its own that go when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database_url = os.environ["FLASHGUARD_DATABASE_URL"]
        pool = await asyncpg.create_pool(
            database_url,
            min_size=POOL_SIZE,
            max_size=POOL_SIZE,
            server_settings={"search_path": schema},
            command_timeout=WAIT_SECONDS,
        )
        redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                os.environ["FLASHGUARD_REDIS_URL"], max_connections=REDIS_CONNECTIONS, timeout=WAIT_SECONDS
            )
        )
        servers = Servers(pool, redis, f"fgsim:{schema}:")
        try:
            await pool.execute(await pool.fetchval(sql("create_schema"), schema))
            await pool.execute(sql("tables"))
            app.state.strategy = BASELINES[strategy_name](servers)
            await app.state.strategy.set_up(stock)
            yield
        finally:
            await pool.execute(await pool.fetchval(sql("drop_schema"), schema))
            async for key in redis.scan_iter(match=f"{servers.prefix}*", count=1000):
                await redis.unlink(key)
            await pool.close()
            await redis.aclose()

    app = FastAPI(title=strategy_name, lifespan=lifespan)

    @app.post("/buy", status_code=201)
    async def buy(click: Click) -> Response:
        try:
            order = await app.state.strategy.buy(click.customer)
        except (TimeoutError, asyncpg.PostgresError, RedisError) as error:
            return JSONResponse({"code": "overloaded", "detail": str(error)}, 503, {"Retry-After": "1"})
        if order is None:
            return JSONResponse({"code": "sold-out"}, 409)
        return JSONResponse({"order": order}, 201)

    @app.get("/truth")
    async def truth() -> dict[str, int]:
        orders, available = await app.state.strategy.truth()
        return {"orders": orders, "available": available}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strategy", required=True, choices=sorted(BASELINES))
    parser.add_argument("--stock", type=int, required=True)
    parser.add_argument("--schema", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        create_app(options.strategy, options.stock, options.schema),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=16_384,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
