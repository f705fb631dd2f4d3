"""Vendure as a target: its shop API's checkout, from a filled order to its payment."""

import dataclasses
import uuid
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.campaign.targets.node_peer import NodePeer, some_at_once, version_of
from tests.campaign.targets.target import About, Answer, Order, Target, Word, buyer_name
from tests.campaign.targets.web import CallError, Reply, Web

QUERIES: Final = Path(__file__).parent / "peers" / "vendure"
TOKEN = "vendure-auth-token"
MAIL_DOMAIN = "@shop.example"
PAGE = 100
PAID = ("PaymentSettled", "PaymentAuthorized")


def _document(name: str) -> str:
    return (QUERIES / f"{name}.graphql").read_text()


class Cart(NamedTuple):
    token: str
    code: str
    """The order's code."""


class VendureTarget(Target):
    """A paid order takes the stock. A buyer repeats by asking for the state of its own order first."""

    async def start(self, folder: Path) -> About:
        self._peer = peer = NodePeer("vendure", folder)
        await peer.open_database()
        await peer.serve("server.js", ready="/health")
        self._web = Web(peer.url)
        self._admin = ""
        login = await self._web.call(
            "POST", "/admin-api", {"query": _document("login"), "variables": {"password": peer.secret}}
        )
        self._admin = login.headers[TOKEN]
        await self._set_up()
        return About(
            name="Vendure",
            version=version_of(peer.folder, "@vendure/core"),
            setup="one server process, its default strategies, PostgreSQL; its payment handler for tests",
            promise="With the default DefaultStockAllocationStrategy the saleable stock check runs on the "
            "transition to ArrangingPayment and the allocation runs on the transition to PaymentSettled, in "
            "a later request, so another Order can take the stock in between. Before 3.7.4 the allocation "
            "went through at the full quantity and oversold the variant.",
            source="https://docs.vendure.io/current/framework/reference/typescript-api/products-stock/"
            "default-stock-location-strategy",
            has_holds=False,
            has_release=False,
            has_keys=True,
        )

    async def stop(self) -> None:
        if hasattr(self, "_web"):
            await self._web.close()
        if hasattr(self, "_peer"):
            await self._peer.stop()

    async def _call(self, api: str, token: str, document: str, /, **variables: Any) -> Reply:
        body = {"query": _document(document), "variables": variables}
        headers = {"Authorization": f"Bearer {token}"} if token else None
        return await self._web.call("POST", f"/{api}", body, headers)

    async def _must(self, api: str, token: str, document: str, /, **variables: Any) -> Any:
        reply = await self._call(api, token, document, **variables)
        if not reply.ok or "errors" in reply.body or "errorCode" in str(reply.body):
            raise CallError(f"{document}: {reply.status} {str(reply.body)[:600]}")
        return reply.body["data"]

    async def _set_up(self) -> None:
        """Make a zone, a tax rate, a way to ship and one to pay, as the dashboard would."""
        made = await self._must("admin-api", self._admin, "set_up_zone")
        zone, category = made["createZone"]["id"], made["createTaxCategory"]["id"]
        channel = (await self._must("admin-api", self._admin, "channel"))["activeChannel"]["id"]
        country = {"code": "DE", "enabled": True, "translations": [{"languageCode": "en", "name": "DE"}]}
        made = await self._must(
            "admin-api", self._admin, "set_up", zone=zone, category=category, channel=channel, country=country
        )
        members = [made["createCountry"]["id"]]
        await self._must("admin-api", self._admin, "add_to_zone", zone=zone, members=members)

    async def open(self, units: int, buyers: int) -> None:
        self._sku = f"unit-{uuid.uuid4().hex[:12]}"
        made = await self._must("admin-api", self._admin, "create_product", name=self._sku)
        product = made["createProduct"]["id"]
        variant = {
            "productId": product, "sku": self._sku, "price": 1000, "stockOnHand": units,
            "trackInventory": "TRUE", "translations": [{"languageCode": "en", "name": self._sku}],
        }  # fmt: skip
        made = await self._must("admin-api", self._admin, "create_variant", variant=variant)
        self._variant = made["createProductVariants"][0]["id"]
        self._carts = await some_at_once(self._fill_cart, buyers)

    async def _fill_cart(self, buyer: int) -> Cart:
        """Return a session whose order has a unit, a customer, an address and a way to ship."""
        reply = await self._call("shop-api", "", "add_item", variant=self._variant)
        token = reply.headers[TOKEN]
        code: str = reply.body["data"]["addItemToOrder"]["code"]
        name = buyer_name(buyer)
        await self._must("shop-api", token, "fill_order", email=name + MAIL_DOMAIN, name=name)
        options = await self._must("shop-api", token, "shipping_methods")
        ids = [each["id"] for each in options["eligibleShippingMethods"]]
        await self._must("shop-api", token, "choose_shipping", ids=ids[:1])
        return Cart(token, code)

    async def reserve(self, buyer: int, key: str) -> Answer:
        cart = self._carts[buyer]
        moved = await self._call("shop-api", cart.token, "arrange_payment")
        answer = _result(moved, "transitionOrderToState")
        if "stock" in str(answer.get("transitionError", "")).lower():
            return Answer.of(moved, Word.REFUSED)
        state, last = answer.get("state"), moved
        if state is None:  # it is paid, or was on its way before
            last = await self._call("shop-api", cart.token, "order_state", code=cart.code)
            state = _result(last, "orderByCode").get("state")
        if state == "ArrangingPayment":
            last = await self._call("shop-api", cart.token, "pay")
            state = _result(last, "addPaymentToOrder").get("state")
        paid = state in PAID
        found = Answer.of(last, Word.GRANTED if paid else Word.UNKNOWN, cart.code if paid else "")
        return dataclasses.replace(found, started=moved.started)

    async def confirm(self, buyer: int, hold: str, key: str) -> Answer:
        raise AssertionError("it has no holds")

    async def release(self, buyer: int, hold: str, key: str) -> Answer:
        raise AssertionError("it has no holds")

    async def stock(self) -> int:
        made = await self._must("admin-api", self._admin, "stock", id=self._variant)
        levels = made["productVariant"]["stockLevels"]
        return sum(level["stockOnHand"] - level["stockAllocated"] for level in levels)

    async def orders(self) -> list[Order]:
        found: list[Order] = []
        skip = 0
        while True:
            made = await self._must("admin-api", self._admin, "orders", skip=skip, take=PAGE)
            page = made["orders"]["items"]
            for order in page:
                units = sum(
                    line["quantity"] for line in order["lines"] if line["productVariant"]["sku"] == self._sku
                )
                if units and order["state"] in PAID:
                    email = order["customer"]["emailAddress"]
                    found.append(Order(order["code"], email.removesuffix(MAIL_DOMAIN), units))
            if len(page) < PAGE:
                return found
            skip += PAGE


def _result(reply: Reply, name: str) -> dict[str, Any]:
    """Return one result of an answer; an empty one where there is none."""
    data = reply.body.get("data") if reply.ok and isinstance(reply.body, dict) else None
    return (data or {}).get(name) or {}
