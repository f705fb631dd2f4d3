"""Without a payment provider no call reads a table of payments. The recorder does, when an order is cancelled
or amended: whether money goes back is decided with what it writes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.support.service import Service

ANSWER_SECONDS = 20.0
"""A call that asks about payments waits for the lock, which outlasts it."""


@asynccontextmanager
async def nothing_reads_payments(service: Service) -> AsyncIterator[None]:
    connection = await asyncpg.connect(service.database_url)
    tables = "payments", "payment_refunds", "payment_events"
    try:
        await connection.execute("BEGIN; SET LOCAL lock_timeout = '5s'")
        for table in tables:
            await connection.execute(f"LOCK TABLE flashguard.{table} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        await connection.close()


async def test_no_call_waits_for_a_table_of_payments(service: Service) -> None:
    sale = await service.create_sale(stock=9)
    async with nothing_reads_payments(service), asyncio.timeout(ANSWER_SECONDS):
        held = (await service.hold(sale, "ann")).ok(201)["id"]
        begun = await service.call("POST", f"/v1/reservations/{held}/payment", {"provider": "signed"})
        begun.problem(404, "unknown-provider")
        (await service.verb(held, "confirm")).ok()
        bought = (await service.buy(sale, "bob")).ok(201)["id"]
        for path in (
            f"/v1/orders/{bought}", f"/v1/sales/{sale}/orders", f"/v1/sales/{sale}/orders?format=csv",
            f"/v1/reservations/{held}/payments", f"/v1/payments?sale={sale}", "/v1/payment-providers",
            f"/v1/sales/{sale}", "/metrics",
        ):  # fmt: skip
            assert (await service.call("GET", path, admin=True)).status == 200, path
        (await service.call("GET", "/v1/payments/pay_1", admin=True)).problem(404, "unknown-payment")
        retried = await service.call("POST", "/v1/payments/pay_1/refund", admin=True)
        retried.problem(404, "unknown-payment")
        (await service.call("POST", "/v1/payments/signed/webhook", {})).problem(404, "unknown-provider")
