"""Many holds or orders in one call: each has the outcome that it would have had alone, in order."""

import asyncio
import io
import json
import re
from typing import Any

import pytest

from flashguard import BasketRequest, Code, FlashGuard, Granted, Line, Refused
from flashguard.model import Sku
from flashguard.settings import Settings
from tests.support.eventually import eventually
from tests.support.raw_http import exchange, request
from tests.support.service import ADMIN_KEY, Answer, Service, unique
from tests.support.streams import another_api

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
JSON = {"Content_Type": "application/json"}
FRAMEWORK = {"Content_Encoding": "identity"}
"""A header that takes a request past the lane, and changes nothing else."""
MAX_BATCH_BYTES = 1024 * 1024
NOUNS = pytest.mark.parametrize("noun", ["reservations", "orders"])
LINES = [{"sku": "unit", "quantity": 1}]

GOOD: dict[str, dict[str, Any]] = {
    "plain": {"customer": "ann", "items": LINES},
    "two lines": {"customer": "ann", "items": LINES * 2},
    "other spelling": {"customer": "ÄNN ", "items": LINES},
    "whole float": {"customer": "ann", "items": [{"sku": "unit", "quantity": 1.0}]},
}
REFUSED: dict[str, Any] = {
    "too many": {"customer": "ann", "items": [{"sku": "unit", "quantity": 5000}]},
    "unknown item": {"customer": "ann", "items": [{"sku": "nope", "quantity": 1}]},
    "no items": {"customer": "ann", "items": []},
    "no customer": {"items": LINES},
    "zero": {"customer": "ann", "items": [{"sku": "unit", "quantity": 0}]},
    "fraction": {"customer": "ann", "items": [{"sku": "unit", "quantity": 1.5}]},
    "text": {"customer": "ann", "items": [{"sku": "unit", "quantity": "1"}]},
    "more": {"customer": "ann", "items": LINES, "price": 1},
    "unprintable": {"customer": "a\u0000nn", "items": LINES},
    "look-alike": {"customer": "аnn", "items": LINES},
    "long": {"customer": "x" * 129, "items": LINES},
    "long admission": {"customer": "ann", "items": LINES, "admission": "x" * 4097},
}


