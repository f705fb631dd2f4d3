"""What all rival strategies share: servers, tables, and the count of what was really sold."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flashguard.simulator.goods import SKU

if TYPE_CHECKING:
    import asyncpg
    from redis.asyncio import Redis

FOLDER = Path(__file__).parent


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

    async def set_up(self, stocks: Mapping[str, int]) -> None:
        for name, stock in stocks.items():
            await self.pool.execute(sql("put_stock"), name, stock)

    async def buy(self, customer: str) -> str | None:
        raise AssertionError("every strategy defines `buy`")

    async def truth(self) -> dict[str, tuple[int, int]]:
        """Return the units that the orders in the database took, and those that can still be sold, by
        stock."""
        taken = {row["stock"]: row["units"] for row in await self.pool.fetch(sql("count_taken"))}
        return {name: (taken.get(name, 0), left) for name, left in (await self.available()).items()}

    async def orders(self) -> list[tuple[str, str]]:
        """Return the id and the customer of each order, in the order in which they were made."""
        return [(str(row["id"]), row["customer"]) for row in await self.pool.fetch(sql("list_orders"))]

    async def available(self) -> dict[str, int]:
        return {row["sku"]: row["stock"] for row in await self.pool.fetch(sql("read_stocks"))}


class BasketStrategy(Strategy):
    """A strategy that can sell from several stocks at once."""

    async def buy(self, customer: str) -> str | None:
        return await self.take(customer, (SKU,))

    async def take(self, customer: str, wanted: Sequence[str]) -> str | None:
        """Take a unit of each stock, all or none; return an order id, or None if sold out."""
        raise AssertionError("every such strategy defines `take`")

    async def insert_order(
        self, connection: "asyncpg.pool.PoolConnectionProxy[Any]", customer: str, wanted: Sequence[str]
    ) -> str:
        """Write an order of a unit of each of these stocks; return its id."""
        return str(await connection.fetchval(sql("insert_order"), "+".join(wanted), customer))
