"""Medusa as a target: its store's checkout, from a cart that is ready to the order that completes it."""

import uuid
from pathlib import Path
from typing import Any

from tests.campaign.targets.node_peer import NodePeer, some_at_once, version_of
from tests.campaign.targets.target import About, Answer, Order, Target, Word, buyer_name
from tests.campaign.targets.web import Web

CLI = "node_modules/@medusajs/cli/cli.js"
EMAIL = "admin@shop.example"
MAIL_DOMAIN = "@shop.example"
SOLD_OUT = ("Not enough stock available", "do not have the required inventory", "does not have the required")
ADDRESS = {
    "first_name": "B", "last_name": "B", "address_1": "Street 1", "city": "Town", "country_code": "de",
    "postal_code": "10115",
}  # fmt: skip
PAGE = 200


class MedusaTarget(Target):
    """A completed cart is an order: Medusa takes the stock in that call. The cart is the key."""

    async def start(self, folder: Path) -> About:
        self._peer = peer = NodePeer("medusa", folder)
        await peer.open_database()
        await peer.run(CLI, "db:migrate")
        await peer.serve(CLI, "start", "--host", "127.0.0.1", "--port", str(peer.port), ready="/health")
        await peer.run(CLI, "user", "-e", EMAIL, "-p", peer.secret)
        async with Web(peer.url) as web:
            login = {"email": EMAIL, "password": peer.secret}
            token = (await web.must("POST", "/auth/user/emailpass", login))["token"]
        self._admin = Web(peer.url, {"Authorization": f"Bearer {token}"})
        await self._set_up()
        return About(
            name="Medusa",
            version=version_of(peer.folder, "@medusajs/medusa"),
            setup="`medusa start`, one process, its default modules (locks and events in memory), "
            "PostgreSQL; the default payment provider",
            promise="Medusa uses the Locking Module in inventory management to ensure that only one "
            "transaction can update the stock levels at a time. By using the Locking Module in this "
            "scenario, Medusa prevents overselling an inventory item and keeps its quantity amounts "
            "accurate, even during high traffic periods or when receiving concurrent requests.",
            source="https://docs.medusajs.com/resources/architectural-modules/locking",
            has_holds=False,
            has_release=False,
            has_keys=True,
        )

    async def stop(self) -> None:
        for name in ("_admin", "_store"):
            if hasattr(self, name):
                await getattr(self, name).close()
        if hasattr(self, "_peer"):
            await self._peer.stop()

    async def _post(self, path: str, body: Any) -> Any:
        return await self._admin.must("POST", f"/admin/{path}", body)

    async def _get(self, path: str) -> Any:
        return await self._admin.must("GET", f"/admin/{path}")

    async def _set_up(self) -> None:
        """Make a region, a place with stock and a way to ship, as the dashboard would."""
        [self._channel] = [each["id"] for each in (await self._get("sales-channels"))["sales_channels"]]
        [key] = (await self._get("api-keys?type=publishable"))["api_keys"]
        self._store = Web(self._peer.url, {"x-publishable-api-key": key["token"]})
        [self._profile] = [each["id"] for each in (await self._get("shipping-profiles"))["shipping_profiles"]]
        region = {"name": "Here", "currency_code": "eur", "countries": ["de"]}
        region |= {"payment_providers": ["pp_system_default"]}
        self._region = (await self._post("regions", region))["region"]["id"]
        place = (await self._post("stock-locations", {"name": "Here"}))["stock_location"]["id"]
        self._place = f"stock-locations/{place}"
        self._place_id = place
        await self._post(f"{self._place}/sales-channels", {"add": [self._channel]})
        await self._post(f"{self._place}/fulfillment-providers", {"add": ["manual_manual"]})
        sets = await self._post(
            f"{self._place}/fulfillment-sets?fields=*fulfillment_sets", {"name": "Ways", "type": "shipping"}
        )
        ways = sets["stock_location"]["fulfillment_sets"][0]["id"]
        zone = {"name": "Zone", "geo_zones": [{"type": "country", "country_code": "de"}]}
        made = await self._post(f"fulfillment-sets/{ways}/service-zones", zone)
        option = await self._post("shipping-options", {
            "name": "Mail", "service_zone_id": made["fulfillment_set"]["service_zones"][0]["id"],
            "shipping_profile_id": self._profile, "provider_id": "manual_manual", "price_type": "flat",
            "type": {"label": "Mail", "description": "Mail", "code": "mail"},
            "prices": [{"currency_code": "eur", "amount": 1}],
        })  # fmt: skip
        self._option = option["shipping_option"]["id"]

    async def open(self, units: int, buyers: int) -> None:
        sku = f"unit-{uuid.uuid4().hex[:12]}"
        variant = {
            "title": "Unit", "sku": sku, "manage_inventory": True, "allow_backorder": False,
            "options": {"kind": "unit"}, "prices": [{"currency_code": "eur", "amount": 10}],
        }  # fmt: skip
        product = await self._post("products", {
            "title": sku, "status": "published", "shipping_profile_id": self._profile,
            "options": [{"title": "kind", "values": ["unit"]}], "sales_channels": [{"id": self._channel}],
            "variants": [variant],
        })  # fmt: skip
        self._variant = product["product"]["variants"][0]["id"]
        [item] = (await self._get(f"inventory-items?sku={sku}"))["inventory_items"]
        self._levels = f"inventory-items/{item['id']}/location-levels"
        await self._post(self._levels, {"location_id": self._place_id, "stocked_quantity": units})
        self._carts = await some_at_once(self._fill_cart, buyers)

    async def _fill_cart(self, buyer: int) -> str:
        """Return a cart with a unit, an address, a way to ship and a payment session."""
        made = await self._store.must("POST", "/store/carts", {
            "region_id": self._region, "sales_channel_id": self._channel,
            "email": buyer_name(buyer) + MAIL_DOMAIN, "shipping_address": ADDRESS,
            "items": [{"variant_id": self._variant, "quantity": 1}],
        })  # fmt: skip
        cart: str = made["cart"]["id"]
        await self._store.must("POST", f"/store/carts/{cart}/shipping-methods", {"option_id": self._option})
        made = await self._store.must("POST", "/store/payment-collections", {"cart_id": cart})
        sessions = f"/store/payment-collections/{made['payment_collection']['id']}/payment-sessions"
        await self._store.must("POST", sessions, {"provider_id": "pp_system_default"})
        return cart

    async def reserve(self, buyer: int, key: str) -> Answer:
        reply = await self._store.call("POST", f"/store/carts/{self._carts[buyer]}/complete", {})
        if reply.ok and reply.body.get("type") == "order":
            return Answer.of(reply, Word.GRANTED, reply.body["order"]["id"])
        refused = reply.status == 400 and any(each in str(reply.body) for each in SOLD_OUT)
        return Answer.of(reply, Word.REFUSED if refused else Word.UNKNOWN)

    async def confirm(self, buyer: int, hold: str, key: str) -> Answer:
        raise AssertionError("it has no holds")

    async def release(self, buyer: int, hold: str, key: str) -> Answer:
        raise AssertionError("it has no holds")

    async def stock(self) -> int:
        levels = (await self._get(self._levels))["inventory_levels"]
        return sum(level["available_quantity"] for level in levels)

    async def orders(self) -> list[Order]:
        found: list[Order] = []
        offset = 0
        while True:
            path = f"orders?fields=id,email,items.variant_id,items.quantity&limit={PAGE}&offset={offset}"
            page = (await self._get(path))["orders"]
            for order in page:
                units = sum(
                    line["quantity"] for line in order["items"] if line["variant_id"] == self._variant
                )
                if units:
                    found.append(Order(order["id"], order["email"].removesuffix(MAIL_DOMAIN), units))
            if len(page) < PAGE:
                return found
            offset += PAGE
