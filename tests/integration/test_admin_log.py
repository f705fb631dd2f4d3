"""The admin log: every operator's call leaves a line, no buyer's call does, and no line changes."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from flashguard.api.access import Scope
from flashguard.api.admin_log import MAX_FORBIDDEN
from flashguard.api.app import create_app
from flashguard.api.security import rights_of
from tests.support.eventually import eventually
from tests.support.service import ADMIN_KEY, Service, unique
from tests.support.streams import another_api
from tests.support.up import run_cli

FILLED = {"{sale}": "nosale", "{sku}": "unit", "{pool}": "pool", "{id}": f"nosale.{'0' * 24}"}
TAKES_BACK = {
    ("POST", "/v1/orders/{id}/cancel"), ("POST", "/v1/payments/{id}/refund"),
    ("POST", "/v1/buyer-tokens/{id}/revoke"),
}  # fmt: skip
"""Calls of the shop's server with which a buyer loses something."""
WAIT_SECONDS = 20.0


@pytest.fixture(scope="module")
async def shop(service, http) -> AsyncIterator[Service]:
    """An API in production mode behind a proxy, on the session's servers."""
    more = {"FLASHGUARD_MODE": "production", "FLASHGUARD_TRUSTED_PROXIES": '["127.0.0.0/8"]'}
    async with another_api(service, http, **more) as running:
        yield running


async def lines(shop: Service, **asked: Any) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in ({"limit": 500} | asked).items())
    return (await shop.admin("GET", f"/v1/admin-log?{query}"))["data"]  # type: ignore[no-any-return]


async def line_of(shop: Service, request_id: str) -> dict[str, Any]:
    """The line of this request, which must be the only one."""
    [line] = [each for each in await lines(shop) if each["request_id"] == request_id]
    return line


async def row_count(shop: Service) -> int:
    connection = await asyncpg.connect(shop.database_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM flashguard.admin_log"))
    finally:
        await connection.close()


@asynccontextmanager
async def refusing(shop: Service, actor: str) -> AsyncIterator[None]:
    """The ledger takes no line of this actor meanwhile."""
    connection, name = await asyncpg.connect(shop.database_url), unique("no").replace("-", "_")
    await connection.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE EXCEPTION 'full'; END $$;"
        f"CREATE TRIGGER {name} BEFORE INSERT ON flashguard.admin_log FOR EACH ROW "
        f"WHEN (NEW.actor = '{actor}') EXECUTE FUNCTION {name}()"
    )
    try:
        yield
    finally:
        await connection.execute(f"DROP TRIGGER {name} ON flashguard.admin_log; DROP FUNCTION {name}()")
        await connection.close()


async def admin_key(shop: Service) -> tuple[str, dict[str, str]]:
    made = await shop.admin("POST", "/v1/keys", {"name": "an operator's", "scopes": ["admin"]})
    return made["id"], {"Authorization": f"Bearer {made['key']}"}


async def test_every_call_of_an_admin_that_changes_something_leaves_a_line(shop):
    logged = {
        (method, path)
        for method, path, right in rights_of(create_app())
        if method != "GET" and right is not None and right.scopes == {Scope.ADMIN}
    }
    assert len(logged) > 20
    for method, path in sorted(logged | TAKES_BACK):
        address, request_id = path, unique("walk")
        for name, value in FILLED.items():
            address = address.replace(name, value)
        sent = {"X-Request-Id": request_id}
        answer = await shop.call(method, address, {}, admin=True, headers=sent)
        line = await line_of(shop, request_id)
        assert (line["operation"], line["actor"]) == (f"{method} {path}", "bootstrap")
        outcome = "done" if answer.status < 400 else "failed" if answer.status >= 500 else "refused"
        assert (line["outcome"], line["code"]) == (outcome, answer.body.get("code")), (path, answer)
        if named := re.search(r"{\w+}", path):
            assert line["target"] == FILLED[named[0]], path


async def test_buyers_and_readers_leave_no_line(shop, service):
    sale = await shop.create_sale(stock=100)
    token = (await shop.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"}))["token"]
    before = await row_count(shop)
    buyer = {"Authorization": f"Bearer {token}"}
    basket = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}]}
    for past_the_lane in ({}, {"Content-Encoding": "identity"}):
        for noun in ("reservations", "orders"):
            made = await shop.call("POST", f"/v1/sales/{sale}/{noun}", basket, headers=buyer | past_the_lane)
            assert made.status == 201, made
    (await shop.call("POST", f"/v1/sales/{sale}/pause", headers=buyer)).problem(403, "forbidden")
    (await shop.call("POST", f"/v1/sales/{sale}/pause")).problem(401, "unauthenticated")
    for path in ("/v1/keys", "/v1/webhooks", "/v1/admin-log", f"/v1/sales/{sale}"):
        (await shop.call("GET", path, admin=True)).ok()
    assert await row_count(shop) == before


