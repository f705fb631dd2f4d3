"""The list of a sale's reservations, and an order by its id: who reads what, and that nothing is missing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.service import Answer, Service, unique
from tests.support.streams import another_api


@pytest.fixture(scope="module")
async def shop(service: Service, http: Any) -> AsyncIterator[Service]:
    """An API in production mode, beside the session's one in development."""
    async with another_api(service, http, FLASHGUARD_MODE="production") as running:
        yield running


async def listed(service: Service, sale: str, query: str = "", **how: Any) -> Answer:
    return await service.call("GET", f"/v1/sales/{sale}/reservations{query}", **({"admin": True} | how))


async def ids(service: Service, sale: str, query: str = "", **how: Any) -> set[str]:
    return {row["id"] for row in (await listed(service, sale, query, **how)).ok()["data"]}


@pytest.mark.parametrize("spread", [1, 3])
async def test_every_hold_that_was_answered_is_listed_at_once(service: Service, spread: int) -> None:
    sale = await service.create_sale(stock=60, spread=spread)
    for _ in range(5):
        answers = await asyncio.gather(*(service.hold(sale, unique("c")) for _ in range(4)))
        new = {answer.ok(201)["id"] for answer in answers}
        assert new <= await ids(service, sale, "?status=held")
    assert len(await ids(service, sale)) == 20


async def test_reservations_are_found_by_customer_and_state(service: Service) -> None:
    sale = await service.create_sale(stock=20, hold_seconds=60)
    held, released, confirmed, cancelled = [(await service.hold(sale, "ann")).ok(201)["id"] for _ in range(4)]
    (await service.verb(released, "release")).ok()
    for order in (confirmed, cancelled):
        (await service.verb(order, "confirm")).ok()
    body = {"restock": True, "reason": "wrong"}
    (await service.call("POST", f"/v1/orders/{cancelled}/cancel", body, admin=True)).ok()
    other = (await service.hold(sale, "bob")).ok(201)["id"]
    by_state = {"held": held, "released": released, "confirmed": confirmed, "cancelled": cancelled}
    for state, id_ in by_state.items():
        assert await ids(service, sale, f"?customer=ann&status={state}") == {id_}
    assert await ids(service, sale, "?customer=ann") == {*by_state.values()}
    assert await ids(service, sale, "?status=held") == {held, other}
    assert await ids(service, sale, "?customer=nobody") == set()
    assert await ids(service, sale, "?customer=%20ANN%20&status=held") == {held}  # as it is spelt everywhere
    [row] = (await listed(service, sale, "?customer=ann&status=cancelled")).ok()["data"]
    assert (row["cancel_reason"], row["restocked"]) == ("wrong", True)
    for state in ("confirmed", "cancelled"):
        order = (await service.call("GET", f"/v1/orders/{by_state[state]}", admin=True)).ok()
        assert (order["id"], order["status"]) == (by_state[state], state)
    for state in ("held", "released"):
        answer = await service.call("GET", f"/v1/orders/{by_state[state]}", admin=True)
        answer.problem(409, f"reservation-{state}")
    await service.audit(sale)


async def test_a_hold_past_its_end_is_listed_as_expired(service: Service) -> None:
    sale = await service.create_sale(stock=2, hold_seconds=1)
    hold = (await service.hold(sale, "ann")).ok(201)["id"]
    async with asyncio.timeout(30):
        while (await service.call("GET", f"/v1/reservations/{hold}")).ok()["status"] != "expired":
            await asyncio.sleep(0.05)
    assert await ids(service, sale, "?status=held") == set()
    assert await ids(service, sale, "?status=held&customer=ann") == set()
    assert await ids(service, sale, "?status=expired") == {hold}
    (await service.call("GET", f"/v1/orders/{hold}", admin=True)).problem(409, "reservation-expired")


