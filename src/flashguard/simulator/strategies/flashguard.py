"""FlashGuard itself, over its HTTP API."""

import uuid
from typing import Any

import aiohttp
import msgspec

from flashguard.errors import FlashGuardError
from flashguard.simulator.buyers import BuyTarget

SKU = "drop"
TIMEOUT_SECONDS = 30


def basket_of(number: int) -> bytes:
    """Return the body of one buyer's request."""
    return msgspec.json.encode({"customer": f"buyer-{number}", "items": [{"sku": SKU, "quantity": 1}]})


class FlashGuardSale:
    """A sale on a running FlashGuard, created for one run and closed after it."""

    def __init__(self, url: str, admin_key: str, stock: int) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {admin_key}"}
        self._stock = stock
        self.id = f"simulation-{uuid.uuid4().hex[:12]}"

    async def open(self) -> BuyTarget:
        """Create and open the sale; return the call that buyers make."""
        item = {"sku": SKU, "name": "Drop", "price_minor": 100, "currency": "EUR", "stock": self._stock}
        await self._call("POST", "/v1/sales", {"id": self.id, "name": "Simulation", "items": [item]})
        await self._call("POST", f"/v1/sales/{self.id}/open")
        return BuyTarget(self.url, f"/v1/sales/{self.id}/orders", basket_of, tuple(self._headers.items()))

    async def truth(self) -> tuple[int, int]:
        """Return the orders in the ledger, counted row by row, and the units that can still be sold."""
        orders, path = 0, f"/v1/sales/{self.id}/orders?limit=500"
        while True:
            page = await self._call("GET", path)
            orders += len(page["data"])
            if page["next_cursor"] is None:
                break
            path = f"/v1/sales/{self.id}/orders?limit=500&cursor={page['next_cursor']}"
        sale = await self._call("GET", f"/v1/sales/{self.id}")
        return orders, sale["items"][0]["available"]

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
