"""Limits by item and by identity, over HTTP: counted exactly, whatever becomes of a hold or an order."""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest

from tests.integration.test_amend import amend, cancel, transfer
from tests.integration.test_waiting_list import offered
from tests.support.eventually import eventually
from tests.support.service import Answer, Service, unique

CARD = {"card": "tok_ann"}


def item(sku: str, stock: int = 20, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "name": sku, "price_minor": 100, "currency": "EUR", "stock": stock} | more


def by(name: str, units: int, *skus: str) -> dict[str, Any]:
    return {"by": name, "units": units, "skus": list(skus) or None, "hold_rules": False}


async def take(
    service: Service,
    noun: str,
    sale: str,
    customer: str,
    basket: Mapping[str, int],
    identities: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in basket.items()]
    body: dict[str, Any] = {"customer": customer, "items": lines}
    if identities is not None:
        body["identities"] = identities
    return await service.call("POST", f"/v1/sales/{sale}/{noun}", body, key=key, headers=headers)


async def hold(service: Service, *asked: Any, **more: Any) -> Answer:
    return await take(service, "reservations", *asked, **more)


async def buy(service: Service, *asked: Any, **more: Any) -> Answer:
    return await take(service, "orders", *asked, **more)


def over(answer: Answer) -> dict[str, Any]:
    problem = answer.problem(409, "limit-reached")
    return {name: problem[name] for name in ("limit", "used", "sku", "by") if name in problem}


@pytest.mark.parametrize("spread", [1, 3])
async def test_a_customer_gets_no_more_of_an_item_than_its_limit(service: Service, spread: int) -> None:
    items = [item("vip", 30, limit_per_customer=2), item("seat", 30)]
    sale = await service.create_sale(items=items, limit=5, spread=spread)
    shown = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    assert [each["limit_per_customer"] for each in shown["items"]] == [2, None]
    held = (await hold(service, sale, "ann", {"vip": 2})).ok(201)
    assert over(await buy(service, sale, "ann", {"vip": 1})) == {"limit": 2, "used": 2, "sku": "vip"}
    assert over(await hold(service, sale, "ann", {"seat": 1, "vip": 1})) == {
        "limit": 2, "used": 2, "sku": "vip",
    }  # fmt: skip
    (await hold(service, sale, "bob", {"vip": 2})).ok(201)
    order = (await buy(service, sale, "ann", {"seat": 3})).ok(201)
    assert over(await buy(service, sale, "ann", {"seat": 1})) == {"limit": 5, "used": 5}
    (await service.verb(held["id"], "confirm")).ok()
    assert over(await buy(service, sale, "ann", {"vip": 1})) == {"limit": 5, "used": 5}
    (await cancel(service, order["id"], {"seat": 2})).ok()
    assert over(await buy(service, sale, "ann", {"vip": 1})) == {"limit": 2, "used": 2, "sku": "vip"}
    (await cancel(service, held["id"], {"vip": 1})).ok()
    (await buy(service, sale, "ann", {"vip": 1})).ok(201)
    await service.audit(sale)


async def test_all_who_name_one_identity_are_counted_together(service: Service) -> None:
    sale = await service.create_sale(items=[item("vip"), item("seat")], limits=[by("card", 2, "vip")])
    shown = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    assert shown["limits"] == [by("card", 2, "vip")]
    first = (await hold(service, sale, "ann", {"vip": 1}, CARD)).ok(201)
    assert "identities" not in first
    second = (await buy(service, sale, "bob", {"vip": 1, "seat": 4}, CARD)).ok(201)
    assert over(await buy(service, sale, "eve", {"vip": 1}, CARD)) == {"limit": 2, "used": 2, "by": "card"}
    (await buy(service, sale, "eve", {"vip": 1}, {"card": "tok_eve"})).ok(201)
    (await service.verb(first["id"], "release")).ok()
    (await hold(service, sale, "cid", {"vip": 1}, CARD)).ok(201)
    cancelled = {"restock": True, "reason": "x"}
    (await service.call("POST", f"/v1/orders/{second['id']}/cancel", cancelled, admin=True)).ok()
    (await buy(service, sale, "eve", {"vip": 1}, CARD)).ok(201)
    assert over(await hold(service, sale, "eve", {"vip": 1}, CARD)) == {"limit": 2, "used": 2, "by": "card"}
    await service.audit(sale)


