"""Keys with scopes and buyers' tokens: who may do what, in both lanes, in every process, and until when."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from flashguard.api.access import Scope
from flashguard.api.app import create_app
from flashguard.api.security import OPEN, rights_of
from flashguard.errors import ConfigurationError
from flashguard.settings import Mode, Settings
from tests.support.service import Answer, Service, unique
from tests.support.streams import another_api

EVERYWHERE_SECONDS = 30.0
"""The documented 5 s, on a machine that does other things too."""
PAST_THE_LANE = {"Content-Encoding": "identity"}
LANES = pytest.mark.parametrize("lane", [{}, PAST_THE_LANE], ids=["express", "framework"])
FILLED = {"{sale}": "nobody", "{sku}": "unit", "{name}": "reserve_stock"}
BASKET = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}


@pytest.fixture(scope="module")
async def shop(service, http) -> AsyncIterator[Service]:
    """An API in production mode, beside the session's one in development: two processes, one ledger."""
    async with another_api(service, http, FLASHGUARD_MODE="production") as running:
        yield running


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def new_key(shop: Service, *scopes: str, **more: Any) -> dict[str, Any]:
    return await shop.admin("POST", "/v1/keys", {"name": "a test's", "scopes": list(scopes)} | more)


async def token(shop: Service, sale: str, customer: str = "ann", **more: Any) -> str:
    minted = await shop.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": customer} | more)
    assert (minted["customer"], minted["sale_id"]) == (customer, sale)
    return str(minted["token"])


async def take(
    shop: Service,
    sale: str,
    secret: str | None,
    noun: str = "reservations",
    customer: str = "ann",
    **more: Any,
) -> Answer:
    headers = (bearer(secret) if secret else {}) | more.pop("headers", {})
    return await shop.call(
        "POST", f"/v1/sales/{sale}/{noun}", BASKET | {"customer": customer}, headers=headers, **more
    )


async def answered_with(call: Any, status: int) -> Answer:
    """The call's answer, once it has this status."""
    deadline = time.monotonic() + EVERYWHERE_SECONDS
    while True:
        answer: Answer = await call()
        if answer.status == status:
            return answer
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.1)


# Who may call what


def test_every_route_says_who_may_call_it():
    undecided = {path for _, path, right in rights_of(create_app()) if right is None} - set(OPEN)
    assert not undecided, f"{undecided} requires no right: give it one, or say in OPEN why not"
    assert set(OPEN) <= {path for _, path, right in rights_of(create_app()) if right is None}


async def test_every_call_takes_those_whom_the_table_names_and_nobody_else(shop):
    sale = await shop.create_sale()
    secrets = {scope: (await new_key(shop, scope))["key"] for scope in Scope}
    buyer = await token(shop, sale)
    for method, path, right in rights_of(create_app()):
        if right is None:
            continue
        address = path
        for name, value in (FILLED | {"{id}": f"nobody.{'0' * 24}"}).items():
            address = address.replace(name, value)

        async def ask(headers: dict[str, str], method: str = method, address: str = address) -> Answer:
            return await shop.call(method, address, None if method == "GET" else {}, headers=headers)

        (await ask({})).problem(401, "unauthenticated")
        (await ask(bearer("nope"))).problem(401, "unauthenticated")
        for scope, secret in secrets.items():
            status = (await ask(bearer(secret))).status
            assert (status == 403) == (scope not in right.scopes), (method, path, scope, status)
            assert status != 401
        asked = await ask(bearer(buyer), address=address.replace("nobody", sale))
        assert (asked.status == 403) == (not right.for_buyers), (method, path, asked)


async def test_a_key_says_no_to_what_it_is_not_for_before_it_looks_at_anything(shop):
    reader = (await new_key(shop, "read"))["key"]
    for path in ("/v1/sales/nobody/open", "/v1/sales/nobody/buyer-tokens", "/v1/keys"):
        (await shop.call("POST", path, {"wrong": 1}, headers=bearer(reader))).problem(403, "forbidden")


async def test_two_authorizations_are_none(shop):
    raw = b"GET /v1/sales HTTP/1.1\r\nHost: x\r\n" + b"Authorization: Bearer nope\r\n"
    raw += f"Authorization: Bearer {shop.admin_key}\r\nConnection: close\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(shop.url.rsplit(":", 1)[1]))
    writer.write(raw)
    assert (await reader.read()).startswith(b"HTTP/1.1 401")
    writer.close()


# API keys


