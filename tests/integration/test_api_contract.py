"""The HTTP contract, call by call and problem by problem, against the real service."""

import asyncio
import csv
import io
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import eventually
from tests.support.service import SPREAD

UNKNOWN_ID = "no-such-sale." + "0" * 24
ITEM = {"sku": "unit", "name": "Unit", "price_minor": 1999, "currency": "EUR", "stock": 3}


def new_id(prefix: str = "contract") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def admin_post(service, path: str, body: object = None, **more: Any):
    return await service.call("POST", path, body, admin=True, **more)


# The way of a sale


async def test_a_sale_from_draft_to_the_last_order(service):
    sale = new_id()
    body = {"id": sale, "name": "Drop", "hold_seconds": 90, "limit_per_customer": 2, "items": [ITEM]}
    draft = (await admin_post(service, "/v1/sales", body)).ok(201)
    assert draft["status"] == "draft"
    more = {"uses": [], "locations": [], "limit_per_customer": None, "on_sale": True}
    assert draft["items"] == [ITEM | {"available": 3, "held": 0, "sold": 0} | more]
    assert (draft["id"], draft["hold_seconds"], draft["limit_per_customer"]) == (sale, 90, 2)

    opened = (await admin_post(service, f"/v1/sales/{sale}/open")).ok()
    assert opened["status"] == "open"

    held = (await service.hold(sale, "ann")).ok(201)
    assert held["status"] == "held"
    assert held["sale_id"] == sale
    assert held["customer"] == "ann"
    assert held["items"] == [{"sku": "unit", "quantity": 1}]
    assert held["receipt"]
    assert held["confirmed_at"] is None
    lasts = datetime.fromisoformat(held["expires_at"]) - datetime.fromisoformat(held["created_at"])
    assert lasts == timedelta(seconds=90)
    assert datetime.fromisoformat(held["created_at"]).utcoffset() == timedelta(0)
    assert (await service.call("GET", f"/v1/reservations/{held['id']}")).ok() == held

    confirmed = (await service.verb(held["id"], "confirm")).ok()
    assert confirmed["status"] == "confirmed"
    assert confirmed["confirmed_at"] is not None
    assert confirmed["id"] == held["id"]
    bought = (await service.buy(sale, "bob")).ok(201)
    assert bought["status"] == "confirmed"
    assert bought["confirmed_at"] is not None
    assert (await service.call("GET", f"/v1/reservations/{bought['id']}")).ok()["status"] == "confirmed"

    item = await service.item(sale)
    assert (item["stock"], item["available"], item["held"], item["sold"]) == (3, 1, 0, 2)
    orders = await service.admin("GET", f"/v1/sales/{sale}/orders")
    assert [order["id"] for order in orders["data"]] == [held["id"], bought["id"]]
    report = await service.audit(sale)
    assert report["orders"] == 2
    assert report["items"][0]["memory_sold"] == 2

    assert (await admin_post(service, f"/v1/sales/{sale}/close")).ok()["status"] == "closed"


async def test_a_problem_about_something_that_is_not_there_names_its_id(service):
    sale = await service.create_sale(waiting_room={"mode": "fifo"}, waiting_list=5)
    gone, key = f"{sale}.{'0' * 24}", f"key_{'0' * 12}"
    there = [
        ("GET", "reservations/{}", "nope"), ("GET", "reservations/{}", gone), ("GET", "webhooks/{}", "nope"),
        ("GET", "webhooks/{}/deliveries", "nope"), ("GET", "waiting-list/{}", "nope"),
        ("GET", f"sales/{sale}/tickets/{{}}", "nope"), ("GET", f"sales/{sale}/tickets/{{}}", "n0pe" * 4),
        ("GET", "simulations/{}", "0" * 12), ("GET", "kernel/scripts/{}", "nope"),
        ("GET", "sales/{}", "nope"),
        ("POST", "reservations/{}/confirm", "nope"), ("POST", "reservations/{}/release", gone),
        ("POST", "reservations/{}/extend", "nope"), ("POST", "orders/{}/cancel", gone),
        ("POST", "webhooks/{}/test", "nope"), ("POST", "keys/{}/revoke", key),
        ("POST", "keys/{}/rotate", key),
        ("DELETE", "webhooks/{}", "nope"), ("DELETE", "waiting-list/{}", "nope"),
    ]  # fmt: skip
    for method, path, id_ in there:
        body = {"restock": True, "reason": "back"} if path.endswith("cancel") else None
        answer = await service.call(method, f"/v1/{path.format(id_)}", body, headers=service.admin_headers)
        assert (answer.status, id_ in answer.body["detail"]) == (404, True), (method, path, answer.body)


