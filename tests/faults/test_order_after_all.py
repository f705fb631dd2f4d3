"""A memory that fell back to before a confirm, and whose hold has ended since: the order stands."""

import signal

import asyncpg

from tests.support.eventually import eventually
from tests.support.real_stack import started

LOCK = "LOCK TABLE flashguard.reservations IN ACCESS EXCLUSIVE MODE"


async def test_an_order_is_never_told_to_be_refunded_by_a_memory_that_fell_back(http) -> None:
    async with started(http, FLASHGUARD_LEDGER_TIMEOUT_SECONDS="0.5") as stack:
        sale = await stack.service.create_sale(hold_seconds=1)
        held = (await stack.service.hold(sale, "ann")).ok(201)
        shown = {"receipt": held["receipt"]}
        before = await stack.copy(sale)
        (await stack.service.verb(held["id"], "confirm")).ok()
        await stack.recorded(sale)
        await stack.end("recorder", signal.SIGKILL)  # who would build it again
        await stack.put_back(before)
        ends = (await stack.memory.time())[0] + 2

        async def has_ended() -> bool:
            return bool((await stack.memory.time())[0] > ends)

        await eventually(has_ended, "the hold's time is over")
        ledger = await asyncpg.connect(stack.servers.database_url)
        async with ledger.transaction():
            await ledger.execute(LOCK)  # nobody can say now whether it is an order
            (await stack.service.call("GET", f"/v1/reservations/{held['id']}")).problem(503, "recovering")
            for verb in ("confirm", "release", "extend"):
                (await stack.service.verb(held["id"], verb)).problem(503, "recovering")
        await ledger.close()
        for verb in ("release", "extend"):
            (await stack.service.verb(held["id"], verb)).problem(409, "reservation-confirmed")
        for body in (None, shown):
            path = f"/v1/reservations/{held['id']}/confirm"
            again = (await stack.service.call("POST", path, body)).ok()
            assert again["status"] == "confirmed"
            assert again["id"] == held["id"]
        stack.start("recorder")
        await stack.rebuilt(sale, 1)
        await stack.service.audit(sale)
        assert (await stack.service.item(sale))["sold"] == 1