async def test_a_key_is_shown_once_and_the_ledger_has_only_its_hash(shop, service):
    made = await new_key(shop, "shop", "shop")
    assert made["key"].startswith("fg_live_")
    assert (made["scopes"], made["status"], made["hint"]) == (["shop"], "live", made["key"][-4:])
    listed = await shop.admin("GET", "/v1/keys?limit=500")
    assert made["id"] in [key["id"] for key in listed["data"]]
    assert made["key"] not in json.dumps(listed)
    connection = await asyncpg.connect(service.database_url)
    rows = await connection.fetch("SELECT k::text AS row FROM flashguard.api_keys k")
    await connection.close()
    assert rows
    assert not [row for row in rows if made["key"] in row["row"]]


@LANES
async def test_a_new_key_works_at_once_in_a_process_that_never_heard_of_it(shop, service, lane):
    sale = await shop.create_sale()
    made = await service.admin("POST", "/v1/keys", {"name": "new", "scopes": ["shop"]})
    (await take(shop, sale, made["key"], headers=lane)).ok(201)


@LANES
async def test_a_revoked_key_stops_working_everywhere(shop, service, lane):
    sale = await shop.create_sale(stock=1000)
    made = await new_key(shop, "shop")
    for one in (shop, service):
        (await take(one, sale, made["key"], headers=lane)).ok(201)
    revoked = await shop.admin("POST", f"/v1/keys/{made['id']}/revoke")
    assert revoked["status"] == "revoked"
    (await take(shop, sale, made["key"], headers=lane)).problem(401, "unauthenticated")
    gone = await answered_with(lambda: take(service, sale, made["key"], headers=lane), 401)
    gone.problem(401, "unauthenticated")
    assert (await shop.admin("POST", f"/v1/keys/{made['id']}/revoke"))["revoked_at"] == revoked["revoked_at"]


async def test_a_key_ends_at_its_time(shop):
    made = await new_key(shop, "read", expires_in_seconds=60)
    connection = await asyncpg.connect(shop.database_url)
    await connection.execute(
        "UPDATE flashguard.api_keys SET expires_at = now() + interval '1 s' WHERE id = $1", made["id"]
    )
    await connection.close()
    await answered_with(lambda: shop.call("GET", "/v1/sales", headers=bearer(made["key"])), 401)
    listed = await shop.admin("GET", "/v1/keys?limit=500")
    assert {key["status"] for key in listed["data"] if key["id"] == made["id"]} == {"expired"}


async def test_a_rotated_key_hands_over_within_its_grace(shop):
    old = await new_key(shop, "read")
    new = await shop.admin("POST", f"/v1/keys/{old['id']}/rotate", {"grace_seconds": 3600})
    assert (new["name"], new["scopes"]) == (old["name"], ["read"])
    for key in (old, new):
        (await shop.call("GET", "/v1/sales", headers=bearer(key["key"]))).ok()
    (await shop.call("POST", f"/v1/keys/{old['id']}/rotate", admin=True)).problem(404, "invalid-request")
    newest = await shop.admin("POST", f"/v1/keys/{new['id']}/rotate", {"grace_seconds": 0})
    (await shop.call("GET", "/v1/sales", headers=bearer(new["key"]))).problem(401, "unauthenticated")
    (await shop.call("GET", "/v1/sales", headers=bearer(newest["key"]))).ok()


async def test_a_keys_last_use_is_noted(shop):
    made = await new_key(shop, "read")
    assert made["last_used_at"] is None
    (await shop.call("GET", "/v1/sales", headers=bearer(made["key"]))).ok()
    deadline = time.monotonic() + EVERYWHERE_SECONDS
    while True:
        listed = await shop.admin("GET", "/v1/keys?limit=500")
        if next(key for key in listed["data"] if key["id"] == made["id"])["last_used_at"]:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def test_a_key_that_can_not_be_is_refused(shop):
    for body in (
        {},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": ["read"], "expires_in_seconds": 0},
        {"name": "x\n", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "more": 1},
    ):
        (await shop.call("POST", "/v1/keys", body, admin=True)).problem(422, "invalid-request")
    for verb in ("revoke", "rotate"):
        (await shop.call("POST", f"/v1/keys/key_{'0' * 16}/{verb}", admin=True)).problem(
            404, "invalid-request"
        )


# Buyers' tokens


@LANES
@pytest.mark.parametrize("noun", ["reservations", "orders"])
async def test_a_buyer_takes_as_themselves_in_their_sale_and_nowhere_else(shop, noun, lane):
    sale, other = await shop.create_sale(), await shop.create_sale()
    ann = await token(shop, sale)
    assert (await take(shop, sale, ann, noun, headers=lane)).ok(201)["customer"] == "ann"
    (await take(shop, sale, ann, noun, "bob", headers=lane)).problem(403, "forbidden")
    (await take(shop, other, ann, noun, headers=lane)).problem(403, "forbidden")
    (await take(shop, unique(), ann, noun, headers=lane)).problem(403, "forbidden")
    (await take(shop, sale, None, noun, headers=lane)).problem(401, "unauthenticated")
    assert ((await shop.admin("GET", f"/v1/sales/{other}"))["items"][0]["available"]) == 10