async def test_a_body_of_another_shape_is_told_in_plain_words(service):
    for body, what in (([], "must be a JSON object"), ({"colour": 1}, "is not a known field")):
        answer = await service.call("POST", f"/v1/sales/{new_id()}/orders", body)
        assert what in [error["what"] for error in answer.problem(422, "invalid-request")["errors"]]


async def test_a_whole_number_with_a_point_is_a_whole_number(service):
    """For JSON Schema `1.0` is an integer; a library that knows only floats writes it so."""
    sale = new_id()
    body = {"id": sale, "name": "Drop", "hold_seconds": 90.0, "items": [ITEM | {"stock": 3.0}]}
    assert (await admin_post(service, "/v1/sales", body)).ok(201)["hold_seconds"] == 90
    (await admin_post(service, f"/v1/sales/{sale}/open")).ok()
    for noun in ("reservations", "orders"):
        basket = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1.0}]}
        bought = await service.call("POST", f"/v1/sales/{sale}/{noun}", basket)
        assert bought.ok(201)["items"] == [{"sku": "unit", "quantity": 1}]
        basket["items"][0]["quantity"] = 1.5
        (await service.call("POST", f"/v1/sales/{sale}/{noun}", basket)).problem(422, "invalid-request")
    restocked = {"delta": 5e0, "reason": "more"}
    path = f"/v1/sales/{sale}/items/unit/restock"
    assert (await admin_post(service, path, restocked)).ok()["stock"] == 8
    imported = {"sales": [body | {"id": new_id()}]}
    (await admin_post(service, "/v1/imports", imported)).ok(201)


async def test_a_sale_without_an_id_is_named_after_its_name(service):
    first = (await admin_post(service, "/v1/sales", {"name": "Grand Été!", "items": [ITEM]})).ok(201)
    second = (await admin_post(service, "/v1/sales", {"name": "Grand Été!", "items": [ITEM]})).ok(201)
    assert first["id"].startswith("grand-")
    assert first["id"] != second["id"]


async def test_creating_again_is_the_same_sale_under_the_same_key_only(service):
    body = {"id": new_id(), "name": "Once", "items": [ITEM]}
    key = new_id("key")
    first = await admin_post(service, "/v1/sales", body, key=key)
    again = await admin_post(service, "/v1/sales", body, key=key)
    assert again.status == 201
    assert again.body == first.ok(201)
    assert again.replayed
    assert not first.replayed
    other = await admin_post(service, "/v1/sales", body | {"name": "Twice"}, key=key)
    other.problem(422, "idempotency-mismatch")
    (await admin_post(service, "/v1/sales", body)).problem(422, "invalid-request")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "Not A Slug"}, {"id": "-x"}, {"id": ""}, {"id": "a" * 65}, {"name": ""}, {"name": "a\nb"},
        {"items": []}, {"items": [ITEM, ITEM]}, {"items": [ITEM | {"stock": -1}]}, {"items": None},
        {"items": [ITEM | {"stock": 1.5}]}, {"items": [ITEM | {"stock": 10**12}]}, {"hold_seconds": 0},
        {"items": [ITEM | {"currency": "euro"}]}, {"items": [ITEM | {"price_minor": -1}]},
        {"hold_seconds": 10**9}, {"limit_per_customer": 0}, {"starts_at": "2030-01-01T00:00:00"},
        {"starts_at": "soon"}, {"starts_at": in_seconds(20), "ends_at": in_seconds(10)}, {"colour": "red"},
    ],
)  # fmt: skip
async def test_a_sale_that_makes_no_sense_is_refused(service, wrong):
    body = {"id": new_id(), "name": "Wrong", "items": [ITEM]} | wrong
    problem = (await admin_post(service, "/v1/sales", body)).problem(422, "invalid-request")
    assert problem["errors"]
    assert all(set(error) == {"where", "what"} for error in problem["errors"])


# Selling


