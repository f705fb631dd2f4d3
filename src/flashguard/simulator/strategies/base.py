"""What all rival strategies share: servers, tables, and the count of what was really sold."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from redis.asyncio import Redis

if TYPE_CHECKING:
    import asyncpg

FOLDER = Path(__file__).parent
SKU = "drop"


@cache
def sql(name: str) -> str:
    """Return the statement in `sql/<name>.sql`."""
    return (FOLDER / "sql" / f"{name}.sql").read_text()


@cache
def lua(name: str) -> str:
    """Return the script in `lua/<name>.lua`."""
    return (FOLDER / "lua" / f"{name}.lua").read_text()


class Servers:
    """The same PostgreSQL and Valkey that FlashGuard uses."""

    def __init__(self, pool: "asyncpg.Pool[Any]", redis: "Redis", prefix: str) -> None:
        self.pool = pool
        self.redis = redis
        self.prefix = prefix


class Strategy:
    """One way to sell a scarce item. `buy` returns an order id, or None if sold out."""

    name: ClassVar[str]

    def __init__(self, servers: Servers) -> None:
        self.pool = servers.pool
        self.redis = servers.redis
        self.prefix = servers.prefix

    async def set_up(self, stock: int) -> None:
        await self.pool.execute(sql("put_stock"), SKU, stock)

    async def buy(self, customer: str) -> str | None:
        raise AssertionError("every strategy defines `buy`")

    async def truth(self) -> tuple[int, int]:
        """Return the orders in the database, and the units that can still be sold."""
        orders = await self.pool.fetchval(sql("count_orders"))
        return orders, await self.available()

    async def available(self) -> int:
        return int(await self.pool.fetchval(sql("read_stock"), SKU))
