"""Holds as a competent engineer would write them: FastAPI, pydantic, one EVALSHA per request."""

import secrets
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError
from starlette.responses import JSONResponse, Response

from bench.rivals.serve import serve

STOCK = 50_000_000
HOLD_MS = 3_600_000
REDIS_CONNECTIONS = 50
WAIT_SECONDS = 60.0
PREFIX = f"bench:{secrets.token_hex(6)}:"
KEYS = [f"{PREFIX}stock", f"{PREFIX}holds", f"{PREFIX}deadlines"]


class Click(BaseModel):
    customer: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    pool = BlockingConnectionPool.from_url(
        sys.argv[2], max_connections=REDIS_CONNECTIONS, timeout=WAIT_SECONDS
    )
    redis = Redis(connection_pool=pool)
    await redis.set(KEYS[0], STOCK)
    app.state.redis = redis
    app.state.hold = redis.register_script((Path(__file__).parent / "hold.lua").read_text())
    try:
        yield
    finally:
        await redis.unlink(*KEYS)
        await redis.aclose()


app = FastAPI(lifespan=lifespan)


@app.post("/hold", status_code=201)
async def hold(click: Click) -> Response:
    id_, expires_ms = uuid.uuid4().hex, int(time.time() * 1000) + HOLD_MS
    try:
        granted = await app.state.hold(keys=KEYS, args=[id_, click.customer, expires_ms])
    except (TimeoutError, RedisError) as error:
        return JSONResponse({"code": "overloaded", "detail": str(error)}, 503, {"Retry-After": "1"})
    if not granted:
        return JSONResponse({"code": "sold-out"}, 409)
    return JSONResponse({"id": id_, "expires_at_ms": expires_ms}, 201)


@app.get("/truth")
async def truth() -> dict[str, int]:
    return {"available": int(await app.state.redis.get(KEYS[0]) or 0)}


if __name__ == "__main__":
    serve(app)
