"""A ledger older than memory: a little is replayed, more waits for an operator; nothing is sold again."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger, StoredSale
from flashguard.ledger.loading import SaleRows, sale_to_load
from flashguard.model import Item, MinorUnits, Sale, SaleId, SaleStatus, Sku
from flashguard.recorder import load
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.eventually import eventually
from tests.support.forked import run_flashguard
from tests.support.real_stack import PARTITIONS, Stack, started
from tests.support.service import clean_env, unique

TAIL_ENTRIES = 2


@asynccontextmanager
async def set_back(stack: Stack) -> AsyncIterator[None]:
    """What happens inside is not in the ledger that comes back after it: as restored from a backup."""
    cluster = stack.servers.postgres.home / "cluster"
    backup = cluster.with_name("backup")
    await stack.servers.postgres.stop()
    subprocess.run(["cp", "-a", cluster, backup], check=True)
    await stack.servers.postgres.start()
    await stack.ready()
    yield
    await stack.servers.postgres.stop()
    subprocess.run(["rm", "-rf", cluster], check=True)
    backup.rename(cluster)
    await stack.servers.postgres.start()


def told(stack: Stack, *words: str) -> tuple[int, str]:
    env = clean_env(
        FLASHGUARD_REDIS_URL=stack.servers.redis_url, FLASHGUARD_DATABASE_URL=stack.servers.database_url
    )
    ran = run_flashguard("recover", *words, env=env)
    assert ran.stdout, ran.stderr
    return ran.returncode, ran.stdout


def recover(stack: Stack, *words: str) -> tuple[int, dict[str, Any]]:
    code, text = told(stack, "--json", *words)
    return code, json.loads(text)


async def trimmed(stack: Stack, sale: str) -> bool:
    return int(await stack.memory.xlen(keys.journal(stack.partition(sale)))) <= TAIL_ENTRIES + 1


async def bought(stack: Stack, sale: str, *keys: str) -> list[str]:
    answers = [await stack.retried(lambda key=key: stack.service.buy(sale, key, key=key)) for key in keys]
    return [str(answer.ok(201)["id"]) for answer in answers]


async def test_a_ledger_that_fell_back_within_the_journals_tail_replays(http) -> None:
    async with started(http) as stack:
        sale = await stack.service.create_sale()
        first = await bought(stack, sale, "a", "b")
        await stack.recorded(sale)
        async with set_back(stack):
            second = await bought(stack, sale, "c", "d")
            await stack.recorded(sale)
        await stack.ready()
        await stack.recorded(sale)
        assert (await stack.service.audit(sale))["orders"] == 4
        for id_ in (*first, *second):
            assert (await stack.service.call("GET", f"/v1/reservations/{id_}")).ok()["status"] == "confirmed"


@pytest.mark.parametrize("take", ["memory", "ledger"])
async def test_one_that_fell_back_further_waits_for_an_operator(http, take: str) -> None:
    short = {"FLASHGUARD_JOURNAL_TAIL_ENTRIES": str(TAIL_ENTRIES), "FLASHGUARD_JOURNAL_TAIL_SECONDS": "0"}
    async with started(http, **short) as stack:
        sale = await stack.service.create_sale(stock=10)
        await bought(stack, sale, "a", "b")
        await stack.recorded(sale)
        async with set_back(stack):
            lost = await bought(stack, sale, *"cdefg")
            await stack.recorded(sale)
            await eventually(lambda: trimmed(stack, sale), "the journal's tail is short")

        async def fenced() -> bool:
            return "once" in (await stack.head(sale)).get("why", "")

        await eventually(fenced, "the partition waits for an operator")
        (await stack.service.buy(sale, "z", key="z")).problem(503, "recovering")
        code, shown = recover(stack)
        assert code == 1
        [choice] = shown["partitions"]
        assert choice["partition"] == stack.partition(sale)
        assert set(choice["lost_orders"]) == set(lost)
        [item] = choice["items"]
        assert (item["memory"], item["ledger"]) == ([10, 0, 7], [10, 0, 2])
        code, text = told(stack)
        assert code == 1
        for part in (
            f"partition {stack.partition(sale)}",
            "5 orders",
            "10 / 0 / 7",
            "--take memory",
            "--take ledger",
        ):
            assert part in text
        assert "fence" in await stack.head(sale)  # looking decides nothing

        code, taken = recover(stack, "--take", take)
        assert code == 0
        assert taken["unwritten_orders"] == []
        await stack.ready()
        code, shown = recover(stack)
        assert (code, shown["partitions"]) == (0, [])
        assert "Nothing to decide" in told(stack)[1]
        now = await stack.service.item(sale)
        report = await stack.service.audit(sale)
        if take == "ledger":
            assert (now["stock"], now["sold"], now["available"]) == (10, 2, 8)
        else:  # some of the lost orders were still in the journal; the others' units are kept back
            written = report["orders"] - 2
            assert 1 <= written <= 4
            assert (now["sold"], now["available"]) == (2 + written, 3)
            assert now["stock"] == 10 - (5 - written)
        await bought(stack, sale, "z")
        await stack.service.audit(sale)


async def test_one_that_fell_back_behind_a_rebuild_waits_for_an_operator(http) -> None:
    async with started(http) as stack:
        sale = await stack.service.create_sale(stock=10)
        await bought(stack, sale, "a", "b")
        await stack.recorded(sale)
        async with set_back(stack):
            lost = await bought(stack, sale, "c", "d", "e")
            await stack.recorded(sale)
            await stack.memory.flushall()
            await eventually(lambda: rebuilt(stack, sale), "memory is rebuilt")

        async def waits() -> bool:
            return "the ledger only at" in (await stack.head(sale)).get("why", "")

        await eventually(waits, "the partition waits for an operator")
        (await stack.service.buy(sale, "z", key="z")).problem(503, "recovering")
        code, shown = recover(stack)
        assert code == 1
        [choice] = [each for each in shown["partitions"] if each["partition"] == stack.partition(sale)]
        assert set(choice["lost_orders"]) == set(lost)
        [item] = choice["items"]
        assert (item["memory"], item["ledger"]) == ([10, 0, 5], [10, 0, 2])


async def rebuilt(stack: Stack, sale: str) -> bool:
    head = await stack.head(sale)
    return int(head.get("epoch", 0)) > 1 and "fence" not in head


async def everything_recorded(stack: Stack) -> None:
    """Waits until the ledger has all of every journal, and the service is ready."""
    await stack.ready()
    ledger = await Ledger.connect(stack.servers.database_url)

    async def same() -> bool:
        positions = await ledger.positions.all()
        for number in range(PARTITIONS):
            head = await stack.memory.hmget(keys.partition(number), "epoch", "seq")
            if head != [str(positions[number].epoch).encode(), str(positions[number].seq).encode()]:
                return False
        return True

    await eventually(same, "all is recorded")
    await ledger.close()


async def shown(stack: Stack, sale: str) -> dict[str, Any]:
    return (await stack.retried(lambda: stack.service.call("GET", f"/v1/sales/{sale}", admin=True))).ok()


@pytest.mark.parametrize("spread", [1, 3])
async def test_a_sale_made_after_the_backup_comes_back_with_all_that_became_of_it(http, spread: int) -> None:
    async with started(http) as stack:
        service = stack.service
        async with set_back(stack):
            sale = await service.create_sale(
                stock=20, limit=5, skus=("unit", "other"), spread=spread, max_held_per_customer=4
            )
            orders = await bought(stack, sale, *"abcdef")
            held = (await service.hold(sale, "g", key="g")).ok(201)["id"]
            await service.admin("PATCH", f"/v1/sales/{sale}", {"name": "Renamed", "limit_per_customer": 7})
            await service.admin("PATCH", f"/v1/sales/{sale}", {"ends_at": "2999-01-01T00:00:00Z"})
            await service.admin(
                "POST", f"/v1/sales/{sale}/items/other/restock", {"delta": 3, "reason": "found"}
            )
            await service.admin("POST", f"/v1/sales/{sale}/pause")
            await everything_recorded(stack)
            before = await shown(stack, sale)
            epoch = await stack.epoch(sale)
        await everything_recorded(stack)
        after = await shown(stack, sale)
        assert after == before
        assert (after["name"], after["limit_per_customer"], after["status"]) == ("Renamed", 7, "paused")
        for id_ in orders:
            assert (await service.call("GET", f"/v1/reservations/{id_}")).ok()["status"] == "confirmed"
        assert (await service.verb(held, "confirm")).ok()["status"] == "confirmed"
        assert (await service.audit(sale))["orders"] == len(orders) + 1
        assert await stack.epoch(sale) == epoch  # replayed, not rebuilt
        again = (await service.buy(sale, "a", key="a")).ok(201)  # the same key is the same order
        assert again["id"] == orders[0]


async def test_a_draft_that_was_the_last_thing_before_a_failover_comes_back(http) -> None:
    room = {"mode": "fifo", "admit_per_second": 5}
    async with started(http) as stack:
        service = stack.service
        async with set_back(stack):
            sale = await service.create_sale(opened=False, waiting_room=room)
            before = await shown(stack, sale)
        await everything_recorded(stack)
        assert await shown(stack, sale) == before
        changed = await service.admin(
            "PATCH", f"/v1/sales/{sale}", {"waiting_room": {"admit_per_second": 9}, "name": "Later"}
        )
        assert (changed["waiting_room"]["admit_per_second"], changed["name"]) == (9, "Later")
        await service.admin("POST", f"/v1/sales/{sale}/open")
        await service.audit(sale)


async def test_a_rooms_new_rules_come_back(http) -> None:
    async with started(http) as stack:
        service = stack.service
        sale = await service.create_sale(opened=False, waiting_room={"mode": "fifo", "admit_per_second": 5})
        await everything_recorded(stack)
        async with set_back(stack):
            await service.admin("PATCH", f"/v1/sales/{sale}", {"waiting_room": {"admit_per_second": 9}})
        await everything_recorded(stack)
        assert (await shown(stack, sale))["waiting_room"]["admit_per_second"] == 9


def a_sale(id_: str) -> StoredSale:
    item = Item(sku=Sku("unit"), name="Unit", price_minor=MinorUnits(5), currency="EUR", stock=10)
    return StoredSale(Sale(id=SaleId(id_), name="Half made", status=SaleStatus.DRAFT, items=(item,)), 120)


async def test_a_sale_whose_creator_died_is_completed_and_comes_back(http) -> None:
    async with started(http) as stack:
        sale = unique()
        async with set_back(stack):
            ledger = await Ledger.connect(stack.servers.database_url)
            assert await ledger.sales.create(a_sale(sale), stack.partition(sale))
            await ledger.close()

            async def in_memory() -> bool:
                names = await stack.memory.smembers(keys.sales(stack.partition(sale)))
                return sale.encode() in names

            await eventually(in_memory, "a recorder completes it")
        await everything_recorded(stack)
        assert (await shown(stack, sale))["name"] == "Half made"


async def test_orders_of_a_sale_that_nothing_can_restore_wait_for_an_operator(http, monkeypatch) -> None:
    """As of a version whose sales did not enter the journal."""

    async def no_definition(_: SaleRows) -> None:
        return None

    monkeypatch.setattr(SaleRows, "definition", no_definition)
    async with started(http) as stack:
        service, sale = stack.service, unique()
        kernel = Kernel(client := connect_kernel(stack.servers.redis_url, Settings()))
        async with set_back(stack):
            ledger = await Ledger.connect(stack.servers.database_url)
            assert await ledger.sales.create(a_sale(sale), stack.partition(sale))
            async with ledger.connection() as connection:
                row = await sale_to_load(connection, sale)
                await load.load_sale(kernel, connection, stack.partition(sale), row)
            await ledger.close()
            await client.aclose()
            await service.admin("POST", f"/v1/sales/{sale}/open")
            await bought(stack, sale, "a", "b")
            await everything_recorded(stack)

        async def fenced() -> bool:
            return "has no sale" in (await stack.head(sale)).get("why", "")

        await eventually(fenced, "the partition waits for an operator")
        (await service.buy(sale, "z", key="z")).problem(503, "recovering")
        readiness = await stack.readiness()
        assert "has no sale" in json.dumps(readiness)
        await stack.end("recorder")  # another recorder leaves it closed, too
        stack.start("recorder")
        code, said = recover(stack)
        assert code == 1
        [choice] = said["partitions"]
        assert f"no sale {sale}" in choice["why"]
        assert len(choice["lost_orders"]) == 2
        assert "no sale" in (await stack.head(sale)).get("why", "")
        assert recover(stack, "--take", "ledger")[0] == 0
        await stack.ready()
        (await service.call("GET", f"/v1/sales/{sale}")).problem(404, "unknown-sale")


async def test_an_id_that_was_used_again_meanwhile_waits_for_an_operator(http) -> None:
    async with started(http) as stack:
        service = stack.service
        async with set_back(stack):
            sale = await service.create_sale(stock=4)
            await bought(stack, sale, "a")
            await everything_recorded(stack)
            await stack.end("recorder")
        ledger = await Ledger.connect(stack.servers.database_url)
        assert await ledger.sales.create(a_sale(sale), stack.partition(sale))
        await ledger.close()
        stack.start("recorder")

        async def fenced() -> bool:
            return "another sale" in (await stack.head(sale)).get("why", "")

        await eventually(fenced, "the partition waits for an operator")


async def test_a_sale_that_the_ledger_lost_is_not_made_again_under_its_id(http) -> None:
    async with started(http) as stack:
        service = stack.service
        async with set_back(stack):
            sale = await service.create_sale(stock=4)
            await bought(stack, sale, "a")
            await stack.end("recorder")
        body = {"id": sale, "name": "Again", "items": [
            {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": 4}
        ]}  # fmt: skip

        async def answers() -> bool:
            return (await service.call("GET", f"/v1/sales/{sale}", admin=True)).status == 404

        await eventually(answers, "PostgreSQL is back")
        (await service.call("POST", "/v1/sales", body, admin=True)).problem(503, "recovering")
        stack.start("recorder")
        await everything_recorded(stack)
        assert (await service.audit(sale))["orders"] == 1


async def test_a_sale_is_created_only_once_memory_has_it(http) -> None:
    async with started(http) as stack:
        service, body = stack.service, {"name": "Later", "items": [
            {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": 4}
        ]}  # fmt: skip

        async def create() -> Any:
            return await service.call("POST", "/v1/sales", body, admin=True, headers={"Idempotency-Key": "k"})

        stack.hang(stack.servers.valkey.pid)
        try:
            (await create()).problem(503, "recovering")
        finally:
            stack.go_on(stack.servers.valkey.pid)
        sale = (await stack.retried(create)).ok(201)["id"]
        entries = await stack.memory.xrange(keys.journal(stack.partition(sale)))
        assert sum(b"create" in fields[b"d"] for _, fields in entries) == 1
