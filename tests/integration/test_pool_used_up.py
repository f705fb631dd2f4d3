"""A pooler whose connections are all taken: buyers wait for a bounded time, and lose nothing."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import asyncpg

from flashguard.embedded import EmbeddedServers
from tests.support.ports import free_port
from tests.support.service import serving
from tests.support.stacks import Stack, folder, migrate
from tests.support.stacks.pgbouncer import let_in, pooler, socket_folder

CONNECTIONS = 2


async def test_a_buyer_is_told_to_come_back_and_the_same_key_is_an_order_once_the_pool_is_free(
    http: aiohttp.ClientSession,
) -> None:
    limits = {"default_pool_size": str(CONNECTIONS), "query_wait_timeout": "1"}
    with folder() as place:
        place.chmod(0o777)
        async with AsyncExitStack() as running:
            servers = await running.enter_async_context(EmbeddedServers(place / "data"))
            await migrate(servers.database_url)
            role = await let_in(servers.database_url)
            url = await running.enter_async_context(
                pooler(socket_folder(servers), place, free_port(), role=role, **limits)
            )
            stack = Stack(servers.redis_url, url, {"FLASHGUARD_RECORD_TIMEOUT_SECONDS": "1"})
            service = await running.enter_async_context(serving(stack, http))
            sale = await service.create_sale(stock=5)
            hogs = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(CONNECTIONS)]
            for hog in hogs:
                await hog.execute("BEGIN")
            (await service.hold(sale, "holder")).ok(201)
            assert (await service.buy(sale, "buyer", key="one")).problem(503, "overloaded")
            listed = await service.call("GET", f"/v1/sales/{sale}/orders", admin=True)
            listed.problem(503, "recovering")
            assert "Retry-After" in listed.headers
            for hog in hogs:
                await hog.close()
            async with asyncio.timeout(30):
                while (answer := await service.buy(sale, "buyer", key="one")).status != 201:
                    assert answer.status in (409, 503), answer
                    await asyncio.sleep(0.1)
            await service.audit(sale)