def one(body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    return {"key": key or unique("key"), **body}


async def batch(service: Service, sale: str, noun: str, *requests: Any, admin: bool = True) -> Answer:
    return await service.call("POST", f"/v1/sales/{sale}/{noun}:batch", {"requests": requests}, admin=admin)


async def outcomes(service: Service, sale: str, noun: str, *requests: Any) -> list[dict[str, Any]]:
    return (await batch(service, sale, noun, *requests)).ok()["outcomes"]  # type: ignore[no-any-return]


def comparable(body: dict[str, Any]) -> str:
    """A body without what differs between two reservations: id, times, receipt."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", json.dumps(body))
    return re.sub(r'"receipt": "[^"]+"', "", re.sub(r"\.[0-9a-f]{24}", ".ID", text))


@NOUNS
async def test_each_outcome_is_that_of_the_single_call(service, noun):
    bodies, sale, twin = {**GOOD, **REFUSED}, *[await service.create_sale(stock=1000) for _ in range(2)]
    alone = [
        await service.call("POST", f"/v1/sales/{twin}/{noun}", body, key=unique("key"))
        for body in bodies.values()
    ]
    together = await outcomes(service, sale, noun, *map(one, bodies.values()))
    for name, single, outcome in zip(bodies, alone, together, strict=True):
        assert outcome["status"] == single.status, name
        if name in GOOD:
            assert outcome["replayed"] is False
            assert comparable(outcome["reservation"]) == comparable(single.body).replace(twin, sale)
        else:
            assert json.dumps(outcome) == json.dumps({"status": single.status, "problem": single.body}), name
    await service.audit(sale)


@NOUNS
async def test_units_go_to_the_first_requests_and_never_further(service, noun):
    sale = await service.create_sale(stock=5)
    found = await outcomes(
        service, sale, noun, *(one({"customer": f"c{n}", "items": LINES}) for n in range(9))
    )
    assert [each["status"] for each in found] == [201] * 5 + [409] * 4
    assert {each["problem"]["code"] for each in found[5:]} == {"sold-out"}
    assert [each["reservation"]["customer"] for each in found[:5]] == [f"c{n}" for n in range(5)]
    item = await service.item(sale)
    assert (item["available"], item["held"] + item["sold"]) == (0, 5)
    await service.audit(sale)


@NOUNS
@pytest.mark.parametrize("spread", [1, 3])
async def test_a_key_that_comes_twice_is_answered_as_two_calls_would_be(service, noun, spread):
    sale = await service.create_sale(stock=90, spread=spread)
    keys = [unique("key") for _ in range(20)]
    requests = [one(GOOD["plain"] | {"customer": f"c-{key}"}, key) for key in keys]
    again = [{**each} for each in requests]
    other = [{**each, "items": LINES * 2} for each in requests]
    found = await outcomes(service, sale, noun, *requests, *again, *other)
    first, repeated, mismatched = found[:20], found[20:40], found[40:]
    assert [each["status"] for each in first] == [201] * 20
    assert [(each["status"], each["replayed"]) for each in repeated] == [(201, True)] * 20
    assert [each["reservation"] for each in repeated] == [each["reservation"] for each in first]
    assert {each["problem"]["code"] for each in mismatched} == {"idempotency-mismatch"}
    alone = await service.call(
        "POST", f"/v1/sales/{sale}/{noun}", {"customer": f"c-{keys[0]}", "items": LINES}, key=keys[0]
    )
    assert alone.replayed
    assert alone.body == first[0]["reservation"]
    assert [each["replayed"] for each in await outcomes(service, sale, noun, *requests)] == [True] * 20
    await service.audit(sale)


@NOUNS
async def test_a_thousand_requests_are_answered_in_order_and_no_more_are_taken(service, noun):
    sale = await service.create_sale(stock=2000)
    requests = [one({"customer": f"customer-{n}", "items": LINES}) for n in range(1000)]
    found = await outcomes(service, sale, noun, *requests)
    assert [each["reservation"]["customer"] for each in found] == [f"customer-{n}" for n in range(1000)]
    refused = (await batch(service, sale, noun, *requests, one(GOOD["plain"]))).problem(
        422, "invalid-request"
    )
    assert refused["errors"][0]["where"] == "body.requests"
    large = io.BytesIO(b'{"requests": [' + b" " * MAX_BATCH_BYTES)
    path, headers = f"/v1/sales/{sale}/{noun}:batch", {"Content-Type": "application/json"}
    answer = await service.call("POST", path, data=large, headers=headers, admin=True)
    answer.problem(413, "invalid-request")
    item = await service.item(sale)
    assert item["held"] + item["sold"] == 1000


async def test_a_name_that_no_sale_can_have_gets_the_404_that_the_contract_names(service):
    contract = (await service.call("GET", "/openapi.json")).ok()["paths"]
    one = {"key": "k", "customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}
    for noun in ("reservations", "orders"):
        answer = await service.call("POST", f"/v1/sales/a%20b/{noun}:batch", {"requests": [one]}, admin=True)
        answer.problem(404, "unknown-sale")
        assert "404" in contract[f"/v1/sales/{{sale}}/{noun}:batch"]["post"]["responses"]


async def test_a_bad_request_changes_nothing_for_the_others(service):
    sale = await service.create_sale(stock=10)
    bad: list[Any] = [None, 1, "x", [], {}, {"key": "k"}, {**GOOD["plain"]}, one(GOOD["plain"]) | {"key": 5}]
    bad += [one(GOOD["plain"]) | {"key": key} for key in ("", "é", "k" * 256, "a\nb", '""')]
    found = await outcomes(service, sale, "orders", *bad, one(GOOD["plain"]))
    assert [each["status"] for each in found] == [422] * len(bad) + [201]
    assert {each["problem"]["code"] for each in found[:-1]} == {"invalid-request"}
    assert (await service.item(sale))["sold"] == 1


UNIT = b'"items": [{"sku": "unit", "quantity": 1}]'
BODIES: dict[str, bytes] = {
    "good": b'{"requests": [{"key": "K1", "customer": "ann", UNIT}]}',
    "colons": b'{"requests": [{"key": "a:K2", "customer": "a:nn", UNIT}]}',
    "escaped": b'{"requests": [{"key": "a\\u003aK3", "customer": "ann", UNIT}]}',
    "quoted key": b'{"requests": [{"key": "\\"K4\\"", "customer": "ann", UNIT}]}',
    "one bad": b'{"requests": [{"key": "K5", "customer": "ann", UNIT}, {}]}',
    "doubled in one": b'{"requests": [{"key": "K6", "key": "K7", "customer": "a", UNIT}, {"key": "K8", '
    b'"customer": "a", UNIT}]}',
    "doubled by escape": b'{"requests": [{"key": "a\\u003aK9", "key": "K9", "customer": "a", UNIT}]}',
    "doubled in a line": b'{"requests": [{"key": "K10", "customer": "a", "items": [{"sku": "unit", '
    b'"quantity": 9, "quantity": 1}]}]}',
    "doubled": b'{"requests": [], "requests": [{"key": "K11", "customer": "a", UNIT}]}',
    "empty": b'{"requests": []}',
    "no list": b'{"requests": {}}',
    "more": b'{"requests": [{}], "more": 1}',
    "list": b"[]",
    "null": b"null",
    "nothing": b"",
    "broken": b'{"requests": [',
    "not utf-8": b'{"requests": ["\xff"]}',
    "surrogate": b'{"requests": [{"key": "K12", "customer": "a\\ud800", UNIT}]}',
    "huge number": b'{"requests": [{"key": "K13", "customer": "a", "items": [{"sku": "unit", '
    b'"quantity": 1e999}]}]}',
    "deep": b'{"requests": ' + b"[" * 5000,
}
GRANTED = {"good", "colons", "escaped", "quoted key", "one bad", "doubled in one"}


def same(answer: bytes) -> bytes:
    """An answer without what differs from one request to the next."""
    for pattern in (rb"date: [^\r]+", rb"x-request-id: [^\r]+", rb"content-length: \d+"):
        answer = re.sub(pattern, b"", answer)
    return answer


@NOUNS
async def test_both_lanes_answer_every_batch_alike(service, noun):
    sale = await service.create_sale(stock=1000)
    for name, body in BODIES.items():
        for headers in (ADMIN | JSON, ADMIN, ADMIN | {"Content_Type": "text/csv"}):
            sent = body.replace(b"UNIT", UNIT)
            raw = [
                request(f"/v1/sales/{sale}/{noun}:batch", sent, **headers, **lane) for lane in ({}, FRAMEWORK)
            ]
            one, other = [(await exchange(service, each))[0] for each in raw]
            one = one.replace(b'"replayed":false', b'"replayed":true')  # the same keys come twice
            assert same(one) == same(other), (name, headers)
            assert (b'"reservation"' in one) == (headers == ADMIN | JSON and name in GRANTED), (name, one)
    await service.audit(sale)


async def test_only_api_keys_that_sell_may_send_a_batch(service):
    sale = await service.create_sale()
    token = (await service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"}))["token"]
    keys = {
        scope: (await service.admin("POST", "/v1/keys", {"name": scope, "scopes": [scope]}))["key"]
        for scope in ("shop", "read")
    }
    body = {"requests": [one(GOOD["plain"])]}
    for secret, status in (
        (None, 401),
        (token, 403),
        (keys["read"], 403),
        (keys["shop"], 200),
        ("nope", 401),
    ):
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        answer = await service.call("POST", f"/v1/sales/{sale}/orders:batch", body, headers=headers)
        assert answer.status == status, (secret, answer)
    assert (await service.item(sale))["sold"] == 1


async def test_each_request_counts_for_the_limits_of_its_customer_and_the_caller(service, http):
    sale = await service.create_sale(stock=100)
    shop = await service.admin("POST", "/v1/keys", {"name": "batches", "scopes": ["shop"]})
    async with another_api(
        service, http, FLASHGUARD_RATE_PER_CUSTOMER="2/3600", FLASHGUARD_RATE_PER_KEY="10/3600"
    ) as limited:
        limited.admin_key = shop["key"]  # a bucket of its own: the admin key's is that of other tests, too
        customers = ["ann", "ann", "ANN", "bob", "cid", "dan", "eve", "fay", "gil", "hal", "ida", "joe"]
        answer = await batch(
            limited,
            sale,
            "orders",
            *(one({"customer": f"{each}-{sale}", "items": LINES}) for each in customers),
        )
        statuses = [each["status"] for each in answer.ok()["outcomes"]]
        assert statuses.count(201) == 10
        assert statuses[2] == 429  # the third of one customer, whatever the spelling
        assert answer.body["outcomes"][2]["problem"]["code"] == "rate-limited"
        assert answer.headers["RateLimit"].startswith(('"customer";r=0', '"key";r=0'))
        (await batch(limited, sale, "orders", one(GOOD["plain"]))).problem(429, "rate-limited")
    assert (await service.item(sale))["sold"] == 10


async def test_admissions_of_a_waiting_room_count_in_a_batch(service):
    sale = await service.create_sale(stock=100, waiting_room={"mode": "fifo", "max_active": 1})
    path = f"/v1/sales/{sale}/tickets"
    ticket = (await service.call("POST", path, {"customer": "ann"})).body
    while not ticket.get("admission"):
        await asyncio.sleep(0.05)
        ticket = (await service.call("GET", f"{path}/{ticket['id']}")).ok()
    asked = (one(GOOD["plain"]), one(GOOD["plain"] | {"admission": ticket["admission"]}), one(GOOD["plain"]))
    found = await outcomes(service, sale, "orders", *asked)
    assert [each["status"] for each in found] == [403, 201, 403], found
    assert found[0]["problem"]["code"] == "queue-required"


async def test_holds_that_demand_the_ledger_are_recorded_before_the_answer(service):
    sale = await service.create_sale(stock=100, hold_durability="ledger")
    found = await outcomes(service, sale, "reservations", *(one(GOOD["plain"]) for _ in range(50)))
    assert [each["status"] for each in found] == [201] * 50
    await service.audit(sale)


@pytest.mark.parametrize("sale", ["no-such-sale", "Not-a-slug"])
async def test_an_unknown_sale_is_named_as_in_the_single_call(service, sale):
    single = await service.call("POST", f"/v1/sales/{sale}/orders", GOOD["plain"], admin=True)
    answer = await batch(service, sale, "orders", one(GOOD["plain"]), one(GOOD["plain"]))
    if sale == "no-such-sale":
        assert [each["problem"] for each in answer.ok()["outcomes"]] == [single.body] * 2
    else:
        assert answer.body == single.body


async def test_the_library_sells_in_batches_too(service):
    sale = await service.create_sale(stock=3)
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    async with await FlashGuard.connect(settings) as guard:
        unit = [Line(Sku("unit"), 1)]
        wanted = [BasketRequest("ann", unit, "k"), BasketRequest("", unit), BasketRequest("bob", unit)]
        held, bad, other = await guard.batch.reserve(sale, wanted)
        assert isinstance(held, Granted)
        assert isinstance(other, Granted)
        assert isinstance(bad, Refused)
        assert bad.code is Code.INVALID_REQUEST
        bought, again = await guard.batch.buy(sale, [BasketRequest("cid", unit), BasketRequest("cid", unit)])
        assert isinstance(bought, Granted)
        assert isinstance(again, Refused)
        for wrong in ([], [BasketRequest("a", unit)] * 1001, [object()], None):
            with pytest.raises(ValueError, match="requests: 1 to 1000"):
                await guard.batch.buy(sale, wrong)  # type: ignore[arg-type]
    await service.audit(sale)


async def test_a_hold_that_was_extended_outlives_the_others_of_its_batch(service):
    """Holds of one moment share a deadline in memory."""
    sale = await service.create_sale(stock=3, hold_seconds=5)
    asked = [one({"customer": who, "items": LINES}) for who in ("ann", "bob", "cem")]
    held = [each["reservation"] for each in await outcomes(service, sale, "reservations", *asked)]
    assert len({each["expires_at"] for each in held}) == 1
    await asyncio.sleep(2.5)
    extended = (await service.verb(held[0]["id"], "extend")).ok()
    assert extended["expires_at"] > held[0]["expires_at"]

    async def is_free() -> bool:
        return (await service.item(sale))["available"] > 0

    await eventually(is_free, "the others have expired")
    assert (await service.item(sale))["available"] == 2
    assert (await service.verb(extended["id"], "confirm")).ok()["status"] == "confirmed"
    await service.audit(sale)
