"""A FastAPI shop that sells with FlashGuard: hold, take the payment, confirm after the shop's own commit.

python examples/fastapi_shop/shop.py      # beside `make run`; then open http://127.0.0.1:8080/docs
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException

from flashguard.client import AsyncClient, ClientError, Granted
from flashguard.contrib.fastapi import Stock, client_of, granted, lifespan

SALE = os.environ.get("SHOP_SALE", "demo")
database = sqlite3.connect(os.environ.get("SHOP_DATABASE", "shop.sqlite3"))
database.execute(
    "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT, receipt TEXT, state TEXT)"
)


async def settle(stock: AsyncClient, order: str, receipt: str) -> None:
    """Confirm a paid order, also late, with its receipt. Any number of times: it is confirmed once."""
    outcome = await stock.confirm(order, receipt=receipt)
    state = "confirmed" if isinstance(outcome, Granted) else "refund-due"  # what: outcome.refund
    with database:
        database.execute("UPDATE orders SET state = ? WHERE id = ? AND state = 'paid'", (state, order))


async def settle_what_is_paid(stock: AsyncClient) -> None:
    """Confirm the orders whose process died, or whose confirm had no answer, after the payment."""
    while True:
        paid = database.execute("SELECT id, receipt FROM orders WHERE state = 'paid'").fetchall()
        for order, receipt in paid:
            try:
                await settle(stock, order, receipt)
            except ClientError as error:
                print(f"{order} is paid and not confirmed yet: {error}", flush=True)
        await asyncio.sleep(2)


@asynccontextmanager
async def background(app: FastAPI) -> AsyncIterator[None]:
    task = asyncio.create_task(settle_what_is_paid(client_of(app)))
    yield
    task.cancel()


app = FastAPI(
    title="A shop",
    lifespan=lifespan(
        os.environ.get("FLASHGUARD_URL", "http://127.0.0.1:8000"),
        os.environ.get("SHOP_KEY"),
        around=background,
    ),
)


def customer(x_customer: Annotated[str, Header()]) -> str:
    """Return the buyer's id. A real shop reads it from its own session."""
    return x_customer


Customer = Annotated[str, Depends(customer)]


@app.post("/orders", status_code=201)
async def hold(
    sku: str, stock: Stock, customer: Customer, idempotency_key: Annotated[str, Header()]
) -> dict[str, str]:
    """Hold one unit for this buyer, and keep the receipt in the shop's order."""
    held = granted(await stock.reserve(SALE, customer, {sku: 1}, key=f"shop-{idempotency_key}"))
    with database:
        row = (held.id, customer, held.receipt)
        database.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, 'held')", row)
    return {"order": held.id, "state": "held", "until": str(held.expires_at)}


@app.post("/orders/{order}/pay")
async def pay(order: str, stock: Stock, customer: Customer) -> dict[str, str]:
    """Take the payment; then write the order as paid; then confirm it."""
    receipt = column("receipt", order, customer)
    if column("state", order, customer) == "held":
        await asyncio.sleep(0.1)  # the payment provider, with the order's id as its idempotency key
        with database:
            database.execute("UPDATE orders SET state = 'paid' WHERE id = ? AND state = 'held'", (order,))
    with suppress(ClientError):  # paid, and confirmed soon
        await settle(stock, order, receipt)
    return {"order": order, "state": column("state", order, customer)}


@app.get("/orders/{order}")
async def show(order: str, customer: Customer) -> dict[str, str]:
    return {"order": order, "state": column("state", order, customer)}


def column(name: str, order: str, customer: str) -> str:
    """Return a column of this buyer's order."""
    mine = f"SELECT {name} FROM orders WHERE id = ? AND customer = ?"
    row = database.execute(mine, (order, customer)).fetchone()
    if row is None:
        raise HTTPException(404, "There is no such order.")
    return str(row[0])


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8080")))