@pytest.mark.parametrize("verb", ["hold", "buy"])
async def test_the_same_key_answers_the_first_outcome(service, verb):
    sale, key = await service.create_sale(stock=5), new_id("key")
    take = getattr(service, verb)
    first = await take(sale, "ann", 2, key=key)
    again = await take(sale, "ann", 2, key=key)
    assert again.body == first.ok(201)
    assert again.status == 201
    assert again.replayed
    assert not first.replayed
    assert (await service.item(sale))["available"] == 3
    (await take(sale, "ann", 1, key=key)).problem(422, "idempotency-mismatch")
    if SPREAD == 1:  # in a spread sale a key is its customer's own
        (await take(sale, "bob", 2, key=key)).problem(422, "idempotency-mismatch")
    other_verb = service.buy if verb == "hold" else service.hold
    (await other_verb(sale, "ann", 2, key=key)).problem(422, "idempotency-mismatch")
    assert (await service.item(sale))["available"] == 3
    assert (await take(sale, "ann", 2, key=f'"{key}"')).replayed  # a structured field's string, as drafted


async def test_a_key_belongs_to_its_sale(service):
    key = new_id("key")
    first = (await service.buy(await service.create_sale(), "ann", key=key)).ok(201)
    second = await service.buy(await service.create_sale(), "ann", key=key)
    assert second.ok(201)["id"] != first["id"]
    assert not second.replayed


async def test_a_replay_outlives_stock_limit_and_the_sale_itself(service):
    sale, key = await service.create_sale(stock=1, limit=1), new_id("key")
    first = (await service.buy(sale, "ann", key=key)).ok(201)
    await service.admin("POST", f"/v1/sales/{sale}/close")
    again = await service.buy(sale, "ann", key=key)
    assert again.ok(201) == first
    assert again.replayed


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_that_cannot_be_one_is_refused(service, key):
    sale = await service.create_sale()
    (await service.buy(sale, "ann", key=key)).problem(422, "invalid-request")


async def test_a_refusal_is_not_remembered(service):
    sale, key = await service.create_sale(stock=0), new_id("key")
    (await service.buy(sale, "ann", key=key)).problem(409, "sold-out")
    await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 1, "reason": "found one"})
    bought = await service.buy(sale, "ann", key=key)
    assert bought.ok(201)["status"] == "confirmed"
    assert not bought.replayed


@pytest.mark.parametrize("verb", ["hold", "buy"])
async def test_sold_out_says_what_is_available(service, verb):
    sale = await service.create_sale(stock=3)
    (await service.hold(sale, "ann", 2)).ok(201)
    problem = (await getattr(service, verb)(sale, "bob", 2)).problem(409, "sold-out")
    assert problem["available"] == 1
    assert problem["sku"] == "unit"
    assert (await getattr(service, verb)(sale, "bob", 1)).status == 201


async def test_a_customer_stays_within_the_limit(service):
    sale = await service.create_sale(stock=10, limit=2)
    (await service.hold(sale, "ann", 3)).problem(409, "limit-reached")
    held = (await service.hold(sale, "ann")).ok(201)
    (await service.buy(sale, "ann")).ok(201)
    problem = (await service.buy(sale, "ann")).problem(409, "limit-reached")
    assert problem["limit"] == 2
    (await service.buy(sale, "bob", 2)).ok(201)
    (await service.verb(held["id"], "release")).ok()
    (await service.buy(sale, "ann")).ok(201)


async def test_one_basket_is_all_or_nothing(service):
    sale = await service.create_sale(stock=2, skus=("cup", "pot"))
    path = f"/v1/sales/{sale}/orders"

    def basket(*lines: tuple[str, int]) -> dict[str, Any]:
        return {"customer": "ann", "items": [{"sku": sku, "quantity": n} for sku, n in lines]}

    problem = (await service.call("POST", path, basket(("cup", 1), ("pot", 3)))).problem(409, "sold-out")
    assert (problem["sku"], problem["available"]) == ("pot", 2)
    problem = (await service.call("POST", path, basket(("cup", 1), ("jug", 1)))).problem(404, "unknown-item")
    assert problem["sku"] == "jug"
    assert (await service.item(sale, "cup"))["available"] == 2
    # the same sku on two lines adds up before the check
    problem = (await service.call("POST", path, basket(("cup", 2), ("cup", 1)))).problem(409, "sold-out")
    assert problem["sku"] == "cup"
    bought = (await service.call("POST", path, basket(("cup", 1), ("pot", 1), ("cup", 1)))).ok(201)
    assert bought["items"] == [{"sku": "cup", "quantity": 2}, {"sku": "pot", "quantity": 1}]
    assert (await service.item(sale, "cup"))["sold"] == 2
    await service.audit(sale)


