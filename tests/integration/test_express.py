"""The lane answers as the framework does, byte for byte, whatever is asked and however it comes."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.offline import offline_guard
from flashguard.access.identities import new_api_key
from flashguard.access.tokens import TokenKind
from flashguard.api.app import create_front_door
from flashguard.api.hot_calls import match
from flashguard.api.responses.begun import Answer
from flashguard.api.responses.encoded import Encoded
from flashguard.api.server.front_door import FrontDoor
from flashguard.ledger.identities import LiveKey, SigningKey
from flashguard.model import Sale, SaleId, SaleStatus
from flashguard.settings import Settings
from flashguard.shop.recent import RecentSales
from tests.support.raw_http import exchange, request
from tests.support.service import ADMIN_KEY, unique

FRAMEWORK = {"Content-Encoding": "identity"}
"""A header that takes a request past the express lane, and changes nothing else."""


def comparable(answer: bytes) -> bytes:
    """An answer without what differs from one request to the next: time, id, receipt."""
    answer = re.sub(rb"date: [^\r]+", b"date", answer)
    answer = re.sub(rb"(x-request-id): [^\r]+", rb"\1", answer)
    answer = re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+Z", b"TIME", answer)
    answer = re.sub(rb'"expected_wait_seconds":[\d.]+', b'"expected_wait_seconds":TIME', answer)
    answer = re.sub(rb"\.[0-9a-f]{24}", b".ID", answer)
    answer = re.sub(rb'"receipt":"[^"]+"', b'"receipt":"R"', answer)
    answer = answer.replace(b"idempotent-replayed: true\r\n", b"")  # the same key twice; see the test of keys
    return re.sub(rb"content-length: \d+", b"content-length", answer)


JSON = {"Content_Type": "application/json"}
BASKET = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}
BODIES: Mapping[str, object] = {
    "good": BASKET,
    "two lines": {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}] * 2},
    "too many": {"customer": "ann", "items": [{"sku": "unit", "quantity": 5000}]},
    "unknown item": {"customer": "ann", "items": [{"sku": "nope", "quantity": 1}]},
    "no items": {"customer": "ann", "items": []},
    "no customer": {"items": [{"sku": "unit", "quantity": 1}]},
    "zero": {"customer": "ann", "items": [{"sku": "unit", "quantity": 0}]},
    "fraction": {"customer": "ann", "items": [{"sku": "unit", "quantity": 1.5}]},
    "text": {"customer": "ann", "items": [{"sku": "unit", "quantity": "1"}]},
    "more": {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}], "price": 1},
    "unprintable": {"customer": "a\u0000nn", "items": [{"sku": "unit", "quantity": 1}]},
    "other spelling": {"customer": "ÄNN ", "items": [{"sku": "unit", "quantity": 1}]},
    "look-alike": {"customer": "аnn", "items": [{"sku": "unit", "quantity": 1}]},
    "invisible": {"customer": "an\ufe0fn", "items": [{"sku": "unit", "quantity": 1}]},
    "surrogate": b'{"customer": "a\\ud800", "items": [{"sku": "unit", "quantity": 1}]}',
    "empty": b"",
    "broken": b'{"customer": "ann", "items": [',
    "not utf-8": b'{"customer": "\xff", "items": [{"sku": "unit", "quantity": 1}]}',
    "list": [],
    "doubled": b'{"customer": "ann", "customer": "bob", "items": [{"sku": "unit", "quantity": 1}]}',
    "doubled in a line": b'{"customer": "ann", "items": [{"sku": "unit", "quantity": 9, "quantity": 1}]}',
    "doubled by escape": b'{"customer": "a", "\\u0063ustomer": "b", "items": [{"sku": "u", "quantity": 1}]}',
    "colons": {"customer": "a:n:n", "items": [{"sku": "un:it", "quantity": 1}]},
}
HEADERS: Mapping[str, dict[str, str]] = {
    "plain": JSON,
    "charset": {"Content_Type": "application/json; charset=utf-8"},
    "no type": {},
    "form": {"Content_Type": "application/x-www-form-urlencoded"},
    "key": JSON | {"Authorization": f"Bearer {ADMIN_KEY}"},
    "small bearer": JSON | {"Authorization": f"bearer {ADMIN_KEY}"},
    "wrong key": JSON | {"Authorization": "Bearer nope"},
    "basic": JSON | {"Authorization": "Basic abc"},
    "empty idempotency key": JSON | {"Idempotency_Key": '""'},
    "long idempotency key": JSON | {"Idempotency_Key": "k" * 300},
    "latin": JSON | {"Idempotency_Key": "ké"},
    "closing": JSON | {"Connection": "close"},
    "expecting": JSON | {"Expect": "100-continue"},
}


async def same_in_both(service, path: str, body: object, headers: dict[str, str], **how: Any) -> bytes:
    one = (await exchange(service, request(path, body, **headers), **how))[0]
    other = (await exchange(service, request(path, body, **headers, **FRAMEWORK), **how))[0]
    assert comparable(one) == comparable(other)
    return one


@pytest.mark.parametrize("noun", ["reservations", "orders"])
async def test_both_lanes_answer_every_body_alike(service, noun):
    sale = await service.create_sale(stock=1000)
    path = f"/v1/sales/{sale}/{noun}"
    for name, body in BODIES.items():
        answer = await same_in_both(service, path, body, JSON)
        assert answer.startswith(b"HTTP/1.1 201") == (name in ("good", "two lines", "other spelling")), name


@pytest.mark.parametrize("noun", ["reservations", "orders"])
async def test_both_lanes_answer_every_header_alike(service, noun):
    sale = await service.create_sale(stock=1000)
    for headers in HEADERS.values():
        await same_in_both(service, f"/v1/sales/{sale}/{noun}", BASKET, headers)


async def test_two_idempotency_keys_are_refused_in_both_lanes_whatever_is_asked(service):
    sale = await service.create_sale(stock=5)
    held = (await service.hold(sale, "ann")).ok(201)["id"]
    two = JSON | {"Idempotency_Key": "one\r\nIdempotency-Key: two"}
    for path, body in (
        (f"/v1/sales/{sale}/reservations", BASKET), (f"/v1/sales/{sale}/orders", BASKET),
        (f"/v1/reservations/{held}/confirm", None), (f"/v1/reservations/{held}/extend", None),
        ("/v1/sales", {}), (f"/v1/sales/{sale}/waiting-list", BASKET), ("/v1/imports", {}), ("/v1/keys", {}),
    ):  # fmt: skip
        answer = await same_in_both(service, path, body, two)
        assert answer.startswith(b"HTTP/1.1 422"), (path, answer)
        assert b"send one such header" in answer
    assert (await service.item(sale))["sold"] == 0


async def test_both_lanes_answer_every_sale_alike(service):
    limited = await service.create_sale(stock=5, limit=1)
    await service.buy(limited, "ann")
    gone = await service.create_sale(stock=0)
    draft = await service.create_sale(opened=False)
    for sale in (limited, gone, draft, unique(), "Not-a-slug", "%41", "x" * 65):
        for tail in ("", "?x=1", "/"):
            answer = await same_in_both(service, f"/v1/sales/{sale}/orders{tail}", BASKET, JSON)
            assert answer[9:10] in (b"4", b"3")


async def test_both_lanes_look_at_tickets_alike(service):
    sale = await service.create_sale(starts_at="2040-01-01T00:00:00Z", waiting_room={"mode": "fifo"})
    ticket = (await service.call("POST", f"/v1/sales/{sale}/tickets", {"customer": "ann"})).body["id"]
    plain = await service.create_sale()
    for path in (
        f"{sale}/tickets/{ticket}", f"{sale}/tickets/{ticket}?x=1", f"{sale}/tickets/{ticket}/",
        f"{sale}/tickets/{ticket[:-1]}", f"{sale}/tickets/{'x' * 16}", f"{plain}/tickets/{ticket}",
        f"{unique()}/tickets/{ticket}", f"Not-a-slug/tickets/{ticket}", f"{sale}/tickets/confirm",
        f"{sale}/orders?/tickets/",
    ):  # fmt: skip
        for method in ("GET", "POST", "DELETE"):
            for headers in ({}, {"Authorization": f"Bearer {ADMIN_KEY}"}, {"Authorization": "Bearer nope"}):
                raw = [
                    request(f"/v1/sales/{path}", method=method, **headers, **more) for more in ({}, FRAMEWORK)
                ]
                one, other = [(await exchange(service, each))[0] for each in raw]
                assert comparable(one) == comparable(other), (method, path)
    assert (
        b'"position":1'
        in (await exchange(service, request(f"/v1/sales/{sale}/tickets/{ticket}", method="GET")))[0]
    )


async def test_both_lanes_read_reservations_alike(service):
    sale = await service.create_sale()
    held = (await service.hold(sale, "ann")).ok(201)["id"]
    for id_ in (held, f"{sale}.{'0' * 24}", f"{sale}.xyz", "nope", f"{held}?x=1", f"{held}/", "x" * 200):
        for headers in ({}, {"Authorization": f"Bearer {ADMIN_KEY}"}, {"Authorization": "Bearer nope"}):
            for method in ("GET", "DELETE"):
                raw = [
                    request(f"/v1/reservations/{id_}", method=method, **headers, **more)
                    for more in ({}, FRAMEWORK)
                ]
                one, other = [(await exchange(service, each))[0] for each in raw]
                assert comparable(one) == comparable(other), (method, id_)


async def test_both_lanes_read_sales_alike(service):
    sale, draft = await service.create_sale(), await service.create_sale(opened=False)
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    first = (await exchange(service, request(f"/v1/sales/{sale}", method="GET", **admin)))[0]
    etag = first.split(b"etag: ")[1].split(b"\r")[0].decode()
    conditions = (
        {}, {"If_None_Match": etag}, {"If_None_Match": f'"x", W/{etag}'}, {"If_None_Match": "*"},
        {"If_None_Match": f'"x"\r\nIf-None-Match: {etag}'}, {"If_None_Match": "x"},
        {"Cache_Control": "no-cache"}, {"Cache_Control": "max-age=0"},
        {"If_None_Match": etag, "Cache_Control": "No-Cache"},
    )  # fmt: skip
    for path in (sale, draft, unique(), "Not-a-slug", f"{sale}?x=1", f"{sale}/", "x" * 200):
        for headers in ({}, admin, {"Authorization": "Bearer nope"}):
            for method in ("GET", "PUT"):
                for more in conditions:
                    raw = [
                        request(f"/v1/sales/{path}", method=method, **headers, **more, **lane)
                        for lane in ({}, FRAMEWORK)
                    ]
                    one, other = [(await exchange(service, each))[0] for each in raw]
                    assert comparable(one) == comparable(other), (method, path, headers, more)
                    if (path, method) == (sale, "GET") and headers in ({}, admin):
                        has_it = more.get("If_None_Match", "x") == "*" or etag in more.get(
                            "If_None_Match", ""
                        )
                        assert one.startswith(b"HTTP/1.1 304" if has_it else b"HTTP/1.1 200"), more


async def test_both_lanes_know_each_others_keys(service):
    sale = await service.create_sale(stock=10)
    first, again, other, framework = await exchange(
        service,
        request(f"/v1/sales/{sale}/orders", BASKET, **JSON, Idempotency_Key="k"),
        request(f"/v1/sales/{sale}/orders", BASKET, **JSON, Idempotency_Key="k"),
        request(f"/v1/sales/{sale}/orders", BODIES["two lines"], **JSON, Idempotency_Key="k"),
        request(f"/v1/sales/{sale}/orders", BASKET, **JSON, **FRAMEWORK, Idempotency_Key="k"),
    )
    assert first.split(b"\r\n\r\n")[1] == again.split(b"\r\n\r\n")[1] == framework.split(b"\r\n\r\n")[1]
    assert comparable(again) == comparable(framework)
    assert b"idempotent-replayed: true" in again
    assert other.startswith(b"HTTP/1.1 422")
    assert (await service.item(sale))["sold"] == 1


async def test_both_lanes_end_reservations_alike(service):
    sale = await service.create_sale(stock=100)
    for verb in ("confirm", "release"):
        held = [(await service.hold(sale, f"c{n}")).body["id"] for n in range(2)]
        for id_, more in zip(held, ({}, FRAMEWORK), strict=True):
            done, again, crossed = await exchange(
                service,
                request(f"/v1/reservations/{id_}/{verb}", **more),
                request(f"/v1/reservations/{id_}/{verb}", **more),
                request(f"/v1/reservations/{id_}/{'release' if verb == 'confirm' else 'confirm'}", **more),
            )
            assert (done[9:12], again[9:12], crossed[9:12]) == (b"200", b"200", b"409")
        await same_in_both(service, f"/v1/reservations/{held[0]}/{verb}", None, {})
    for id_ in (f"{sale}.{'0' * 24}", f"{sale}.xyz", "nope", f"{unique()}.{'0' * 24}"):
        for body in (None, {"receipt": "forged"}, b"x"):
            await same_in_both(service, f"/v1/reservations/{id_}/confirm", body, JSON)


@pytest.mark.parametrize("pieces", [2, 7, 40])
async def test_a_request_may_come_in_pieces(service, pieces):
    sale = await service.create_sale(stock=1000)
    for body in (BASKET, BODIES["broken"], BODIES["zero"]):
        await same_in_both(service, f"/v1/sales/{sale}/orders", body, JSON, pieces=pieces)


async def test_requests_sent_ahead_are_answered_in_their_order(service):
    sale = await service.create_sale(stock=1000)
    path = f"/v1/sales/{sale}/orders"
    mixed = [
        request(path, BASKET | {"customer": f"c{n}"}, **JSON, **(FRAMEWORK if n % 3 == 0 else {}))
        for n in range(30)
    ]
    mixed.insert(10, request(f"/v1/sales/{sale}", method="GET"))
    answers = await exchange(service, b"".join(mixed), answers=31)
    assert b'"stock"' in answers.pop(10)
    assert [json.loads(answer.split(b"\r\n\r\n")[1])["customer"] for answer in answers] == [
        f"c{n}" for n in range(30)
    ]


async def test_a_body_beyond_the_bound_is_refused_in_both(service):
    sale = await service.create_sale()
    await same_in_both(service, f"/v1/sales/{sale}/orders", b" " * 70_000, JSON)


async def test_an_old_client_that_keeps_nothing_alive_is_answered(service):
    sale = await service.create_sale()
    answer = (await exchange(service, request(f"/v1/sales/{sale}/orders", BASKET, version="1.0", **JSON)))[0]
    assert answer.startswith(b"HTTP/1.1 201")
    assert b"connection: close" in answer


async def test_the_hot_calls_do_take_the_lane():
    settings = Settings(admin_key=ADMIN_KEY)  # type: ignore[arg-type]
    door = create_front_door(settings)
    door.shared.guard = offline_guard(settings)
    kind = (b"content-type", b"application/json")
    body = json.dumps(BASKET).encode()
    short = "0" * 24
    for method, url, headers, sent in (
        (b"POST", b"/v1/sales/s/orders", [kind, (b"idempotency-key", b"k")], body),
        (
            b"POST",
            b"/v1/sales/s/reservations",
            [kind, (b"authorization", f"Bearer {ADMIN_KEY}".encode())],
            body,
        ),
        (b"POST", f"/v1/reservations/s.{short}/confirm".encode(), [], b""),
        (b"POST", f"/v1/reservations/s.{short}/release".encode(), [], b""),
        (b"POST", f"/v1/reservations/s.{short}/extend".encode(), [], b""),
        (b"GET", f"/v1/reservations/s.{short}".encode(), [], b""),
        (b"GET", b"/v1/sales/s/tickets/BeVKI9D90fRCDSzH", [], b""),
    ):
        found = match(method, url)
        assert found is not None, url
        assert door.plan(found, headers, sent) is not None, url


async def test_a_sale_that_was_read_is_answered_without_a_task():
    settings = Settings()
    door = create_front_door(settings)
    sale = Sale(id=SaleId("s"), name="S", status=SaleStatus.OPEN, items=(), created_at=datetime.now(UTC))

    async def found(_: SaleId) -> Sale | None:
        return sale

    door.shared.guard = guard = offline_guard(settings)
    guard.shop.recent = recent = RecentSales(found)
    asked = match(b"GET", b"/v1/sales/s")

    async def answer(*headers: tuple[bytes, bytes]) -> tuple[int, bool]:
        """The status, and whether it was answered at once."""
        replies: list[Answer] = []
        door.plan(asked, list(headers), b"").start(replies.append, [])
        [reply] = replies
        return (reply.status_code, True) if isinstance(reply, Encoded) else ((await reply).status_code, False)

    assert await answer() == (200, False)
    assert await answer() == (200, True)
    assert await answer((b"cache-control", b"no-cache")) == (200, False)
    recent.forget(sale.id)
    assert await answer() == (200, False)


async def test_servers_with_a_key_and_browsers_with_a_token_take_the_lane():
    def hold(door: FrontDoor, *more: tuple[bytes, bytes]) -> bool:
        headers = [(b"content-type", b"application/json"), *more]
        found = match(b"POST", b"/v1/sales/s/reservations")
        assert found is not None
        return door.plan(found, headers, json.dumps(BASKET).encode()) is not None

    settings = {"mode": "production", "admin_key": ADMIN_KEY}
    for cors in ((), ("https://shop.example",)):
        door = create_front_door(Settings(cors_origins=cors, **settings))
        door.shared.guard = offline_guard(door.shared.settings)
        identities = door.app.state.identities
        identities.ring.replace([SigningKey("k", b"k" * 32, 0.0, None)])
        key, reader = new_api_key(), new_api_key()
        identities._keys = {
            key.digest: LiveKey(key.id, key.digest, ("shop",), None),
            reader.digest: LiveKey(reader.id, reader.digest, ("read",), None),
        }
        token = identities.ring.sign(TokenKind.BUYER, "ann", SaleId("s"), 60).token
        origin = (b"origin", b"https://shop.example")
        for secret in (key.secret, token, ADMIN_KEY):
            authorization = (b"authorization", f"Bearer {secret}".encode())
            assert hold(door, authorization)
            assert hold(door, authorization, origin) == (not cors)
            assert not hold(door, authorization, (b"content-encoding", b"identity"))
        for secret in (reader.secret, token[:-1], "fg_live_x", ""):
            assert not hold(door, (b"authorization", f"Bearer {secret}".encode()))
        assert not hold(door)