async def test_an_amend_leaves_a_line_where_it_changed_an_order(shop):
    sale, basket = await shop.create_sale(stock=9), {"items": [{"sku": "unit", "quantity": 1}]}
    two = {"customer": "ann", "items": [{"sku": "unit", "quantity": 2}]}
    for noun, logged in (("reservations", 0), ("orders", 1)):
        made = await shop.admin("POST", f"/v1/sales/{sale}/{noun}", two)
        await shop.admin("POST", f"/v1/reservations/{made['id']}/amend", basket | {"reason": "one less"})
        found = [line["detail"]["reason"] for line in await lines(shop, target=made["id"])]
        assert found == ["one less"] * logged, noun


async def test_a_line_says_who_did_what_to_what_from_where(shop):
    actor, key = await admin_key(shop)
    sale = await shop.create_sale(stock=5, opened=False)
    sent = key | {"X-Forwarded-For": "203.0.113.7", "User-Agent": "browser/1 " + "x" * 500}
    before = datetime.now(UTC)
    for method, path, body in (
        ("POST", "items/unit/restock", {"delta": 3, "reason": "a delivery"}),
        ("PATCH", "items/unit", {"price_minor": 2500}),
        ("PATCH", "", {"name": "Another", "hold_seconds": 30}),
        ("POST", "open", None),
    ):
        answer = await shop.call(method, f"/v1/sales/{sale}/{path}".rstrip("/"), body, headers=sent)
        assert answer.status == 200, answer
    found = await lines(shop, actor=actor)
    assert [(line["operation"], line["target"], line["outcome"], line["detail"]) for line in found] == [
        ("POST /v1/sales/{sale}/open", sale, "done", {}),
        ("PATCH /v1/sales/{sale}", sale, "done", {"fields": ["hold_seconds", "name"]}),
        ("PATCH /v1/sales/{sale}/items/{sku}", sale, "done", {"sku": "unit", "price_minor": 2500}),
        (
            "POST /v1/sales/{sale}/items/{sku}/restock", sale, "done",
            {"sku": "unit", "delta": 3, "reason": "a delivery"},
        ),
    ]  # fmt: skip
    for line in found:
        assert (line["actor_name"], line["address"]) == ("an operator's", "203.0.113.7")
        assert line["agent"].startswith("browser/1 xxx")
        assert len(line["agent"]) == 120
        assert before <= datetime.fromisoformat(line["at"]) <= datetime.now(UTC)


async def test_a_retry_a_refusal_and_a_key_without_the_right_are_called_so(shop):
    sale = await shop.create_sale(opened=False)
    reader = await shop.admin("POST", "/v1/keys", {"name": "reader", "scopes": ["read"]})
    for _ in range(2):
        (await shop.call("POST", f"/v1/sales/{sale}/open", admin=True, key=f"open-{sale}")).ok()
    await shop.call("DELETE", f"/v1/sales/{sale}", admin=True)
    headers = {"Authorization": f"Bearer {reader['key']}"}
    (await shop.call("POST", f"/v1/sales/{sale}/close", headers=headers)).problem(403, "forbidden")
    found = await lines(shop, target=sale)
    assert [(line["outcome"], line["code"]) for line in found[:-1]] == [
        ("refused", "forbidden"), ("refused", found[1]["code"]), ("replayed", None), ("done", None),
    ]  # fmt: skip
    assert found[1]["code"] is not None
    assert (found[0]["actor"], found[0]["actor_name"]) == (reader["id"], "reader")


async def test_a_key_without_the_right_can_not_fill_the_log(service, http):
    async with another_api(service, http) as shop:
        reader = await shop.admin("POST", "/v1/keys", {"name": "reader", "scopes": ["read"]})
        headers = {"Authorization": f"Bearer {reader['key']}"}
        for _ in range(MAX_FORBIDDEN + 20):
            (await shop.call("POST", "/v1/webhooks", {}, headers=headers)).problem(403, "forbidden")
        assert len(await lines(shop, actor=reader["id"])) == MAX_FORBIDDEN


