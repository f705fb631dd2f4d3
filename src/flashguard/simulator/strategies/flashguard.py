"""FlashGuard itself, over its HTTP API."""

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from flashguard.errors import FlashGuardError
from flashguard.simulator.buyers import BuyTarget
from flashguard.simulator.goods import BOTH_DAYS, DAYS, SKU, item_for, stocks_of, wanted_by

TIMEOUT_SECONDS = 30


def baskets(*, pools: bool) -> Callable[[int], bytes]:
    """Return the function that returns the body of one buyer's request."""

    def basket_of(number: int) -> bytes:
        sku = item_for(wanted_by(number, pools=pools))
        return msgspec.json.encode({"customer": f"buyer-{number}", "items": [{"sku": sku, "quantity": 1}]})

    return basket_of


class FlashGuardSale:
    """A sale on a running FlashGuard, created for one run and closed after it."""

    def __init__(self, url: str, admin_key: str, stock: int, *, pools: bool = False) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {admin_key}"}
        self._stocks, self._pools = stocks_of(stock, pools=pools), pools
        self.id = f"simulation-{uuid.uuid4().hex[:12]}"

    async def open(self) -> BuyTarget:
        """Create and open the sale; return the call that buyers make."""
        await self._call("POST", "/v1/sales", {"id": self.id, "name": "Simulation", **self._goods()})
        await self._call("POST", f"/v1/sales/{self.id}/open")
        basket_of = baskets(pools=self._pools)
        return BuyTarget(self.url, f"/v1/sales/{self.id}/orders", basket_of, tuple(self._headers.items()))

    def _goods(self) -> dict[str, Any]:
        priced = {"price_minor": 100, "currency": "EUR"}
        if not self._pools:
            return {"items": [{"sku": SKU, "name": "Drop", "stock": self._stocks[SKU], **priced}]}
        return {
            "pools": [{"id": day, "name": day, "stock": stock} for day, stock in self._stocks.items()],
            "items": [
                {
                    "sku": item_for(days), "name": item_for(days), **priced,
                    "uses": [{"pool": day, "quantity": 1} for day in days],
                }
                for days in (DAYS, *((day,) for day in DAYS))
            ],
        }  # fmt: skip

    async def truth(self) -> dict[str, tuple[int, int]]:
        """Return the units of the ledger's orders, counted row by row, and those that can still be sold, by
        stock."""
        taken: Counter[str] = Counter()
        stocks_by_sku = {BOTH_DAYS: DAYS, SKU: (SKU,)} | {item_for((day,)): (day,) for day in DAYS}
        path = f"/v1/sales/{self.id}/orders?limit=500"
        while True:
            page = await self._call("GET", path)
            for order in page["data"]:
                for line in order["items"]:
                    taken.update(dict.fromkeys(stocks_by_sku[line["sku"]], line["quantity"]))
            if page["next_cursor"] is None:
                break
            path = f"/v1/sales/{self.id}/orders?limit=500&cursor={page['next_cursor']}"
        sale = await self._call("GET", f"/v1/sales/{self.id}")
        left = {
            row.get("sku") or row["id"]: row["available"] for row in sale["pools" if self._pools else "items"]
        }
        return {name: (taken[name], left[name]) for name in self._stocks}

    async def close(self) -> None:
        await self._call("POST", f"/v1/sales/{self.id}/close")

    async def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=self._headers) as http,
            http.request(method, f"{self.url}{path}", json=body) as response,
        ):
            answer: dict[str, Any] = await response.json(content_type=None)
            if response.status >= 400:
                raise FlashGuardError(f"{method} {path}: {answer.get('code')}: {answer.get('detail')}")
            return answer