async def test_a_request_without_the_identity_is_refused_where_its_items_count(service: Service) -> None:
    sale = await service.create_sale(items=[item("vip"), item("seat")], limits=[by("card", 2, "vip")])
    for noun in ("reservations", "orders"):
        refused = await take(service, noun, sale, "ann", {"seat": 1, "vip": 1})
        assert refused.problem(422, "identity-required")["by"] == "card"
        (await take(service, noun, sale, "ann", {"seat": 1})).ok(201)
    held = (await hold(service, sale, "ann", {"seat": 1})).ok(201)
    (await amend(service, held["id"], {"vip": 1})).problem(422, "identity-required")
    (await amend(service, held["id"], {"seat": 2})).ok()
    await service.audit(sale)


@pytest.mark.parametrize(
    "identities",
    [
        {}, {"card": ""}, {"card": "  "}, {"card": "x" * 257}, {"card": 7}, {"Card": "x"}, {"": "x"},
        {"card": None}, {f"k{n}": "x" for n in range(5)}, ["card"],
    ],
)  # fmt: skip
async def test_identities_that_can_be_none_are_refused_by_name(service: Service, identities: Any) -> None:
    sale = await service.create_sale(limits=[by("card", 2)])
    for noun in ("reservations", "orders"):
        problem = (await take(service, noun, sale, "ann", {"unit": 1}, identities)).problem(
            422, "invalid-request"
        )
        assert "identities" in problem["detail"]


async def test_an_identity_that_the_sale_does_not_limit_is_refused(service: Service) -> None:
    for limits in ([], [by("card", 2)]):
        sale = await service.create_sale(limits=limits)
        answer = await buy(
            service, sale, "ann", {"unit": 1}, CARD | {"phone": "1"} if limits else {"phone": "1"}
        )
        problem = answer.problem(422, "invalid-request")
        assert (problem["by"], "phone" in problem["detail"]) == ("phone", True)


async def test_the_identity_is_part_of_the_request(service: Service) -> None:
    sale, key = await service.create_sale(limits=[by("card", 2)]), unique("key")
    first = (await buy(service, sale, "ann", {"unit": 1}, CARD, key=key)).ok(201)
    again = await buy(service, sale, "ann", {"unit": 1}, CARD, key=key)
    assert (again.ok(201)["id"], again.replayed) == (first["id"], True)
    other = await buy(service, sale, "ann", {"unit": 1}, {"card": "other"}, key=key)
    other.problem(422, "idempotency-mismatch")


async def test_a_batch_counts_as_its_single_calls_do(service: Service) -> None:
    sale = await service.create_sale(limits=[by("card", 2)])
    requests = [
        {
            "customer": f"c{n}", "key": unique("key"), "items": [{"sku": "unit", "quantity": 1}],
            "identities": CARD,
        }
        for n in range(4)
    ]  # fmt: skip
    del requests[0]["identities"]
    answer = await service.call("POST", f"/v1/sales/{sale}/orders:batch", {"requests": requests}, admin=True)
    outcomes = [each.get("problem", {}).get("code", "sold") for each in answer.ok()["outcomes"]]
    assert outcomes == ["identity-required", "sold", "sold", "limit-reached"]
    await service.audit(sale)


async def test_a_rush_with_one_card_gets_exactly_the_limit(service: Service) -> None:
    sale = await service.create_sale(stock=100, limits=[by("card", 7)])
    answers = await asyncio.gather(
        *(take(service, noun, sale, f"c{n}", {"unit": 1}, CARD)
          for n in range(30) for noun in ("orders", "reservations"))
    )  # fmt: skip
    assert sum(answer.status == 201 for answer in answers) == 7
    await service.audit(sale)


async def test_an_amend_is_counted_by_its_difference(service: Service) -> None:
    items = [item("vip", limit_per_customer=3), item("seat")]
    sale = await service.create_sale(items=items, limits=[by("card", 4, "vip")])
    held = (await hold(service, sale, "ann", {"vip": 2}, CARD)).ok(201)
    assert over(await amend(service, held["id"], {"vip": 4})) == {"limit": 3, "used": 2, "sku": "vip"}
    (await buy(service, sale, "bob", {"vip": 2}, CARD)).ok(201)
    assert over(await amend(service, held["id"], {"vip": 3})) == {"limit": 4, "used": 4, "by": "card"}
    (await amend(service, held["id"], {"vip": 1, "seat": 5})).ok()
    (await buy(service, sale, "bob", {"vip": 1}, CARD)).ok(201)
    order = (await service.verb(held["id"], "confirm")).ok()
    assert over(await amend(service, order["id"], {"vip": 2})) == {"limit": 4, "used": 4, "by": "card"}
    (await amend(service, order["id"], {"seat": 1})).ok()
    (await buy(service, sale, "eve", {"vip": 1}, CARD)).ok(201)
    await service.audit(sale)