@pytest.mark.parametrize("query", ["", "&status=held", "&status=held&customer=ann"])
async def test_pages_have_every_reservation_once(service: Service, query: str) -> None:
    sale = await service.create_sale(stock=30, spread=2)
    for _ in range(3):
        await asyncio.gather(*(service.hold(sale, "ann") for _ in range(4)))
    await asyncio.gather(*(service.hold(sale, unique("c")) for _ in range(5)))
    found: list[str] = []
    cursor = ""
    while True:
        page = (await listed(service, sale, f"?limit=4{query}{cursor}")).ok()
        found += [row["id"] for row in page["data"]]
        assert len(page["data"]) <= 4
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(found) == len(set(found)) == (12 if "customer" in query else 17)


async def test_a_buyer_finds_their_own_live_holds_and_nobody_elses(shop: Service) -> None:
    sale = await shop.create_sale(stock=9)
    other = await shop.create_sale(stock=9)
    minted = await shop.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"})
    ann = {"headers": {"Authorization": f"Bearer {minted['token']}"}, "admin": False}
    body = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}
    mine = [
        (await shop.call("POST", f"/v1/sales/{sale}/reservations", body, headers=ann["headers"])).ok(201)[
            "id"
        ]
        for _ in range(2)
    ]
    (await shop.call("POST", f"/v1/reservations/{mine[1]}/confirm", headers=ann["headers"])).ok()
    theirs = body | {"customer": "bob"}
    await shop.admin("POST", f"/v1/sales/{sale}/reservations", theirs)
    for query in ("", "?status=held", "?customer=ann", "?customer=Ann&status=held"):
        assert await ids(shop, sale, query, **ann) == {mine[0]}
    for query in ("?customer=bob", "?status=confirmed", "?customer=ann&status=expired"):
        (await listed(shop, sale, query, **ann)).problem(403, "forbidden")
    (await listed(shop, other, **ann)).problem(403, "forbidden")
    (await listed(shop, sale, admin=False)).problem(401, "unauthenticated")
    (await shop.call("GET", f"/v1/orders/{mine[1]}", headers=ann["headers"])).problem(403, "forbidden")


async def test_without_a_key_one_customer_is_named_and_a_draft_is_no_sale(service: Service) -> None:
    sale = await service.create_sale(stock=9)
    hold = (await service.hold(sale, "ann")).ok(201)["id"]
    assert await ids(service, sale, "?customer=ann", admin=False) == {hold}
    (await listed(service, sale, admin=False)).problem(403, "forbidden")
    draft = await service.create_sale(opened=False)
    (await listed(service, draft, "?customer=ann", admin=False)).problem(404, "unknown-sale")
    assert await ids(service, draft) == set()


@pytest.mark.parametrize("scope", ["shop", "read"])
async def test_keys_of_both_scopes_read_reservations_and_orders(shop: Service, scope: str) -> None:
    key = await shop.admin("POST", "/v1/keys", {"name": "a test's", "scopes": [scope]})
    how = {"headers": {"Authorization": f"Bearer {key['key']}"}, "admin": False}
    sale = await shop.create_sale(stock=9)
    body = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}
    order = (await shop.admin("POST", f"/v1/sales/{sale}/orders", body))["id"]
    assert await ids(shop, sale, **how) == {order}
    assert (await shop.call("GET", f"/v1/orders/{order}", headers=how["headers"])).ok()["id"] == order


@pytest.mark.parametrize(
    "query",
    ["?status=gone", "?status=", "?limit=0", "?limit=501", "?customer=", "?cursor=x", "?customer=%00"],
)
async def test_odd_filters_are_refused(service: Service, query: str) -> None:
    sale = await service.create_sale(stock=1)
    (await listed(service, sale, query)).problem(422, "invalid-request")


async def test_what_is_not_there_is_unknown(service: Service) -> None:
    sale = await service.create_sale(stock=1)
    (await listed(service, "no-such-sale")).problem(404, "unknown-sale")
    for id_ in (f"{sale}.AAAAAAAAAAAAAAAAAAAAAA", "x", f"{sale}"):
        (await service.call("GET", f"/v1/orders/{id_}", admin=True)).problem(404, "unknown-reservation")