async def test_a_change_of_the_ledger_and_its_line_are_one_transaction(shop):
    actor, key = await admin_key(shop)
    hook = await shop.admin("POST", "/v1/webhooks", {"url": "https://shop.example/x"})
    victim = await shop.admin("POST", "/v1/keys", {"name": "victim", "scopes": ["read"]})
    name = unique("never")
    async with refusing(shop, actor):
        for method, path, body in (
            ("POST", "/v1/keys", {"name": name, "scopes": ["read"]}),
            ("POST", f"/v1/keys/{victim['id']}/revoke", None),
            ("POST", f"/v1/keys/{victim['id']}/rotate", None),
            ("PATCH", f"/v1/webhooks/{hook['id']}", {"description": name, "enabled": False}),
            ("POST", f"/v1/webhooks/{hook['id']}/rotate-secret", None),
            ("DELETE", f"/v1/webhooks/{hook['id']}", None),
        ):
            answer = await shop.call(method, path, body, headers=key | {"Connection": "close"})
            assert answer.status >= 500, (path, answer)
    keys = {each["id"]: each for each in (await shop.admin("GET", "/v1/keys?limit=500"))["data"]}
    assert name not in [each["name"] for each in keys.values()]
    assert (keys[victim["id"]]["status"], keys[victim["id"]]["rotated_to"]) == ("live", None)
    now = await shop.admin("GET", f"/v1/webhooks/{hook['id']}")
    assert (now["description"], now["enabled"], now["old_secret_until"]) == ("", True, None)


async def test_a_change_of_memory_stands_and_its_line_comes_when_the_ledger_takes_it(shop):
    actor, key = await admin_key(shop)
    sale = await shop.create_sale()
    async with refusing(shop, actor):
        paused = await shop.call("POST", f"/v1/sales/{sale}/pause", headers=key)
        assert paused.ok()["status"] == "paused"
        assert await lines(shop, actor=actor) == []
    async with asyncio.timeout(WAIT_SECONDS):
        while not (found := await lines(shop, actor=actor)):
            await asyncio.sleep(0.1)
    [line] = found
    assert (line["operation"], line["target"]) == ("POST /v1/sales/{sale}/pause", sale)
    assert line["outcome"] == "done"


async def test_no_line_changes_and_none_goes_before_its_time(shop):
    connection = await asyncpg.connect(shop.database_url)
    insert = (
        "INSERT INTO flashguard.admin_log (id, at, actor, operation, target, outcome, detail) "
        "VALUES ($1, now() - make_interval(days => $2), 'cli:test', 'a test', '', 'done', '{}')"
    )
    young, old = unique("act"), unique("act")
    await connection.execute(insert, young, 89)
    await connection.execute(insert, old, 91)
    role = unique("role").replace("-", "_")
    await connection.execute(f"CREATE ROLE {role}")
    await connection.execute(f"SELECT flashguard.let_in('{role}')")
    try:
        for who in ("SESSION AUTHORIZATION DEFAULT", f"SESSION AUTHORIZATION {role}"):
            await connection.execute(f"SET {who}")
            for attempt in (
                f"UPDATE flashguard.admin_log SET actor = 'another' WHERE id = '{old}'",
                f"DELETE FROM flashguard.admin_log WHERE id = '{young}'",
                "TRUNCATE flashguard.admin_log",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(attempt)
        await connection.execute(insert, unique("act"), 0)  # as the role that sells
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"DELETE FROM flashguard.admin_log WHERE id = '{old}'")
        await connection.execute("SET SESSION AUTHORIZATION DEFAULT")
        status = await connection.execute(f"DELETE FROM flashguard.admin_log WHERE id = '{old}'")
        assert status == "DELETE 1"
    finally:
        await connection.execute("SET SESSION AUTHORIZATION DEFAULT")
        await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await connection.close()


async def test_pages_follow_each_other_and_filters_narrow_them(shop):
    actor, key = await admin_key(shop)
    sale = await shop.create_sale(opened=False)
    for name in ("a", "b", "c", "d", "e"):
        (await shop.call("PATCH", f"/v1/sales/{sale}", {"name": name}, headers=key)).ok()
    (await shop.call("POST", f"/v1/sales/{sale}/open", headers=key)).ok()
    everything = await lines(shop, actor=actor)
    assert len(everything) == 6
    paged, path = [], f"/v1/admin-log?actor={actor}&limit=2"
    cursor = ""
    while cursor is not None:
        page = await shop.admin("GET", path + (f"&cursor={cursor}" if cursor else ""))
        assert len(page["data"]) == 2
        paged += page["data"]
        cursor = page["next_cursor"]
    assert paged == everything
    times = [line["at"].replace("+", "%2B") for line in everything]
    for asked, expected in (
        ({"operation": "POST%20/v1/sales/%7Bsale%7D/open"}, everything[:1]),
        ({"target": "another"}, []),
        ({"outcome": "refused"}, []),
        ({"since": times[1], "until": times[0]}, everything[1:2]),
    ):
        assert await lines(shop, actor=actor, **asked) == expected, asked
    (await shop.call("GET", "/v1/admin-log?since=yesterday", admin=True)).problem(422, "invalid-request")
    (await shop.call("GET", "/v1/admin-log?cursor=x", admin=True)).problem(422, "invalid-request")