async def test_a_basket_has_fifty_lines_at_most(service):
    sale = await service.create_sale(stock=100)
    path = f"/v1/sales/{sale}/reservations"
    lines = [{"sku": "unit", "quantity": 1}] * 51
    (await service.call("POST", path, {"customer": "ann", "items": lines})).problem(422, "invalid-request")
    held = (await service.call("POST", path, {"customer": "ann", "items": lines[:50]})).ok(201)
    assert held["items"] == [{"sku": "unit", "quantity": 50}]


@pytest.mark.parametrize("verb", ["reservations", "orders"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"customer": ""}, {"customer": 7}, {"customer": None}, {"customer": "a" * 129},
        {"customer": "a\x00b"}, {"customer": "\ud800"}, {"items": []}, {"items": {}}, {"items": "unit"},
        {"items": [{"sku": "unit"}]}, {"items": [{"quantity": 1}]}, {"items": [{"sku": 1, "quantity": 1}]},
        {"items": [{"sku": "", "quantity": 1}]}, {"items": [None]}, {"price": 1},
    ] + [
        {"items": [{"sku": "unit", "quantity": quantity}]}
        for quantity in (
            0, -1, 1.5, "1", True, None, 10**7, 2**53, 10**300, float("inf"), float("nan"), [1]
        )
    ],
)  # fmt: skip
async def test_a_basket_that_makes_no_sense_takes_nothing(service, one_sale, verb, wrong):
    body = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]} | wrong
    answer = await service.call("POST", f"/v1/sales/{one_sale}/{verb}", body)
    assert answer.problem(422, "invalid-request")["errors"]
    assert (await service.item(one_sale))["available"] == 10


@pytest.fixture(scope="module")
async def one_sale(service) -> str:
    """A sale with 10 units that nobody ever gets."""
    return await service.create_sale(stock=10)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"null", b"[]", b"7", b'"x"', b"\xff\xfe{}", b"[" * 20_000,
        b'{"customer": "ann", "items": [{"sku": "unit", "quantity": ' + b"9" * 5000 + b"}]}",
    ],
    ids=["empty", "cut", "null", "list", "number", "text", "not-utf-8", "deep", "many-digits"],
)  # fmt: skip
async def test_a_body_that_is_no_json_object_is_a_problem(service, one_sale, data):
    answer = await service.call(
        "POST", f"/v1/sales/{one_sale}/orders", data=data, headers={"Content-Type": "application/json"}
    )
    assert answer.status in (400, 422)
    answer.problem(answer.status, "invalid-request")


async def test_a_large_body_is_refused_before_it_is_read(service, one_sale):
    path, headers = f"/v1/sales/{one_sale}/orders", {"Content-Type": "application/json"}
    answer = await service.call("POST", path, data=b" " * 70_000, headers=headers)
    answer.problem(413, "invalid-request")


async def test_a_large_body_of_undeclared_length_is_refused_too(service, one_sale):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 10_000

    path, headers = f"/v1/sales/{one_sale}/orders", {"Content-Type": "application/json"}
    (await service.call("POST", path, data=pieces(), headers=headers)).problem(413, "invalid-request")


# Names that are not known


async def test_what_does_not_exist_is_a_problem_with_a_code_of_its_own(service):
    one_sale = await service.create_sale()
    basket = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}
    restock = {"delta": 1, "reason": "test"}
    for method, path, body in (
        ("POST", "/v1/sales/no-such-sale/orders", basket),
        ("POST", "/v1/sales/no-such-sale/reservations", basket),
        ("POST", "/v1/sales/NO SUCH SALE/orders", basket),
        ("GET", "/v1/sales/no-such-sale", None),
        ("PATCH", "/v1/sales/no-such-sale", {"name": "x"}),
        ("POST", "/v1/sales/no-such-sale/open", None),
        ("POST", "/v1/sales/no-such-sale/pause", None),
        ("POST", "/v1/sales/no-such-sale/close", None),
        ("POST", "/v1/sales/no-such-sale/items/unit/restock", restock),
        ("GET", "/v1/sales/no-such-sale/orders", None),
        ("GET", "/v1/sales/no-such-sale/orders?format=csv", None),
        ("GET", "/v1/sales/no-such-sale/orders?id=no-such-sale.000000000000000000000000", None),
        ("GET", "/v1/sales/no-such-sale/orders?id=nonsense", None),
        ("GET", "/v1/sales/no-such-sale/audit", None),
    ):
        (await service.call(method, path, body, admin=True)).problem(404, "unknown-sale")

    (await service.hold(one_sale, "ann")).ok(201)  # the sale sells; only the item is unknown
    body = {"customer": "ann", "items": [{"sku": "other", "quantity": 1}]}
    for what in ("reservations", "orders"):
        answer = await service.call("POST", f"/v1/sales/{one_sale}/{what}", body)
        assert answer.problem(404, "unknown-item")["sku"] == "other"
    for sku in ("other", "%00", "%F0%9F%91%9F"):
        path = f"/v1/sales/{one_sale}/items/{sku}/restock"
        (await admin_post(service, path, restock)).problem(404, "unknown-item")

    for reservation in (UNKNOWN_ID, f"{one_sale}.{'0' * 24}", "nonsense", "a.b", f"{one_sale}.%00"):
        (await service.call("GET", f"/v1/reservations/{reservation}")).problem(404, "unknown-reservation")
        for verb in ("confirm", "release", "extend"):
            (await service.verb(reservation, verb)).problem(404, "unknown-reservation")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nope", 404),
        ("POST", "/v1/nope", 404),
        ("POST", "/nope", 404),
        ("DELETE", "/v1/sales", 405),
    ],
)
async def test_a_route_that_does_not_exist_is_a_problem(service, method, path, status):
    (await service.call(method, path)).problem(status, "invalid-request")


