"""`flashguard recover`: with `--take memory`, what only memory knows comes out as memory says."""

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flashguard.kernel import keys
from flashguard.model import SaleId
from flashguard.model.shards import shard_ids
from tests.faults.test_ledger_fell_back import (
    TAIL_ENTRIES,
    everything_recorded,
    recover,
    set_back,
    shown,
    trimmed,
)
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import Answer

SHORT = {"FLASHGUARD_JOURNAL_TAIL_ENTRIES": str(TAIL_ENTRIES), "FLASHGUARD_JOURNAL_TAIL_SECONDS": "0"}


class Shop:
    """One sale, and everything that was answered about it."""

    def __init__(self, stack: Stack, sale: str, seed: int) -> None:
        self.stack, self.sale, self.random = stack, sale, random.Random(seed)
        self.ids: list[str] = []
        self.entries: list[str] = []
        self.count = 0

    async def do(self, times: int) -> None:
        verbs: list[Callable[[], Awaitable[Answer]]] = [
            self.hold, self.hold, self.hold, self.buy, self.confirm, self.confirm, self.release, self.extend,
            self.cancel, self.restock, self.join, self.leave, self.patch,
        ]  # fmt: skip
        for _ in range(times):
            self.count += 1
            answer = await self.random.choice(verbs)()
            assert answer.status < 500, answer

    def customer(self) -> str:
        return f"c{self.random.randrange(6)}"

    async def hold(self) -> Answer:
        answer = await self.stack.service.hold(
            self.sale, self.customer(), self.random.randint(1, 2), key=f"k{self.count}"
        )
        self.ids += [answer.body["id"]] if answer.status == 201 else []
        return answer

    async def buy(self) -> Answer:
        answer = await self.stack.service.buy(self.sale, self.customer(), key=f"k{self.count}")
        self.ids += [answer.body["id"]] if answer.status == 201 else []
        return answer

    async def of_one(self, verb: str) -> Answer:
        if not self.ids:
            return await self.hold()
        return await self.stack.service.verb(self.random.choice(self.ids), verb, key=f"k{self.count}")

    async def confirm(self) -> Answer:
        return await self.of_one("confirm")

    async def release(self) -> Answer:
        return await self.of_one("release")

    async def extend(self) -> Answer:
        return await self.of_one("extend")

    async def cancel(self) -> Answer:
        if not self.ids:
            return await self.hold()
        body = {"restock": self.random.random() < 0.5, "reason": "sent back"}
        path = f"/v1/orders/{self.random.choice(self.ids)}/cancel"
        return await self.stack.service.call("POST", path, body, admin=True)

    async def restock(self) -> Answer:
        body = {"delta": self.random.choice([-1, 1, 2, 3]), "reason": "counted"}
        path, key = f"/v1/sales/{self.sale}/items/unit/restock", f"r{self.count}"
        return await self.stack.service.call("POST", path, body, admin=True, key=key)

    async def join(self) -> Answer:
        body = {"customer": self.customer(), "items": [{"sku": "unit", "quantity": 9}]}
        path = f"/v1/sales/{self.sale}/waiting-list"
        answer = await self.stack.service.call("POST", path, body, key=f"w{self.count}")
        self.entries += [answer.body["id"]] if answer.status == 201 else []
        return answer

    async def leave(self) -> Answer:
        if not self.entries:
            return await self.join()
        return await self.stack.service.call("DELETE", f"/v1/waiting-list/{self.random.choice(self.entries)}")

    async def patch(self) -> Answer:
        body = {
            "hold_seconds": self.random.randint(200, 400),
            "limit_per_customer": self.random.randint(20, 30),
        }
        return await self.stack.service.call("PATCH", f"/v1/sales/{self.sale}", body, admin=True)

    # What is known

    async def seen(self) -> dict[str, str | None]:
        """The status of every reservation and of every place in line; None for one that is not known."""
        known: dict[str, str | None] = {}
        for path, ids in (("reservations", self.ids), ("waiting-list", self.entries)):
            for id_ in ids:
                answer = await self.stack.service.call("GET", f"/v1/{path}/{id_}")
                known[id_] = None if answer.status == 404 else answer.ok()["status"]
        return known

    async def used(self) -> dict[bytes, int]:
        name = keys.sale(self.stack.partition(self.sale), SaleId(self.sale)).used
        return {who: int(units) for who, units in (await self.stack.memory.hgetall(name)).items() if who}


async def waits_for_an_operator(stack: Stack, sale: str) -> None:
    async def fenced() -> bool:
        return "once" in (await stack.head(sale)).get("why", "")

    await eventually(fenced, "the partition waits for an operator")


@pytest.mark.parametrize("seed", [1, 2])
async def test_after_any_history_memory_s_word_stands(http, seed: int) -> None:
    async with started(http, **SHORT) as stack:
        service = stack.service
        sale = await service.create_sale(stock=60, limit=25, hold_seconds=300, waiting_list=50)
        shop = Shop(stack, sale, seed)
        await shop.do(40)
        await everything_recorded(stack)
        before_backup = set(shop.ids)
        async with set_back(stack):
            await shop.do(60)
            await service.buy(sale, "last", key="last")  # so that the tail is short
            await everything_recorded(stack)
            await eventually(lambda: trimmed(stack, sale), "the journal's tail is short")
            known, used, counters = await shop.seen(), await shop.used(), await shown(stack, sale)
        await waits_for_an_operator(stack, sale)
        code, said = recover(stack, "--take", "memory")
        assert code == 0, said
        await stack.ready()
        lost = {
            id_ for id_ in set(shop.ids) - before_backup if known[id_] != "held"
        }  # memory keeps neither buyer nor basket of these
        after = await shop.seen()
        assert {id_: is_ for id_, is_ in after.items() if id_ not in lost} == {
            id_: is_ for id_, is_ in known.items() if id_ not in lost
        }
        for id_ in lost:
            assert after[id_] in (None, known[id_])
        assert await shop.used() == used
        now = await shown(stack, sale)
        [was], [item] = counters.pop("items"), now.pop("items")
        assert now == counters  # status, rules, times, name
        gone = was["sold"] - item["sold"]
        units = sum(  # of orders that were lost, those that were not cancelled
            1 for id_ in [*lost] if after[id_] is None and known[id_] == "confirmed"
        )
        assert gone >= units
        assert (item["held"], item["available"]) == (was["held"], was["available"])
        assert item["stock"] == was["stock"] - gone
        await service.audit(sale)