def told_apart(answer: Answer, asked_for: str) -> tuple[Any, ...]:
    """What an answer tells, apart from the id that was asked for."""
    body = answer.body | {"detail": answer.body["detail"].replace(repr(asked_for), "ID")}
    return answer.status, body, sorted(set(answer.headers) - {"Date"})


@LANES
@pytest.mark.parametrize("verb", ["", "/confirm", "/release", "/extend"])
async def test_anothers_reservation_can_not_be_told_from_one_that_does_not_exist(shop, verb, lane):
    sale, elsewhere = await shop.create_sale(stock=100), await shop.create_sale()
    ann, bob = await token(shop, sale), await token(shop, sale, "bob")
    method = "POST" if verb else "GET"

    async def ask(id_: str, secret: str) -> Answer:
        return await shop.call(method, f"/v1/reservations/{id_}{verb}", headers=bearer(secret) | lane)

    held = (await take(shop, sale, ann)).ok(201)
    nobodys = f"{sale}.{'0' * 24}"
    nothing = told_apart(await ask(nobodys, bob), nobodys)
    assert nothing[:1] == (404,)
    assert nothing[1]["code"] == "unknown-reservation"
    ended = [(await take(shop, sale, ann)).ok(201)["id"] for _ in range(2)]
    for id_, word in zip(ended, ("confirm", "release"), strict=True):
        (await shop.call("POST", f"/v1/reservations/{id_}/{word}", headers=bearer(ann))).ok()
    bought = (await take(shop, sale, ann, "orders")).ok(201)["id"]
    of_elsewhere = (await take(shop, elsewhere, shop.admin_key, customer="bob")).ok(201)["id"]
    for id_ in (held["id"], *ended, bought, of_elsewhere, "nonsense", f"{unique()}.{'0' * 24}"):
        assert told_apart(await ask(id_, bob), id_) == nothing, id_
    assert (await ask(held["id"], ann)).status == 200


@LANES
async def test_a_receipt_of_another_opens_nothing(shop, lane):
    sale = await shop.create_sale()
    ann, bob = await token(shop, sale), await token(shop, sale, "bob")
    held = (await take(shop, sale, ann)).ok(201)
    path, body = f"/v1/reservations/{held['id']}/confirm", {"receipt": held["receipt"]}
    (await shop.call("POST", path, body, headers=bearer(bob) | lane)).problem(404, "unknown-reservation")
    assert (await shop.call("POST", path, body, headers=bearer(ann) | lane)).ok()["status"] == "confirmed"


@LANES
async def test_a_buyers_idempotency_keys_are_their_own(shop, lane):
    sale = await shop.create_sale()
    ann, bob = await token(shop, sale), await token(shop, sale, "bob")
    first = (await take(shop, sale, ann, key="k", headers=lane)).ok(201)
    again = await take(shop, sale, ann, key="k", headers=lane)
    assert (again.ok(201)["id"], again.replayed) == (first["id"], True)
    other = await take(shop, sale, bob, customer="bob", key="k", headers=lane)
    assert (other.ok(201)["id"] != first["id"], other.replayed) == (True, False)


async def test_a_key_of_the_shop_takes_for_any_customer(shop):
    sale = await shop.create_sale()
    key = (await new_key(shop, "shop"))["key"]
    for customer in ("ann", "bob"):
        held = (await take(shop, sale, key, customer=customer)).ok(201)
        path = f"/v1/reservations/{held['id']}/release"
        assert (await shop.call("POST", path, headers=bearer(key))).ok()["status"] == "released"


async def test_a_token_speaks_for_the_one_spelling_of_a_customer(shop):
    sale = await shop.create_sale()
    path = f"/v1/sales/{sale}/buyer-tokens"
    minted = (await shop.call("POST", path, {"customer": " Ann  B "}, admin=True)).ok(201)
    assert minted["customer"] == "ann b"
    for spelt in ("ann b", "ANN B"):
        assert (await take(shop, sale, minted["token"], customer=spelt)).ok(201)["customer"] == "ann b"
    lookalike = await shop.call("POST", path, {"customer": "аnn"}, admin=True)
    lookalike.problem(422, "invalid-request")


