"""Loading a sale into memory, against real servers, when memory goes away in the middle."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from flashguard.kernel import keys
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import STAGED_SECONDS, Kernel, Reply
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, audit, loading
from flashguard.ledger.loading import sales_in_memory
from flashguard.ledger.sql import query
from flashguard.model import SaleId, partition_of
from flashguard.recorder import load
from flashguard.recorder.rebuild import Overtaken, rebuild
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.eventually import eventually
from tests.support.service import Service, unique


class Leaving(Kernel):
    """Memory that goes away after a few loads."""

    left = 2

    async def run(self, *args: Any, **more: Any) -> Reply:
        self._leave()
        return Reply("", 1, 1, 1, ["loaded"])

    async def stage(self, key: str, pairs: Sequence[object]) -> None:
        self._leave()

    def _leave(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise MemoryAway("gone")


async def test_memory_that_leaves_in_a_load_ends_what_the_ledger_was_reading_ahead(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own error comes out, and the connection is free for whoever has it next."""
    monkeypatch.setattr(load, "PAGE", 2)
    sale = await service.create_sale(stock=50)
    for number in range(20):
        take = service.buy if number % 2 else service.hold
        assert (await take(sale, unique("c"), key=unique("key"))).status == 201
    settings = Settings()
    client = connect_kernel(service.redis_url, settings)
    ledger = await Ledger.connect(service.database_url)
    try:
        partition = partition_of(SaleId(sale), 16)
        for left in range(1, 24):
            kernel = Leaving(client)
            kernel.left = left
            async with ledger.connection() as connection:
                (row,) = [
                    row for row in await sales_in_memory(connection, partition, 3600.0) if row["id"] == sale
                ]
                with pytest.raises(MemoryAway):
                    await load.load_sale(kernel, connection, partition, row, fence=load.Fence("1"))
                assert await connection.fetchval("SELECT 1") == 1
    finally:
        await ledger.close()
        await client.aclose()


async def test_what_a_rebuild_staged_is_taken_only_when_it_is_all_there(service: Service) -> None:
    """Staged pages could expire under a slow builder, or be evicted: half of the orders are no orders."""
    client = connect_kernel(service.redis_url, Settings())
    kernel = Kernel(client)
    number, sale, epoch = 500, SaleId("staged"), "1"  # a partition that no recorder looks at
    names, staged = keys.sale(number, sale), keys.staged(number, sale, epoch)

    async def send(step: str, fence: str, *counts: int) -> Reply:
        more = load.more_keys(number, sale) + staged
        return await kernel.run(
            Verb.LOAD, number, [sale], (step, fence, [], [], [], [], [], counts), more_keys=more
        )

    try:
        await kernel.run(Verb.FENCE, number, [], [epoch, "builder", 60_000, "a test"])
        await send("first", epoch)
        await kernel.stage(staged[0], ["a", b"\x02", "b", b"\x02"])
        await kernel.stage(staged[1], ["ann", 2])
        assert 0 < await client.execute_command("TTL", staged[0]) <= STAGED_SECONDS
        assert (await send("adopt", "0", 2, 1)).status == "recovering"
        assert (await send("adopt", epoch, 3, 1)).results == ["incomplete"]
        assert (await send("adopt", epoch, 2, 1)).results == ["loaded"]
        records = await client.execute_command("HGETALL", names.reservations)
        assert records == {b"": b"", b"a": b"\x02", b"b": b"\x02"}
        assert await client.execute_command("HGETALL", names.used) == {b"": b"0", b"ann": b"2"}
        assert await client.execute_command("TTL", names.reservations) == -1
        assert (await send("adopt", epoch, 0, 0)).results == ["loaded"]
    finally:
        await send("drop", epoch)
        await client.execute_command("UNLINK", keys.partition(number), keys.journal(number))
        await client.aclose()