# Who may do what


async def test_the_admins_calls_need_the_admins_key(service, one_sale):
    calls = (
        ("POST", "/v1/sales", {"name": "x", "items": [ITEM]}),
        ("PATCH", f"/v1/sales/{one_sale}", {"name": "x"}),
        ("POST", f"/v1/sales/{one_sale}/open", None),
        ("POST", f"/v1/sales/{one_sale}/pause", None),
        ("POST", f"/v1/sales/{one_sale}/close", None),
        ("POST", f"/v1/sales/{one_sale}/items/unit/restock", {"delta": 1, "reason": "x"}),
        ("GET", f"/v1/sales/{one_sale}/orders", None),
        ("GET", f"/v1/sales/{one_sale}/audit", None),
    )
    for method, path, body in calls:
        for sent in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic test-key"},
                     {"Authorization": "Bearer "}, {"Authorization": "Bearer test-key2"}):  # fmt: skip
            answer = await service.call(method, path, body, headers=sent)
            answer.problem(401, "unauthenticated")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_buyer_needs_no_key_but_a_wrong_one_is_refused(service, one_sale):
    assert (await service.call("GET", f"/v1/sales/{one_sale}")).status == 200
    wrong = {"Authorization": "Bearer wrong"}
    for method, path in (
        ("GET", f"/v1/sales/{one_sale}"), ("GET", "/v1/sales"), ("GET", f"/v1/reservations/{UNKNOWN_ID}"),
        ("POST", f"/v1/reservations/{UNKNOWN_ID}/confirm"),
    ):  # fmt: skip
        (await service.call(method, path, headers=wrong)).problem(401, "unauthenticated")


# A sale that is not open


async def refused_as(service, sale: str, status: str) -> None:
    for take in (service.hold, service.buy):
        problem = (await take(sale, "ann")).problem(409, "sale-not-open")
        assert status in problem["detail"]


async def test_only_an_open_sale_sells_but_a_live_hold_can_still_be_confirmed(service):
    sale = await service.create_sale(stock=5, opened=False)
    await refused_as(service, sale, "draft")
    (await admin_post(service, f"/v1/sales/{sale}/pause")).problem(409, "sale-not-open")
    await service.admin("POST", f"/v1/sales/{sale}/open")
    first, second, third = [(await service.hold(sale, "ann")).ok(201) for _ in range(3)]

    opened = await service.call("POST", f"/v1/sales/{sale}/open", key="k1", admin=True)
    assert (opened.ok()["status"], opened.replayed) == ("open", False)
    assert (await service.admin("POST", f"/v1/sales/{sale}/pause"))["status"] == "paused"
    again = await service.call("POST", f"/v1/sales/{sale}/open", key="k1", admin=True)
    assert (again.ok()["status"], again.replayed) == ("open", True)
    other = await service.call("POST", f"/v1/sales/{sale}/close", key="k1", admin=True)
    other.problem(422, "idempotency-mismatch")
    assert (await service.admin("POST", f"/v1/sales/{sale}/pause"))["status"] == "paused"
    await refused_as(service, sale, "paused")
    (await service.verb(third["id"], "extend")).problem(409, "sale-not-open")
    (await service.verb(first["id"], "confirm")).ok()
    assert (await service.admin("POST", f"/v1/sales/{sale}/open"))["status"] == "open"
    assert (await service.admin("POST", f"/v1/sales/{sale}/open"))["status"] == "open"
    (await service.buy(sale, "ann")).ok(201)

    assert (await service.admin("POST", f"/v1/sales/{sale}/close"))["status"] == "closed"
    assert (await service.admin("POST", f"/v1/sales/{sale}/close"))["status"] == "closed"
    await refused_as(service, sale, "closed")
    (await service.verb(second["id"], "confirm")).ok()
    (await service.verb(third["id"], "release")).ok()
    for verb in ("open", "pause"):
        (await admin_post(service, f"/v1/sales/{sale}/{verb}")).problem(409, "sale-not-open")
    (await service.call("PATCH", f"/v1/sales/{sale}", {"name": "x"}, admin=True)).problem(
        409, "sale-not-open"
    )
    await service.audit(sale)


