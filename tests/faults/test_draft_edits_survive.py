"""Edits and deletions of drafts are facts of the journal: they survive deaths, and a ledger set back."""

import asyncio
from typing import Any

import pytest

from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.model import SaleId
from flashguard.recorder.catalogue import compare_sales
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.faults.test_ledger_fell_back import everything_recorded, set_back, shown
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started

MORE = {"delta": 4, "reason": "more"}


def item(sku: str, stock: int) -> dict[str, Any]:
    return {"sku": sku, "name": sku.title(), "price_minor": 700, "currency": "EUR", "stock": stock}


async def test_what_became_of_drafts_comes_back_with_a_ledger_that_fell_back(http) -> None:
    async with started(http) as stack:
        service = stack.service
        old = await service.create_sale(opened=False, stock=5, spread=1)
        gone = await service.create_sale(opened=False, stock=5, spread=1)
        again = await service.create_sale(opened=False, stock=5, spread=1)
        await everything_recorded(stack)
        async with set_back(stack):
            new = await service.create_sale(opened=False, stock=5, spread=1)
            for sale in (old, new):
                edit = {"items": [item("cap", 3), item("unit", 2)], "waiting_room": {"mode": "fifo"}}
                await service.admin("PATCH", f"/v1/sales/{sale}", edit)
                await service.admin("POST", f"/v1/sales/{sale}/items/cap/restock", MORE)
                await service.admin("PATCH", f"/v1/sales/{sale}", {"items": [item("cap", 6)]})
            for sale in (gone, again):
                assert (await service.call("DELETE", f"/v1/sales/{sale}", admin=True)).status == 204
            body = {"id": again, "name": "Another", "items": [item("mug", 1)]}
            (await service.call("POST", "/v1/sales", body, admin=True)).ok(201)
            await everything_recorded(stack)
            before = [await shown(stack, sale) for sale in (old, new, again)]
            epochs = [await stack.epoch(sale) for sale in (old, new, again)]
        await everything_recorded(stack)
        assert [await shown(stack, sale) for sale in (old, new, again)] == before
        assert [await stack.epoch(sale) for sale in (old, new, again)] == epochs  # replayed, not rebuilt
        assert [sale["items"][0]["stock"] for sale in before] == [6, 6, 1]
        assert before[0]["waiting_room"]["mode"] == "fifo"
        (await service.call("GET", f"/v1/sales/{gone}", admin=True)).problem(404, "unknown-sale")
        for sale in (old, new, again):
            await service.audit(sale)


async def test_edits_and_restocks_that_one_recorder_left_are_written_in_order_by_the_next(http) -> None:
    async with started(http) as stack:
        service = stack.service
        draft = await service.create_sale(opened=False, stock=5, spread=1)
        gone = await service.create_sale(opened=False, stock=5, spread=1)
        await everything_recorded(stack)
        await stack.end("recorder")
        path, seq = f"/v1/sales/{draft}", int((await stack.head(draft))["seq"])
        calls: list[asyncio.Task[Any]] = []
        for number, (method, to, body) in enumerate((
            ("POST", f"{path}/items/unit/restock", MORE),
            ("PATCH", path, {"items": [item("cap", 1)]}),
            ("POST", f"{path}/items/cap/restock", MORE),
            ("PATCH", path, {"items": [item("cap", 2), item("unit", 1)], "limit_per_customer": 3}),
            ("POST", f"{path}/items/unit/restock", MORE),
        )):  # fmt: skip
            calls.append(asyncio.create_task(service.call(method, to, body, admin=True)))

            async def decided(number: int = number) -> bool:
                return int((await stack.head(draft))["seq"]) > seq + number

            await eventually(decided, "memory has decided it")
        calls.append(asyncio.create_task(service.call("DELETE", f"/v1/sales/{gone}", admin=True)))
        stack.start("recorder")
        answers = await asyncio.gather(*calls)
        assert {answer.status for answer in answers[1:]} <= {200, 204, 503}, (
            answers
        )  # the first may miss its item
        await everything_recorded(stack)
        sale = await shown(stack, draft)
        assert [(each["sku"], each["stock"]) for each in sale["items"]] == [("cap", 2), ("unit", 5)]
        assert sale["limit_per_customer"] == 3
        await service.audit(draft)
        await eventually(lambda: is_forgotten(stack, gone), "memory has forgotten the deleted draft")


async def is_forgotten(stack: Stack, sale: str) -> bool:
    number = stack.partition(sale)
    names = await stack.memory.smembers(keys.sales(number))
    left = await stack.memory.exists(keys.sale(number, SaleId(sale)).sale)
    return sale.encode() not in names and not left


async def test_a_draft_whose_deleter_died_is_forgotten_by_memory_without_a_rebuild(http) -> None:
    async with started(http) as stack:
        service = stack.service
        draft = await service.create_sale(opened=False, stock=5, spread=1)
        epoch = await stack.epoch(draft)
        kernel = Kernel(client := connect_kernel(stack.servers.redis_url, Settings()))
        await kernel.run(Verb.CHANGE_SALE, stack.partition(draft), [SaleId(draft)], [(0, "delete", {}, "")])
        await client.aclose()
        await eventually(lambda: is_forgotten(stack, draft), "memory has forgotten it")
        (await service.call("GET", f"/v1/sales/{draft}", admin=True)).problem(404, "unknown-sale")
        await asyncio.sleep(2.5)  # a round of the catalogue: nothing brings it back
        assert await is_forgotten(stack, draft)
        assert await stack.epoch(draft) == epoch


@pytest.mark.parametrize("before", ["the ledger is read", "memory is verified"])
async def test_a_draft_deleted_while_the_catalogue_is_compared_starts_no_rebuild(http, before) -> None:
    """The deleter removes the draft from memory between the recorder's reads of memory and of the ledger."""
    async with started(http) as stack:
        service = stack.service
        draft = await service.create_sale(opened=False, stock=5, spread=1)
        kept = await service.create_sale(opened=False, stock=5, spread=1)
        number = stack.partition(draft)
        await everything_recorded(stack)

        async def delete() -> None:
            deleted = await service.call("DELETE", f"/v1/sales/{draft}", admin=True)
            assert deleted.status == 204
            await eventually(lambda: is_forgotten(stack, draft), "memory has forgotten it")

        class Interleaved(Kernel):
            async def sales(self, partition: int) -> set[SaleId]:
                names = await super().sales(partition)
                if before == "the ledger is read" and draft in names:
                    await delete()
                return names

            async def run(self, verb: Verb, partition: int, sales, requests, **more) -> Any:
                if before == "memory is verified" and draft in sales:
                    await delete()
                return await super().run(verb, partition, sales, requests, **more)

        suspicions: list[str] = []
        kernel = Interleaved(client := connect_kernel(stack.servers.redis_url, Settings()))
        ledger = await Ledger.connect(stack.servers.database_url, connections=2)
        await compare_sales(kernel, ledger, number, 1.0, suspicions.append)
        await ledger.close()
        await client.aclose()
        assert suspicions == []
        (await service.call("GET", f"/v1/sales/{kept}", admin=True)).ok()