async def test_a_transfer_counts_for_the_new_customer_and_for_the_same_identity(service: Service) -> None:
    items = [item("vip", limit_per_customer=2)]
    sale = await service.create_sale(items=items, limits=[by("card", 2)])
    held = (await hold(service, sale, "guest", {"vip": 2}, CARD)).ok(201)
    (await buy(service, sale, "ann", {"vip": 1}, {"card": "other"})).ok(201)
    assert over(await transfer(service, held["id"], "ann")) == {"limit": 2, "used": 1, "sku": "vip"}
    (await transfer(service, held["id"], "bob")).ok()
    assert over(await buy(service, sale, "bob", {"vip": 1}, {"card": "third"})) == {
        "limit": 2, "used": 2, "sku": "vip",
    }  # fmt: skip
    (await buy(service, sale, "guest", {"vip": 1}, {"card": "third"})).ok(201)
    assert over(await buy(service, sale, "guest", {"vip": 1}, CARD)) == {"limit": 2, "used": 2, "by": "card"}
    await service.audit(sale)


async def test_a_hold_that_expires_counts_for_nobody_and_its_late_confirm_counts_again(
    service: Service,
) -> None:
    sale = await service.create_sale(hold_seconds=1, limits=[by("card", 1)])
    held = (await hold(service, sale, "ann", {"unit": 1}, CARD)).ok(201)

    async def expired() -> bool:
        return (await service.item(sale))["held"] == 0  # type: ignore[no-any-return]

    await eventually(expired, "the hold expires")
    order = (await buy(service, sale, "bob", {"unit": 1}, CARD)).ok(201)
    path = f"/v1/reservations/{held['id']}/confirm"
    late = {"receipt": held["receipt"]}
    (await service.call("POST", path, late)).problem(409, "reservation-expired")
    cancelled = {"restock": True, "reason": "x"}
    (await service.call("POST", f"/v1/orders/{order['id']}/cancel", cancelled, admin=True)).ok()
    (await service.call("POST", path, late)).ok()
    assert over(await buy(service, sale, "eve", {"unit": 1}, CARD)) == {"limit": 1, "used": 1, "by": "card"}
    await service.audit(sale)


async def test_an_offer_of_the_waiting_list_counts_for_the_identity_of_its_entry(service: Service) -> None:
    sale = await service.create_sale(stock=2, limits=[by("card", 1)], waiting_list=9)
    first = (await buy(service, sale, "a", {"unit": 1}, {"card": "a"})).ok(201)
    (await buy(service, sale, "b", {"unit": 1}, {"card": "b"})).ok(201)

    async def join(customer: str, **identities: Any) -> Answer:
        body = {"customer": customer, "items": [{"sku": "unit", "quantity": 1}]} | identities
        return await service.call("POST", f"/v1/sales/{sale}/waiting-list", body)

    (await join("ann")).problem(422, "identity-required")
    (await join("ann", identities={"iban": "x"})).problem(422, "identity-required")
    (await join("ann", identities=CARD | {"iban": "x"})).problem(422, "invalid-request")
    assert over(await join("ann", identities={"card": "a"})) == {"limit": 1, "used": 1, "by": "card"}
    entry = (await join("ann", identities=CARD)).ok(201)
    (await join("bob", identities=CARD)).ok(201)
    cancelled = {"restock": True, "reason": "x"}
    (await service.call("POST", f"/v1/orders/{first['id']}/cancel", cancelled, admin=True)).ok()
    offer = await offered(service, entry)
    (await service.verb(offer["id"], "confirm")).ok()
    assert over(await buy(service, sale, "eve", {"unit": 1}, CARD)) == {"limit": 1, "used": 1, "by": "card"}
    await service.audit(sale)


async def token(service: Service, sale: str, customer: str, **more: Any) -> dict[str, str]:
    path = f"/v1/sales/{sale}/buyer-tokens"
    minted = (await service.call("POST", path, {"customer": customer} | more, admin=True)).ok(201)
    return {"Authorization": f"Bearer {minted['token']}"}