async def test_a_sale_opens_and_ends_by_the_clock(service):
    sale = await service.create_sale(starts_at=in_seconds(2.5), ends_at=in_seconds(6))

    async def status() -> str:
        return str((await service.call("GET", f"/v1/sales/{sale}")).ok()["status"])

    async def is_open() -> bool:
        return await status() == "open"

    async def is_closed() -> bool:
        return await status() == "closed"

    assert await status() == "scheduled"
    await refused_as(service, sale, "scheduled")
    await eventually(is_open, "the sale opens by the clock")
    held = (await service.hold(sale, "ann")).ok(201)
    await eventually(is_closed, "the sale ends by the clock")
    await refused_as(service, sale, "closed")
    (await service.verb(held["id"], "confirm")).ok()
    await service.audit(sale)


# Holds: confirm, release, extend, and the end of their time


async def test_the_same_verb_again_is_the_reservation_as_it_is(service):
    sale = await service.create_sale(stock=2)
    for verb, status in (("confirm", "confirmed"), ("release", "released")):
        held = (await service.hold(sale, "ann")).ok(201)
        first = (await service.verb(held["id"], verb)).ok()
        again = await service.verb(held["id"], verb)
        assert first["status"] == status
        assert again.ok() == first
        assert again.replayed
    item = await service.item(sale)
    assert (item["available"], item["held"], item["sold"]) == (1, 0, 1)


async def test_crossing_verbs_are_refused_with_codes_of_their_own(service):
    sale = await service.create_sale(stock=2)
    confirmed, released = [(await service.hold(sale, "ann")).ok(201)["id"] for _ in range(2)]
    (await service.verb(confirmed, "confirm")).ok()
    (await service.verb(released, "release")).ok()
    for verb in ("release", "extend"):
        (await service.verb(confirmed, verb)).problem(409, "reservation-confirmed")
    for verb in ("confirm", "extend"):
        (await service.verb(released, verb)).problem(409, "reservation-released")
    assert (await service.call("GET", f"/v1/reservations/{confirmed}")).ok()["status"] == "confirmed"
    assert (await service.call("GET", f"/v1/reservations/{released}")).ok()["status"] == "released"
    item = await service.item(sale)
    assert (item["available"], item["held"], item["sold"]) == (1, 0, 1)
    bought = (await service.buy(sale, "bob")).ok(201)
    (await service.verb(bought["id"], "release")).problem(409, "reservation-confirmed")
    assert (await service.verb(bought["id"], "confirm")).ok()["id"] == bought["id"]


async def test_an_extension_restarts_the_clock_once_per_key(service):
    sale, key = await service.create_sale(hold_seconds=60), new_id("key")
    held = (await service.hold(sale, "ann")).ok(201)
    await asyncio.sleep(0.05)
    longer = (await service.verb(held["id"], "extend", key=key)).ok()
    assert longer["expires_at"] > held["expires_at"]
    assert longer["id"] == held["id"]
    await asyncio.sleep(0.05)
    again = await service.verb(held["id"], "extend", key=key)
    assert again.ok() == longer
    assert again.replayed
    other = (await service.verb(held["id"], "extend", key=new_id("key"))).ok()
    assert other["expires_at"] > longer["expires_at"]
    assert (await service.call("GET", f"/v1/reservations/{held['id']}")).ok() == other


async def test_an_extension_never_passes_the_absolute_limit(service):
    sale = await service.create_sale(hold_seconds=3600)
    held = (await service.hold(sale, "ann")).ok(201)
    await asyncio.sleep(0.02)
    assert (await service.verb(held["id"], "extend")).ok()["expires_at"] == held["expires_at"]


