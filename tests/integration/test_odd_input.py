"""What is odd but comes in all the same: numbers without end, signs in a sku, formulas, a missing header."""

import csv
import io
import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.service import Service, unique

ITEM: dict[str, Any] = {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": 5}
DIGITS = "9" * 5000
NUMBERS = [
    DIGITS,
    f"-{DIGITS}",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "-Infinity",
    f"1.{DIGITS}",
    f"1e{DIGITS}",
    f"1e-{DIGITS}",
]
DEEP = ["[" * 50_000, '{"a":' * 10_000, "[" * 30_000 + "]" * 30_000]


def sale(**more: Any) -> dict[str, Any]:
    return {"id": unique(), "name": "Odd", "items": [ITEM]} | more


async def imported(service: Service, file: str, kind: str = "application/json") -> Any:
    headers = service.admin_headers | {"Content-Type": kind}
    return await service.call("POST", "/v1/imports", headers=headers, data=file.encode())


@pytest.mark.parametrize("lane", [{}, {"Content-Encoding": "identity"}], ids=["express", "framework"])
async def test_a_number_of_any_length_or_kind_is_the_callers_mistake(service: Service, lane: dict[str, str]):
    id_ = await service.create_sale()
    headers = service.admin_headers | {"Content-Type": "application/json"} | lane
    for number in (*NUMBERS, *DEEP):
        line = f'{{"sku":"unit","quantity":{number}}}'
        bodies = {
            f"/v1/sales/{id_}/reservations": f'{{"customer":"a","items":[{line}]}}',
            f"/v1/sales/{id_}/orders": f'{{"customer":{number},"items":[{{"sku":"unit","quantity":1}}]}}',
            f"/v1/sales/{id_}/items/unit/restock": f'{{"reason":"r","delta":{number}}}',
            f"/v1/sales/{id_}/buyer-tokens": f'{{"customer":"a","expires_in_seconds":{number}}}',
            "/v1/sales": json.dumps(sale(hold_seconds="@")).replace('"@"', number),
            "/v1/keys": f'{{"name":"k","scopes":["read"],"expires_in_seconds":{number}}}',
            "/v1/webhooks": f'{{"url":"https://example.com","events":{number}}}',
        }
        if not number.startswith("1."):  # a float there is right
            room = json.dumps({"waiting_room": {"admit_per_second": "@"}}).replace('"@"', number)
            answer = await service.call("PATCH", f"/v1/sales/{id_}", headers=headers, data=room.encode())
            answer.problem(400 if number in (DIGITS, f"-{DIGITS}", *DEEP) else 422, "invalid-request")
        for path, body in bodies.items():
            answer = await service.call("POST", path, headers=headers, data=body.encode())
            assert answer.status in (400, 422), (path, number[:10], answer)
            answer.problem(answer.status, "invalid-request")
    assert (await service.item(id_))["available"] == 10


async def test_an_import_names_the_place_of_a_number_and_of_a_field_without_end(service: Service):
    for number in NUMBERS:
        file = json.dumps([sale(), sale(items=[ITEM | {"stock": "@"}])]).replace('"@"', number)
        [error] = (await imported(service, file)).problem(422, "invalid-request")["errors"]
        assert (error["where"], len(error["what"]) < 100) == ("sales[1]: items[0]: stock", True)
    for name in (DIGITS, "٣" * 100, "\ud800", "a\nb"):
        answer = await imported(service, json.dumps([sale(**{name: 1})]))
        [error] = answer.problem(422, "invalid-request")["errors"]
        assert error["where"].startswith("sales[0]")
        assert len(error["where"]) <= 200
    for file in DEEP:
        (await imported(service, file)).problem(422, "invalid-request")
    rows = f"sale,sku,price_minor,currency,stock\n{unique()},unit,1,EUR,{DIGITS}\n"
    [error] = (await imported(service, rows, "text/csv")).problem(422, "invalid-request")["errors"]
    assert error["where"] == "line 2: stock"


SKUS = [
    "a/b", "a?b", "a#b", "a%b", "a%2Fb", "/a", "a/", "a//b", "items/x/restock", "a b", "a;b", "a&b=c", "ä/ß",
    "a+b", "restock", "日本/語", "a\\b", "%", "?", "#", "a:b@c",
]  # fmt: skip


async def test_a_sku_of_any_signs_is_sold_and_restocked(service: Service):
    id_ = await service.create_sale(skus=tuple(SKUS))
    for sku in SKUS:
        path = f"/v1/sales/{id_}/items/{quote(sku, safe='')}/restock"
        answer = await service.call("POST", path, {"delta": 3, "reason": "more"}, admin=True)
        assert (answer.ok()["sku"], answer.ok()["stock"]) == (sku, 13), sku
        body = {"customer": "ann", "items": [{"sku": sku, "quantity": 1}]}
        (await service.call("POST", f"/v1/sales/{id_}/orders", body)).ok(201)
        assert (await service.item(id_, sku))["sold"] == 1
    missing = await service.call(
        "POST", f"/v1/sales/{id_}/items/no%2Fsuch/restock", {"delta": 1, "reason": "r"}, admin=True
    )
    problem = missing.problem(404, "unknown-item")
    assert (problem["sku"], problem["detail"]) == ("no/such", "The sale has no item 'no/such'.")
    for sku in (".", ".."):
        made = await service.call("POST", "/v1/sales", sale(items=[ITEM | {"sku": sku}]), admin=True)
        assert made.problem(422, "invalid-request")["errors"][0]["where"] == "body.items.0.sku"
    wrong = await service.call("GET", f"/v1/sales/{id_}/items/a%2Fb/restock", admin=True)
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
    await service.audit(id_)


FORMULAS = [
    "=1+1", "+1", "-1", "@a", "＝cmd", "＋1", "－1", "＠a",
    "a;=1+1", "a,=1+1", "a|@b", "a; ＝b", ' "=1', "'=1",
]  # fmt: skip


async def test_no_spreadsheet_runs_what_a_caller_wrote(service: Service):
    id_ = await service.create_sale(skus=tuple(FORMULAS), stock=1)
    for sku in FORMULAS:
        body = {"customer": "ann", "items": [{"sku": sku, "quantity": 1}]}
        (await service.call("POST", f"/v1/sales/{id_}/orders", body)).ok(201)
    text = (await service.call("GET", f"/v1/sales/{id_}/orders?format=csv", admin=True)).body
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(FORMULAS)
    for delimiter in ",;|\t":
        for line in csv.reader(io.StringIO(text), delimiter=delimiter):
            for cell in line:
                assert not re.match(r'[\s"]*[=+\-@＝＋－＠]', cell), (delimiter, cell)
    for row in csv.DictReader(io.StringIO(text)):
        for start in "=+-@＝＋－＠":
            assert not row["sku"].startswith(start)
            assert f";{start}" not in row["sku"]


async def test_a_refusal_says_what_to_do(service: Service):
    body = json.dumps(sale()).encode()
    for kind in ("", "text/plain", "application/x-www-form-urlencoded"):
        headers = service.admin_headers | ({"Content-Type": kind} if kind else {"Content-Type": ""})
        answer = await service.call("POST", "/v1/sales", headers=headers, data=body)
        assert answer.problem(422, "invalid-request")["detail"] == "Content-Type: must be application/json"
    wrong = await service.call("POST", "/v1/sales", sale(items=[ITEM | {"currency": "euro"}]), admin=True)
    [error] = wrong.problem(422, "invalid-request")["errors"]
    assert error == {
        "where": "body.items.0.currency",
        "what": "must be a currency's three capital letters, as in EUR",
    }
    for path in ("/v1/buyer-tokens/x/revoke", "/v1/keys/x/revoke"):
        problem = (await service.call("POST", path, admin=True)).problem(422, "invalid-request")
        assert "^" not in problem["detail"]
    unknown = await service.call("GET", "/v1/sales/no-such-sale", admin=True)
    assert "no-such-sale" in unknown.problem(404, "unknown-sale")["detail"]
    for path in ("orders", "audit"):
        unknown = await service.call("GET", f"/v1/sales/no-such-sale/{path}", admin=True)
        assert "no-such-sale" in unknown.problem(404, "unknown-sale")["detail"]
    unknown = await service.buy("no-such-sale", "ann")
    assert "no-such-sale" in unknown.problem(404, "unknown-sale")["detail"]


async def test_a_csv_with_semicolons_is_taken(service: Service):
    one = unique()
    rows = f'sale;sale_name;sku;price_minor;currency;stock\n{one};"Shoes; red, too";red;4999;EUR;100\n'
    answer = (await imported(service, rows, "text/csv")).ok(201)
    assert answer["sales"] == [{"id": one, "items": 1}]
    made = (await service.call("GET", f"/v1/sales/{one}", admin=True)).ok()
    assert (made["name"], made["items"][0]["price_minor"]) == ("Shoes; red, too", 4999)