@pytest.mark.parametrize("name", ["reservations", "deadlines", "used", "history", "queue"])
async def test_a_key_that_is_deleted_between_two_pages_of_a_rebuild_is_missed(
    service: Service, name: str
) -> None:
    """Its records are gone, and the last page completes the sale."""
    client = connect_kernel(service.redis_url, Settings())
    kernel = Kernel(client)
    number, sale, epoch = 501, SaleId("deleted"), "1"  # a partition that no recorder looks at

    async def send(step: str, *config: object) -> Sequence[object]:
        request = (step, epoch, config, [], [], [], [], [])
        more = load.more_keys(number, sale)
        return (await kernel.run(Verb.LOAD, number, [sale], request, more_keys=more)).results

    try:
        await kernel.run(Verb.FENCE, number, [], [epoch, "builder", 60_000, "a test"])
        assert await send("first") == ["loaded"]
        await client.execute_command("DEL", getattr(keys.sale(number, sale), name))
        assert await send("more", "open") == ["incomplete"]
        assert await send("first") == ["loaded"]
        assert await send("more", "open") == ["loaded"]
    finally:
        await send("drop")
        await client.execute_command("UNLINK", keys.partition(number), keys.journal(number))
        await client.aclose()


class Promoted(Kernel):
    """Memory that fails over in a rebuild to a replica that lacks one load of a sale, and has its fence."""

    lacks = ""
    sale: SaleId

    async def run(self, verb: Verb, partition: int, sales: Any, requests: Any, **more: Any) -> Reply:
        if verb is not Verb.LOAD or list(sales) != [self.sale] or self.lacks not in _kind(requests):
            return await super().run(verb, partition, sales, requests, **more)
        self.lacks = "none"
        ask = self.client.execute_command
        had = {key: await ask("DUMP", key) for key in await ask("KEYS", f"fg:{{{partition}}}:*")}
        reply = await super().run(verb, partition, sales, requests, **more)
        await ask("UNLINK", *await ask("KEYS", f"fg:{{{partition}}}:*"))
        for key, value in had.items():
            await ask("RESTORE", key, 0, value)
        return reply


def _kind(requests: Sequence[Any]) -> tuple[str, ...]:
    step, _, config, *_ = requests
    return (step, "last") if config else (step,)


@pytest.mark.parametrize("lacks", ["first", "adopt", "last"])
async def test_a_replica_that_is_promoted_in_a_rebuild_opens_only_with_all_of_it(
    service: Service, lacks: str
) -> None:
    """What it had before the rebuild would be taken for the ledger's: a hold that no buyer has."""
    sale = SaleId(await service.create_sale(stock=5))
    order = (await service.buy(sale, unique("c"), key=unique("key"))).ok(201)
    settings = Settings()
    client = connect_kernel(service.redis_url, settings)
    kernel, number = Promoted(client), partition_of(sale, 16)
    kernel.lacks, kernel.sale = lacks, sale
    ledger = await Ledger.connect(service.database_url)
    reservations = keys.sale(number, sale).reservations

    async def drain(_: object) -> None:
        """The ledger has the order, and there is nothing else."""

    try:
        await client.execute_command("HSET", reservations, "of another history", b"\x02")
        with pytest.raises(Overtaken):
            await rebuild(kernel, ledger, number, why="a test", closed_sale_hours=1.0, drain=drain)

        async def is_open() -> bool:
            return (await service.buy(sale, unique("c"), key=unique("key"))).status == 201

        await eventually(is_open, "a recorder has rebuilt the partition")
        assert await client.execute_command("HEXISTS", reservations, "of another history") == 0
        assert await client.execute_command(
            "HEXISTS", reservations, order["id"].split("_")[-1].split(".")[-1]
        )
        assert (await service.audit(sale))["ok"]
    finally:
        await ledger.close()
        await client.aclose()


async def test_a_sale_that_takes_longer_to_read_than_a_statement_may_is_loaded_and_audited(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first row comes, PostgreSQL sums what ten million reservations used."""
    names = {"used_to_load", "audit_items", "audit_orders"}
    slow = "SELECT pg_sleep(2.5), $1::text, 0 AS orders"
    for module in (loading, audit):
        monkeypatch.setattr(module, "query", lambda name: slow if name in names else query(name))
    sale = SaleId(await service.create_sale())
    ledger = await Ledger.connect(service.database_url, timeout=2)
    try:

        async def used() -> int:
            async with ledger.connection() as connection, connection.transaction():
                return sum([len(rows) async for rows in loading.SaleRows(connection, sale, 10).used()])

        rows, read = await asyncio.gather(used(), audit.audited_sale(ledger, sale, partition_of(sale, 16)))
        assert rows == len(read.items) == 1
    finally:
        await ledger.close()