async def test_a_repeated_hold_never_restarts_its_clock(service):
    sale, key = await service.create_sale(hold_seconds=60), new_id("key")
    held = (await service.hold(sale, "ann", key=key)).ok(201)
    await asyncio.sleep(0.3)
    assert (await service.hold(sale, "ann", key=key)).ok(201)["expires_at"] == held["expires_at"]


async def test_an_ended_hold_goes_to_the_next_buyer_who_asks(service):
    sale = await service.create_sale(stock=1, hold_seconds=3, limit=1)
    held = (await service.hold(sale, "ann")).ok(201)
    (await service.buy(sale, "bob")).problem(409, "sold-out")
    ends = datetime.fromisoformat(held["expires_at"]).timestamp()
    await asyncio.sleep(max(0.0, ends - time.time()) + 0.02)
    (await service.buy(sale, "bob")).ok(201)  # reclaimed on the spot, not by a sweep
    for verb in ("confirm", "release", "extend"):
        (await service.verb(held["id"], verb)).problem(409, "reservation-expired")
    assert (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()["status"] == "expired"
    await service.audit(sale)


async def test_a_confirm_that_comes_too_late_is_refused_and_the_unit_is_back_by_itself(service):
    sale = await service.create_sale(stock=1, hold_seconds=1)
    held = (await service.hold(sale, "ann")).ok(201)
    await asyncio.sleep(1.05)
    (await service.verb(held["id"], "confirm")).problem(409, "reservation-expired")
    assert (await service.item(sale))["available"] == 1

    held = (await service.hold(sale, "ann")).ok(201)  # and with nobody asking, the sweep does it

    async def is_back() -> bool:
        item = await service.item(sale)
        return (item["available"], item["held"]) == (1, 0)

    await eventually(is_back, "the sweep has reclaimed the unit")
    assert (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()["status"] == "expired"
    await service.audit(sale)


# Stock and rules


async def test_restock_up_and_down_but_never_below_what_is_promised(service):
    sale = await service.create_sale(stock=5)
    path = f"/v1/sales/{sale}/items/unit/restock"
    (await service.hold(sale, "ann", 2)).ok(201)
    (await service.buy(sale, "bob", 1)).ok(201)
    item = (await admin_post(service, path, {"delta": 4, "reason": "a pallet"})).ok()
    assert (item["stock"], item["available"], item["held"], item["sold"]) == (9, 6, 2, 1)
    problem = (await admin_post(service, path, {"delta": -7, "reason": "no"})).problem(422, "invalid-request")
    assert problem["available"] == 6
    assert (await admin_post(service, path, {"delta": -6, "reason": "lost"})).ok()["available"] == 0
    (await service.buy(sale, "eve")).problem(409, "sold-out")

    key = new_id("key")
    first = await admin_post(service, path, {"delta": 3, "reason": "found"}, key=key)
    again = await admin_post(service, path, {"delta": 3, "reason": "found"}, key=key)
    assert again.ok() == first.ok()
    assert again.replayed
    mismatch = await admin_post(service, path, {"delta": 4, "reason": "found"}, key=key)
    mismatch.problem(422, "idempotency-mismatch")
    assert (await service.item(sale))["stock"] == 6
    for wrong in ({"delta": 1.5, "reason": "x"}, {"delta": 1}, {"delta": "1", "reason": "x"},
                  {"delta": 10**12, "reason": "x"}, {"delta": 10**9, "reason": "x"}):  # fmt: skip
        (await admin_post(service, path, wrong)).problem(422, "invalid-request")
    await service.audit(sale)


async def test_patch_changes_rules_from_now_on(service):
    sale = await service.create_sale(stock=10, limit=1, hold_seconds=60)
    held = (await service.hold(sale, "ann")).ok(201)

    async def patch(body: object):
        return await service.call("PATCH", f"/v1/sales/{sale}", body, admin=True)

    changed = (await patch({"name": "New", "hold_seconds": 30, "limit_per_customer": 3})).ok()
    assert (changed["name"], changed["hold_seconds"], changed["limit_per_customer"]) == ("New", 30, 3)
    assert (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()["expires_at"] == held[
        "expires_at"
    ]
    later = (await service.hold(sale, "ann", 2)).ok(201)
    lasts = datetime.fromisoformat(later["expires_at"]) - datetime.fromisoformat(later["created_at"])
    assert lasts == timedelta(seconds=30)
    (await service.hold(sale, "ann")).problem(409, "limit-reached")
    assert (await patch({"limit_per_customer": None})).ok()["limit_per_customer"] is None
    (await service.hold(sale, "ann")).ok(201)

    assert (await patch({"starts_at": in_seconds(60), "ends_at": in_seconds(120)})).ok()["status"] == (
        "scheduled"
    )
    await refused_as(service, sale, "scheduled")
    (await patch({"ends_at": in_seconds(30)})).problem(422, "invalid-request")
    cleared = (await patch({"starts_at": None, "ends_at": None})).ok()
    assert (cleared["status"], cleared["starts_at"], cleared["ends_at"]) == ("open", None, None)
    assert (await patch({})).ok() == cleared

    for wrong in ({"name": None}, {"hold_seconds": None}, {"status": "open"}, {"hold_seconds": 0},
                  {"hold_seconds": "30"}, {"limit_per_customer": 0}, {"items": []}, []):  # fmt: skip
        (await patch(wrong)).problem(422, "invalid-request")
    await service.audit(sale)


# Lists


async def test_orders_come_in_pages_and_as_csv(service):
    sale = await service.create_sale(stock=20)
    customers = [f"c{number}" for number in range(7)] + ["=1+1"]
    ids = [(await service.buy(sale, customer)).ok(201)["id"] for customer in customers]
    (await service.hold(sale, "holder")).ok(201)  # not an order

    seen, cursor, pages = [], None, 0
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = await service.admin("GET", f"/v1/sales/{sale}/orders?limit=3{more}")
        seen += [order["id"] for order in page["data"]]
        cursor, pages = page["next_cursor"], pages + 1
        if cursor is None:
            break
    assert seen == ids
    assert pages == 3
    exact = await service.admin("GET", f"/v1/sales/{sale}/orders?limit={len(ids)}")
    assert exact["next_cursor"] is None

    for path, headers in (("?format=csv", {}), ("", {"Accept": "text/csv"})):
        answer = await service.call("GET", f"/v1/sales/{sale}/orders{path}", admin=True, headers=headers)
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.body)))
        assert [row["order_id"] for row in rows] == ids
        assert [row["quantity"] for row in rows] == ["1"] * len(ids)
        assert rows[-1]["customer"] == "'=1+1"  # no spreadsheet runs it

    for wrong in ("limit=0", "limit=501", "limit=x", "cursor=nonsense", "cursor=%00", "format=xml"):
        answer = await service.call("GET", f"/v1/sales/{sale}/orders?{wrong}", admin=True)
        answer.problem(422, "invalid-request")