async def test_no_secret_gets_into_the_log(shop):
    actor, key = await admin_key(shop)
    sale = await shop.create_sale()
    hook = (
        await shop.call("POST", "/v1/webhooks", {"url": "https://shop.example/s3cretPath"}, headers=key)
    ).ok(201)
    rotated = (await shop.call("POST", f"/v1/webhooks/{hook['id']}/rotate-secret", headers=key)).ok()
    made = (await shop.call("POST", "/v1/keys", {"name": "x", "scopes": ["shop"]}, headers=key)).ok(201)
    token = (await shop.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"}))["token"]
    secrets = [
        key["Authorization"].split()[1], hook["secret"], rotated["secret"], made["key"], token, ADMIN_KEY,
        "s3cretPath",
    ]  # fmt: skip
    for secret in secrets[:-1]:  # where an id belongs, in a header, in a body
        headers = key | {"User-Agent": f"curl with {secret}"}
        await shop.call("POST", f"/v1/keys/{secret}/revoke", headers=headers)
        await shop.call(
            "POST", f"/v1/orders/{secret}/cancel", {"restock": True, "reason": secret}, headers=key
        )
        await shop.call("DELETE", f"/v1/webhooks/{secret}", headers=key)
    connection = await asyncpg.connect(shop.database_url)
    rows: list[asyncpg.Record] = []

    async def all_are_written() -> bool:
        query = "SELECT l::text AS row FROM flashguard.admin_log l WHERE actor = $1"
        rows[:] = await connection.fetch(query, actor)
        return len(rows) >= 4  # refused calls beyond a number per minute have no line

    await eventually(all_are_written, "what was done, and at least one refusal, has its line", 30)
    await connection.close()
    for secret in secrets:
        assert not [row["row"] for row in rows if secret in row["row"]], secret


async def test_the_command_line_lists_the_log_and_shortens_it(shop, tmp_path):
    env = {
        "FLASHGUARD_ADMIN_KEY": ADMIN_KEY, "FLASHGUARD_URL": shop.url,
        "FLASHGUARD_REDIS_URL": shop.redis_url, "FLASHGUARD_DATABASE_URL": shop.database_url,
    }  # fmt: skip
    sale = await shop.create_sale(opened=False)
    assert (await run_cli("sale", "open", sale, cwd=tmp_path, **env)).code == 0
    shown = await run_cli("admin-log", "list", "--about", sale, "--json", cwd=tmp_path, **env)
    [opened, _] = json.loads(shown.out)["data"]
    assert opened["operation"] == "POST /v1/sales/{sale}/open"
    assert opened["agent"].startswith("flashguard-cli/")
    assert "@" in opened["agent"]
    table = await run_cli("admin-log", "list", "--about", sale, cwd=tmp_path, **env)
    assert "bootstrap" in table.out
    connection = await asyncpg.connect(shop.database_url)
    at = datetime.now(UTC) - timedelta(days=400)
    await connection.execute(
        "INSERT INTO flashguard.admin_log (id, at, actor, operation, target, outcome, detail) "
        "SELECT 'act_old_' || n, $1, 'cli:test', 'a test', '', 'done', '{}' FROM generate_series(1, 6000) n",
        at,
    )  # fmt: skip
    await connection.close()
    assert (await run_cli("admin-log", "forget", "--days", "89", cwd=tmp_path, **env)).code != 0
    forgot = await run_cli("admin-log", "forget", "--days", "365", cwd=tmp_path, **env)
    assert (forgot.code, forgot.out.strip()) == (0, "6,000 lines older than 365 days were deleted."), forgot
    assert not await lines(shop, actor="cli:test", until=(at + timedelta(1)).isoformat().replace("+", "%2B"))
    newest = (await lines(shop, limit=1))[0]
    assert newest["operation"] == "flashguard admin-log forget"
    assert newest["actor"].startswith("cli:")
    assert newest["detail"] == {"days": 365, "lines": 6000}
