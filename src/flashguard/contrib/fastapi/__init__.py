"""FlashGuard in a FastAPI shop; requires the extra `fastapi`: pip install '.[fastapi]'.

    app = FastAPI(lifespan=lifespan("https://stock.example", "fg_live_…"))

    @app.post("/holds")
    async def hold(stock: Stock, customer: Customer) -> Reservation:
        return granted(await stock.reserve("drop", customer, {"sneaker": 1}))

docs/how-to/fastapi-shop.md says how a shop holds, takes the payment and confirms.
"""

from .shop import OwnStock, Stock, client_of, granted, lifespan

__all__ = ["OwnStock", "Stock", "client_of", "granted", "lifespan"]