async def test_what_a_token_is_minted_for_is_whom_it_speaks_for(shop):
    sale = await shop.create_sale()
    path = f"/v1/sales/{sale}/buyer-tokens"
    for spelt in ("garc\u0131\u0301a", "O’Neil", "ann\u0660", "佐々木", "علی\u200cرضا"):
        minted = (await shop.call("POST", path, {"customer": spelt}, admin=True)).ok(201)
        again = (await shop.call("POST", path, {"customer": minted["customer"]}, admin=True)).ok(201)
        assert again["customer"] == minted["customer"]
        for customer in (spelt, minted["customer"]):
            held = (await take(shop, sale, minted["token"], customer=customer)).ok(201)
            assert held["customer"] == minted["customer"]
            read = await shop.call("GET", f"/v1/reservations/{held['id']}", headers=bearer(minted["token"]))
            assert read.ok()["customer"] == minted["customer"]


async def test_a_token_is_for_a_sale_that_exists_and_no_longer_than_the_setting_says(shop):
    sale = await shop.create_sale()
    path = f"/v1/sales/{sale}/buyer-tokens"
    (await shop.call("POST", f"/v1/sales/{unique()}/buyer-tokens", {"customer": "ann"}, admin=True)).problem(
        404, "unknown-sale"
    )
    for body in (
        {"customer": "ann", "expires_in_seconds": 901},
        {"customer": "ann", "expires_in_seconds": 0},
        {"customer": ""},
        {"customer": "a\0"},
    ):
        (await shop.call("POST", path, body, admin=True)).problem(422, "invalid-request")
    answer = await shop.call("POST", path, {"customer": "ann"}, admin=True)
    assert answer.headers["Cache-Control"] == "no-store"


@LANES
async def test_a_token_ends_at_its_time_also_where_it_was_seen_before(shop, lane):
    sale = await shop.create_sale(stock=1000)
    short = await token(shop, sale, expires_in_seconds=3)
    (await take(shop, sale, short, headers=lane)).ok(201)
    ended = await answered_with(lambda: take(shop, sale, short, headers=lane), 401)
    assert "expired" in ended.problem(401, "unauthenticated")["detail"]


@LANES
async def test_a_revoked_token_is_refused_when_it_is_replayed_in_any_process(shop, service, lane):
    sale = await shop.create_sale(stock=1000)
    minted = await shop.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"})
    for one in (shop, service):
        (await take(one, sale, minted["token"], headers=lane)).ok(201)
    await shop.admin("POST", f"/v1/buyer-tokens/{minted['id']}/revoke")
    gone = await take(shop, sale, minted["token"], headers=lane)
    assert "revoked" in gone.problem(401, "unauthenticated")["detail"]
    await answered_with(lambda: take(service, sale, minted["token"], headers=lane), 401)
    (await take(shop, sale, await token(shop, sale), headers=lane)).ok(201)


async def test_tokens_outlive_a_rotation_of_the_signing_key_but_not_its_revocation(shop, service):
    sale = await shop.create_sale(stock=1000)
    before = await token(shop, sale)
    newest = (await shop.admin("POST", "/v1/signing-keys/rotate", {}))["data"][0]["id"]
    (await take(shop, sale, before)).ok(201)
    (await take(service, sale, before)).ok(201)
    revoked = await shop.admin("POST", "/v1/signing-keys/rotate", {"revoke": True})
    assert [key["ends_at"] for key in revoked["data"]] == [None]
    assert revoked["data"][0]["id"] != newest
    (await take(shop, sale, before)).problem(401, "unauthenticated")
    await answered_with(lambda: take(service, sale, before), 401)
    after = await token(shop, sale)
    (await take(shop, sale, after)).ok(201)
    (await take(service, sale, after)).ok(201)


@LANES
async def test_what_is_no_token_of_ours_is_refused_alike(shop, lane):
    sale = await shop.create_sale()
    good = await token(shop, sale)
    head, body, signature = good.split(".")
    for wrong in (
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature[:-2]}AA",
        f"eyJhbGciOiJub25lIn0.{body}.",
        f"eyJhbGciOiJub25lIn0.{body}.{signature}",
        f"eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.{body}.{signature}",
        f"{head}.{body}x.{signature}",
        f"{good}{'x' * 8000}",
        "fg_live_" + "x" * 43,
        "",
    ):
        answer = await take(shop, sale, None, headers={"Authorization": f"Bearer {wrong}"} | lane)
        problem = answer.problem(401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert signature not in json.dumps(problem)


# Production


@pytest.mark.parametrize(
    "secret", [None, "", "short-but-Strange-7&3", "a" * 64, "change-me-" + "0123456789abcdef" * 2, "k ey" * 9]
)
def test_production_does_not_start_with_a_secret_that_one_can_guess(secret):
    with pytest.raises(ConfigurationError, match="FLASHGUARD_ADMIN_KEY must be") as refused:
        create_app(Settings(mode=Mode.PRODUCTION, admin_key=secret))
    assert not secret or secret not in str(refused.value)


def test_development_takes_any_secret():
    create_app(Settings(admin_key="x"))  # type: ignore[arg-type]
