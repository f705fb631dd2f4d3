"""Times: RFC 3339 with an offset, in a range that every date can hold, and an end that is still to come."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from flashguard import FlashGuard, Item, NewSale, Refused, Settings
from flashguard.ledger import OrderFilter
from flashguard.model import MinorUnits, Sku
from tests.support.service import Service, unique

OUT_OF_RANGE = [
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59.9995Z",
    "9998-12-31T23:59:59.9996Z",
    "9998-12-31T23:59:59.999Z",
    "9998-12-31T23:59:59.001Z",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1999-12-31T23:59:59.999Z",
]
NO_TIMES = [
    "2027",
    "20270630",
    "46466",
    "1790000000",
    "2027-06-30",
    "2027-06-30T10:00:00",
    "2027-06-30T10:00:00 CET",
    "2027-06-30T10:00:00+02",
    "2027-06-30T10:00:00.Z",
    "٢٠٢٧-06-30T10:00:00Z",
    "2027-02-30T10:00:00Z",
    "now",
    "",
]
NO_TEXTS = [46466, 20270630, 1790000000.5, True, [], {}]
GOOD = ["2000-01-01T00:00:00Z", "9998-12-31T23:59:59Z", "2030-01-01t00:00:00.123456789+05:30"]
ITEM = {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": 1}


def sale(**more: Any) -> dict[str, Any]:
    return {"id": unique(), "name": "Times", "items": [ITEM]} | more


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.fixture(scope="module")
async def guard(service: Service) -> AsyncIterator[FlashGuard]:
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    async with await FlashGuard.connect(settings) as connected:
        yield connected


@pytest.mark.parametrize("field", ["starts_at", "ends_at"])
async def test_what_is_no_time_or_out_of_range_is_refused_wherever_it_comes_in(service: Service, field: str):
    id_ = await service.create_sale()
    for value in (*OUT_OF_RANGE, *NO_TIMES, *NO_TEXTS):
        body = sale(**{field: value})
        made = await service.call("POST", "/v1/sales", body, admin=True)
        assert made.problem(422, "invalid-request")["errors"][0]["where"] == f"body.{field}", value
        changed = await service.call("PATCH", f"/v1/sales/{id_}", {field: value}, admin=True)
        assert changed.problem(422, "invalid-request")["errors"][0]["where"] == f"body.{field}", value
        headers = service.admin_headers | {"Content-Type": "application/json"}
        file = json.dumps({"sales": [body]}).encode()
        imported = await service.call("POST", "/v1/imports", headers=headers, data=file)
        [error] = imported.problem(422, "invalid-request")["errors"]
        assert error["where"] == f"sales[0]: {field}", value
        if isinstance(value, str | int) and value not in ("", True):
            csv = f"sale,{field},sku,price_minor,currency,stock\n{unique()},{value},unit,1,EUR,1\n"
            headers = service.admin_headers | {"Content-Type": "text/csv"}
            imported = await service.call("POST", "/v1/imports", headers=headers, data=csv.encode())
            [error] = imported.problem(422, "invalid-request")["errors"]
            assert error["where"] == f"line 2: {field}", value
    listed = (await service.call("GET", f"/v1/sales/{id_}")).ok()
    assert (listed["starts_at"], listed["ends_at"]) == (None, None)


@pytest.mark.parametrize("name", ["since", "until"])
async def test_a_query_takes_the_same_times_as_a_body(service: Service, name: str):
    id_ = await service.create_sale()
    for value in (*OUT_OF_RANGE, *NO_TIMES):
        path = f"/v1/sales/{id_}/orders?{name}={value.replace('+', '%2B')}"
        (await service.call("GET", path, admin=True)).problem(422, "invalid-request")
    for value in GOOD:
        path = f"/v1/sales/{id_}/orders?{name}={value.replace('+', '%2B')}"
        assert (await service.call("GET", path, admin=True)).ok()["data"] == []
    replay = f"/v1/webhooks/{'0' * 24}/replay"
    for value in (*OUT_OF_RANGE, *NO_TIMES, *NO_TEXTS):
        (await service.call("POST", replay, {name: value}, admin=True)).problem(422, "invalid-request")


async def test_a_cursor_of_any_time_is_no_failure(service: Service):
    id_ = await service.create_sale()
    for time in (
        "0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00", "2027",
        "9999-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59-14:00", "20270630",
    ):  # fmt: skip
        cursor = base64.urlsafe_b64encode(f"{time}|x".encode()).decode().rstrip("=")
        for path in ("/v1/sales", f"/v1/sales/{id_}/orders"):
            answer = await service.call("GET", f"{path}?cursor={cursor}", admin=True)
            assert answer.status in (200, 422), (time, answer)


async def test_the_first_and_the_last_time_are_kept_and_read_back(service: Service):
    first, last, other = GOOD
    made = (await service.call("POST", "/v1/sales", sale(starts_at=first, ends_at=last), admin=True)).ok(201)
    assert [made["starts_at"], made["ends_at"]] == [first, last]
    await service.admin("POST", f"/v1/sales/{made['id']}/open")
    assert (await service.call("GET", f"/v1/sales/{made['id']}")).ok()["ends_at"] == made["ends_at"]
    (await service.call("PATCH", f"/v1/sales/{made['id']}", {"starts_at": other}, admin=True)).ok()
    await service.audit(made["id"])


async def test_a_time_that_is_in_range_only_when_rounded_is_kept_rounded(service: Service):
    before, after = "1999-12-31T23:59:59.9999Z", "9998-12-31T23:59:59.0004Z"
    made = await service.call("POST", "/v1/sales", sale(starts_at=before, ends_at=after), admin=True)
    changed = await service.create_sale(opened=False)
    for id_ in (made.ok(201)["id"], changed):
        await service.call(
            "PATCH", f"/v1/sales/{changed}", {"starts_at": before, "ends_at": after}, admin=True
        )
        found = (await service.call("GET", f"/v1/sales/{id_}", admin=True)).ok()
        assert [found["starts_at"], found["ends_at"]] == [GOOD[0], GOOD[1]]
    file = json.dumps({"sales": [sale(starts_at=before, ends_at=after)]}).encode()
    headers = service.admin_headers | {"Content-Type": "application/json"}
    (await service.call("POST", "/v1/imports", headers=headers, data=file)).ok(201)


async def test_the_library_takes_aware_times_of_that_range_alone(guard: FlashGuard):
    item = Item(sku=Sku("unit"), name="Unit", price_minor=MinorUnits(1), currency="EUR", stock=1)
    far_west = timezone(-timedelta(hours=14))
    wrong: list[Any] = [
        datetime(2027, 6, 30), datetime.max, datetime.min,  # noqa: DTZ001, DTZ901
        datetime.max.replace(tzinfo=UTC), datetime(9999, 12, 31, tzinfo=far_west),
        datetime(1, 1, 1, tzinfo=UTC), 20270630, "2027-06-30T10:00:00Z",
    ]  # fmt: skip
    made = await guard.shop.create_sale(NewSale(name="Times", items=(item,), id=unique()))
    assert not isinstance(made, Refused)
    for time in wrong:
        for field in ("starts_at", "ends_at"):
            new = NewSale(name="Times", items=(item,), id=unique(), **{field: time})
            for answer in (
                await guard.shop.create_sale(new),
                await guard.shop.change(made[0].id, "patch", **{field: time}),
            ):
                assert isinstance(answer, Refused)
                assert (answer.code, answer.detail[: len(field)]) == ("invalid-request", field)
        if isinstance(time, datetime):
            with pytest.raises(ValueError, match="since"):
                OrderFilter(since=time)


async def test_an_end_that_has_passed_is_refused_and_closes_nothing(service: Service):
    id_ = await service.create_sale()
    for seconds in (-1, -86_400 * 365):
        answer = await service.call("PATCH", f"/v1/sales/{id_}", {"ends_at": in_seconds(seconds)}, admin=True)
        assert "close it" in answer.problem(422, "invalid-request")["detail"]
    assert (await service.call("GET", f"/v1/sales/{id_}")).ok()["status"] == "open"
    (await service.buy(id_, "ann")).ok(201)
    await service.admin("PATCH", f"/v1/sales/{id_}", {"ends_at": in_seconds(600)})
    await service.admin("POST", f"/v1/sales/{id_}/close")

    body = sale(ends_at=in_seconds(-1))
    (await service.call("POST", "/v1/sales", body, admin=True)).problem(422, "invalid-request")
    headers = service.admin_headers | {"Content-Type": "application/json"}
    for query in ("", "?dry_run=true"):
        imported = await service.call(
            "POST", f"/v1/imports{query}", headers=headers, data=json.dumps([body]).encode()
        )
        [error] = imported.problem(422, "invalid-request")["errors"]
        assert error["where"] == "sales[0]: ends_at"
        assert error["what"].startswith("must be in the future")


async def test_a_draft_whose_end_has_passed_is_not_opened_until_that_is_changed(service: Service):
    body = sale(ends_at=in_seconds(1.5))
    made = (await service.call("POST", "/v1/sales", body, admin=True, key=body["id"])).ok(201)
    path = f"/v1/sales/{made['id']}"
    await asyncio.sleep(1.6)
    again = await service.call("POST", "/v1/sales", body, admin=True, key=body["id"])
    assert (again.ok(201)["id"], again.replayed) == (made["id"], True)
    refused = await service.call("POST", f"{path}/open", admin=True)
    assert "ends_at has passed" in refused.problem(409, "sale-not-open")["detail"]
    assert (await service.call("GET", path, admin=True)).ok()["status"] == "draft"
    await service.admin("PATCH", path, {"ends_at": None})
    assert (await service.admin("POST", f"{path}/open"))["status"] == "open"
