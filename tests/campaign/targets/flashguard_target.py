"""FlashGuard as a target: a real `flashguard up`, or one that runs already."""

import os
import uuid
from pathlib import Path
from typing import Any

from tests.campaign.targets.target import About, Answer, Order, Target, Word, buyer_name
from tests.campaign.targets.web import Reply, Web
from tests.campaign.up_stack import ADMIN_KEY, START_SECONDS, UpStack, until_ready

SKU = "unit"
GRANTED = {"held", "confirmed", "released"}


class FlashGuardTarget(Target):
    """Holds and confirms; with `one_step`, each buyer buys in one call.

    Parameters:
        url: one that runs already; its admin key is FLASHGUARD_ADMIN_KEY.
    """

    def __init__(self, url: str = "", *, one_step: bool = False) -> None:
        self._url = url
        self._one_step = one_step
        self._stack: UpStack | None = None
        self._sale = ""

    async def start(self, folder: Path) -> About:
        key = os.environ.get("FLASHGUARD_ADMIN_KEY", "")
        if not self._url:
            self._stack = UpStack(folder / "flashguard")
            await self._stack.start()
            await until_ready(self._stack, START_SECONDS)
            self._url, key = self._stack.url, ADMIN_KEY
        self._web = Web(self._url, {"Authorization": f"Bearer {key}"} if key else None)
        contract = await self._web.must("GET", "/openapi.json")
        return About(
            name="FlashGuard, one call" if self._one_step else "FlashGuard, hold and confirm",
            version=contract["info"]["version"],
            setup="`flashguard up` with two API workers, its embedded Valkey and PostgreSQL"
            if self._stack
            else self._url,
            promise="A scarce item is never oversold.",
            source="docs/explanation/guarantees.md",
            has_holds=not self._one_step,
            has_release=not self._one_step,
            has_keys=True,
        )

    async def stop(self) -> None:
        if hasattr(self, "_web"):
            await self._web.close()
        if self._stack is not None:
            await self._stack.stop()

    async def open(self, units: int, buyers: int) -> None:
        self._sale = f"rush-{uuid.uuid4().hex[:12]}"
        item = {"sku": SKU, "name": "Unit", "stock": units, "price_minor": 100, "currency": "EUR"}
        await self._web.must("POST", "/v1/sales", {"id": self._sale, "name": "Rush", "items": [item]})
        await self._web.must("POST", f"/v1/sales/{self._sale}/open")

    async def reserve(self, buyer: int, key: str) -> Answer:
        noun = "orders" if self._one_step else "reservations"
        body = {"customer": buyer_name(buyer), "items": [{"sku": SKU, "quantity": 1}]}
        return await self._ask(f"/v1/sales/{self._sale}/{noun}", key, body)

    async def confirm(self, buyer: int, hold: str, key: str) -> Answer:
        return await self._ask(f"/v1/reservations/{hold}/confirm", key)

    async def release(self, buyer: int, hold: str, key: str) -> Answer:
        return await self._ask(f"/v1/reservations/{hold}/release", key)

    async def _ask(self, path: str, key: str, body: Any = None) -> Answer:
        reply = await self._web.call("POST", path, body, {"Idempotency-Key": key})
        return Answer.of(reply, _word(reply), reply.body.get("id", "") if reply.ok else "")

    async def stock(self) -> int:
        sale = await self._web.must("GET", f"/v1/sales/{self._sale}")
        available: int = sale["items"][0]["available"]
        return available

    async def orders(self) -> list[Order]:
        found: list[Order] = []
        more = ""
        while True:
            page = await self._web.must("GET", f"/v1/sales/{self._sale}/orders?limit=500{more}")
            found += [
                Order(row["id"], row["customer"], sum(line["quantity"] for line in row["items"]))
                for row in page["data"]
            ]
            if page["next_cursor"] is None:
                return found
            more = f"&cursor={page['next_cursor']}"


def _word(reply: Reply) -> Word:
    if not isinstance(reply.body, dict):
        return Word.UNKNOWN
    if reply.ok and reply.body.get("status") in GRANTED:
        return Word.GRANTED
    sold_out = reply.status == 409 and reply.body.get("code") == "sold-out"
    return Word.REFUSED if sold_out else Word.UNKNOWN