async def test_a_hold_of_the_backup_that_was_confirmed_later_is_an_order(http) -> None:
    async with started(http, **SHORT) as stack:
        service = stack.service
        sale = await service.create_sale(stock=1, hold_seconds=5)
        held = (await service.hold(sale, "ann", key="a")).ok(201)["id"]
        await everything_recorded(stack)
        async with set_back(stack):
            (await service.verb(held, "confirm")).ok()
            for delta in (1, -1, 1, -1):
                body = {"delta": delta, "reason": "so that the tail is short"}
                await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", body)
            await everything_recorded(stack)
            await eventually(lambda: trimmed(stack, sale), "the journal's tail is short")
        await waits_for_an_operator(stack, sale)
        assert recover(stack, "--take", "memory")[0] == 0
        await stack.ready()
        assert (await service.call("GET", f"/v1/reservations/{held}")).ok()["status"] == "confirmed"
        (await service.buy(sale, "bob", key="b")).problem(409, "sold-out")
        assert (await service.item(sale))["sold"] == 1
        assert (await service.audit(sale))["orders"] == 1


@pytest.mark.parametrize("take", ["memory", "ledger"])
async def test_a_sale_of_which_the_ledger_has_nothing(http, take: str) -> None:
    async with started(http, **SHORT) as stack:
        service = stack.service
        async with set_back(stack):
            sale = await service.create_sale(stock=9, limit=2)
            held = (await service.hold(sale, "ann", key="a")).ok(201)["id"]
            for key in "bcde":
                (await service.buy(sale, key, key=key)).ok(201)
            await everything_recorded(stack)
            await eventually(lambda: trimmed(stack, sale), "the journal's tail is short")
        await waits_for_an_operator(stack, sale)
        assert recover(stack, "--take", take)[0] == 0
        await stack.ready()
        line = (await service.admin("GET", "/v1/admin-log?limit=1"))["data"][0]
        assert (line["operation"], line["actor"][:4]) == (f"flashguard recover --take {take}", "cli:")
        if take == "ledger":
            (await service.call("GET", f"/v1/sales/{sale}")).problem(404, "unknown-sale")
            return
        item = await service.item(sale)
        assert (item["available"], item["held"]) == (4, 1)
        assert (await shown(stack, sale))["limit_per_customer"] == 2
        assert (await service.verb(held, "confirm")).ok()["status"] == "confirmed"
        await service.audit(sale)


@pytest.mark.parametrize("take", ["memory", "ledger"])
async def test_a_spread_sale_is_whole_after_either_choice(http, take: str) -> None:
    async with started(http, **SHORT) as stack:
        service = stack.service
        sale = await service.create_sale(stock=30, spread=3)
        for number in range(4):
            (await service.buy(sale, f"a{number}", key=f"a{number}")).ok(201)
        await everything_recorded(stack)
        parts = [stack.partition(part) for part in shard_ids(SaleId(sale), 3)]
        backed_up = [int(await stack.memory.hget(keys.partition(number), "seq")) for number in parts]

        async def one_is_short() -> bool:
            for number, seq in zip(parts, backed_up, strict=True):
                [[first, _]] = await stack.memory.xrange(keys.journal(number), count=1)
                if int(first.split(b"-")[1]) > seq + 1:
                    return True
            return False

        async with set_back(stack):
            told = 0
            for number in range(12):  # more than one part has: units move
                told += (await service.buy(sale, "one", 2, key=f"b{number}")).status == 201
            assert told == 12
            await everything_recorded(stack)
            await eventually(one_is_short, "the journal of a part does not reach back to the backup")
            before = await shown(stack, sale)

        async def fenced() -> bool:
            waiting = 0
            for number in parts:
                head = await stack.memory.hgetall(keys.partition(number))
                waiting += b"once" in head.get(b"why", b"")
            return waiting > 0

        await eventually(fenced, "a part waits for an operator")
        code, said = recover(stack, "--take", take)
        assert code == 0, said
        await everything_recorded(stack)
        report: dict[str, Any] = {}

        async def whole() -> bool:
            nonlocal report
            report = (await service.call("GET", f"/v1/sales/{sale}/audit", admin=True)).body
            return "in_transit" in json.dumps(report) and not report["items"][0]["in_transit"]

        await eventually(whole, "nothing is on its way")
        assert report["ok"], report
        [was], [item] = before["items"], (await shown(stack, sale))["items"]
        if take == "memory":
            assert (item["available"], item["held"]) == (was["available"], was["held"])
            assert item["stock"] == was["stock"] - (was["sold"] - item["sold"])
        else:
            assert item["stock"] == 30
            assert 4 <= item["sold"] <= was["sold"]
