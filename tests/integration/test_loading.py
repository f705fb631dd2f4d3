"""Loading a sale into memory, against real servers, when memory goes away in the middle."""

from typing import Any

import pytest

from conftest import Service, unique
from flashguard.guard import connect_kernel
from flashguard.kernel.kernel import Kernel, MemoryAway, Reply
from flashguard.ledger import Ledger
from flashguard.ledger.sql import query
from flashguard.model import SaleId, partition_of
from flashguard.recorder import loading
from flashguard.settings import Settings


class Leaving(Kernel):
    """Memory that goes away after a few loads."""

    left = 2

    async def run(self, *args: Any, **more: Any) -> Reply:
        self.left -= 1
        if self.left < 0:
            raise MemoryAway("gone")
        return Reply("", 1, 1, 1, ["loaded"])


async def test_memory_that_leaves_in_a_load_ends_what_the_ledger_was_reading_ahead(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own error comes out, and the connection is free for whoever has it next."""
    monkeypatch.setattr(loading, "PAGE", 2)
    sale = await service.create_sale(stock=50)
    for number in range(20):
        take = service.buy if number % 2 else service.hold
        assert (await take(sale, unique("c"), key=unique("key"))).status == 201
    settings = Settings()
    client = connect_kernel(service.redis_url, settings)
    ledger = await Ledger.connect(service.database_url)
    try:
        partition = partition_of(SaleId(sale), 16)
        for left in range(1, 12):
            kernel = Leaving(client)
            kernel.left = left
            async with ledger.connection() as connection:
                (row,) = [
                    row
                    for row in await connection.fetch(query("sales_in_memory"), partition, 3600.0)
                    if row["id"] == sale
                ]
                with pytest.raises(MemoryAway):
                    await loading.load_sale(kernel, connection, partition, row, fence="1")
                assert await connection.fetchval("SELECT 1") == 1
    finally:
        await ledger.close()
        await client.aclose()