async def test_a_buyers_token_carries_the_identities_and_its_requests_name_none(service: Service) -> None:
    sale = await service.create_sale(limits=[by("card", 2)])
    ann = await token(service, sale, "ann", identities=CARD)
    bare = await token(service, sale, "bob")
    (await hold(service, sale, "ann", {"unit": 1}, headers=ann)).ok(201)
    (await buy(service, sale, "cid", {"unit": 1}, CARD)).ok(201)
    assert over(await buy(service, sale, "ann", {"unit": 1}, headers=ann)) == {
        "limit": 2, "used": 2, "by": "card",
    }  # fmt: skip
    for noun in ("reservations", "orders"):
        answer = await take(service, noun, sale, "ann", {"unit": 1}, {"card": "another"}, headers=ann)
        answer.problem(403, "forbidden")
        (await take(service, noun, sale, "bob", {"unit": 1}, headers=bare)).problem(422, "identity-required")
    wrong = await service.call(
        "POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann", "identities": {"card": " "}}, admin=True
    )
    assert "identities" in wrong.problem(422, "invalid-request")["detail"]


async def test_what_a_shop_sends_is_kept_nowhere_as_it_is(service: Service) -> None:
    secret = unique("card-number")
    sale = await service.create_sale(limits=[by("card", 5)])
    held = (await hold(service, sale, "ann", {"unit": 1}, {"card": secret})).ok(201)
    (await service.verb(held["id"], "confirm")).ok()
    connection = await asyncpg.connect(service.database_url)
    details = await connection.fetchval(
        "SELECT details::text FROM flashguard.reservations WHERE sale_id = $1", sale
    )
    await connection.close()
    assert '"card"' in details
    assert secret not in details
    for path in (f"/v1/reservations/{held['id']}", f"/v1/sales/{sale}/orders", "/v1/facts"):
        text = str((await service.call("GET", path, admin=True)).body)
        assert secret not in text
        assert "identities" not in text


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"limits": [by("card", 0)]}, "units"),
        ({"limits": [by("Card", 1)]}, "by"),
        ({"limits": [by("card", 1), by("card", 2)]}, "card"),
        ({"limits": [by(f"k{n}", 1) for n in range(5)]}, "limits"),
        ({"limits": [by("card", 1, "nothing")]}, "nothing"),
        ({"limits": [by("card", 1, "unit", "unit")]}, "skus"),
        ({"limits": [by("card", 1) | {"hold_rules": 1}]}, "hold_rules"),
        ({"limits": [by("card", 1)], "spread": 2}, "spread"),
        ({"items": [item("unit", limit_per_customer=0)]}, "limit_per_customer"),
    ],
)
async def test_limits_that_can_be_none_are_refused_by_name(
    service: Service, wrong: dict[str, Any], what: str
) -> None:
    body = {"name": "x", "items": [item("unit")]} | wrong
    problem = (await service.call("POST", "/v1/sales", body, admin=True)).problem(422, "invalid-request")
    assert what in problem["detail"]


async def patch(service: Service, sale: str, **changes: Any) -> Answer:
    return await service.call("PATCH", f"/v1/sales/{sale}", changes, admin=True)


async def test_a_draft_gets_other_limits_and_an_open_sale_only_other_units(service: Service) -> None:
    sale = await service.create_sale(opened=False)
    limits = [by("card", 1, "vip"), by("iban", 3)]
    items = [item("vip", limit_per_customer=1), item("seat")]
    changed = (await patch(service, sale, items=items, limits=limits)).ok()
    assert (changed["limits"], changed["items"][0]["limit_per_customer"]) == (limits, 1)
    assert (
        "vip" in (await patch(service, sale, items=[item("seat")])).problem(422, "invalid-request")["detail"]
    )
    await service.admin("POST", f"/v1/sales/{sale}/open")
    who = {"card": "c", "iban": "i"}
    (await buy(service, sale, "ann", {"vip": 1}, who)).ok(201)
    assert over(await buy(service, sale, "bob", {"vip": 1}, who)) == {"limit": 1, "used": 1, "by": "card"}
    for other in ([], [by("card", 1), by("iban", 3)], [by("iban", 3)], [*limits, by("tel", 1)]):
        refused = (await patch(service, sale, limits=other)).problem(409, "sale-not-draft")
        assert "units" in refused["detail"]
    more = [by("card", 2, "vip"), by("iban", 3)]
    assert (await patch(service, sale, limits=more)).ok()["limits"] == more
    (await buy(service, sale, "bob", {"vip": 1}, who)).ok(201)
    (await patch(service, sale, limits=None)).problem(422, "invalid-request")
    await service.audit(sale)