async def test_sales_come_in_pages_newest_first(service):
    ids = [await service.create_sale(opened=False) for _ in range(5)]
    seen, cursor = [], None
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = (await service.call("GET", f"/v1/sales?limit=2{more}", admin=True)).ok()
        assert len(page["data"]) <= 2
        seen += [sale["id"] for sale in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None or len(seen) >= 6:
            break
    assert seen[:5] == ids[::-1]
    (await service.call("GET", "/v1/sales?cursor=nonsense")).problem(422, "invalid-request")


# Operations


async def test_health_readiness_and_metrics(service):
    assert (await service.call("GET", "/healthz")).ok() == {"status": "ok"}
    ready = (await service.call("GET", "/readyz")).ok()
    assert ready["status"] == "ok"
    assert set(ready["components"]) == {"memory", "ledger", "recorder"}
    assert all(part["status"] == "ok" for part in ready["components"].values())
    metrics = await service.call("GET", "/metrics")
    assert metrics.status == 200
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert list(text_string_to_metric_families(metrics.body))
    assert 'flashguard_http_requests_total{route="/healthz",status="200"}' in metrics.body


async def test_the_contract_describes_itself(service):
    document = (await service.call("GET", "/openapi.json")).ok()
    assert document["openapi"].startswith("3.1")
    assert {
        "/v1/sales", "/v1/sales/{sale}", "/v1/sales/{sale}/open", "/v1/sales/{sale}/pause",
        "/v1/sales/{sale}/close", "/v1/sales/{sale}/items/{sku}/restock", "/v1/sales/{sale}/reservations",
        "/v1/sales/{sale}/orders", "/v1/sales/{sale}/audit", "/v1/reservations/{id}",
        "/v1/reservations/{id}/confirm", "/v1/reservations/{id}/release", "/v1/reservations/{id}/extend",
        "/healthz", "/readyz", "/metrics",
    } <= set(document["paths"])  # fmt: skip
    assert (await service.call("GET", "/docs")).status == 200
