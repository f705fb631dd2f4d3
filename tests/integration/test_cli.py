"""The command line, as an operator meets it: other processes, their output and their exit codes."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of

PARTITIONS = 16


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


Run = Callable[..., Awaitable[Ran]]


@pytest.fixture
def run(service, tmp_path) -> Run:
    """Runs `flashguard …` on the service; `remote=False` leaves its address and key out."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")}
    env |= {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}

    async def run(*words: str, remote: bool = True) -> Ran:
        at = words.index("--") if "--" in words else len(words)
        options = ("--url", service.url, "--admin-key", service.admin_key) if remote else ()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "flashguard", *words[:at], *options, *words[at:],
            cwd=tmp_path, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode is not None
        return Ran(child.returncode, out.decode(), err.decode())

    return run


def new_id() -> str:
    return f"cli-{uuid.uuid4().hex[:12]}"


async def test_a_sale_from_create_to_close(run, service):
    sale = new_id()
    created = (await run(
        "sale", "create", "--id", sale, "--name", "By hand", "--item", "shoe:5:12900:EUR:Shoe",
        "--item", "sock:9", "--hold-seconds", "30", "--limit", "2", "--json",
    )).json()  # fmt: skip
    assert created["id"] == sale
    assert created["status"] == "draft"
    assert (created["hold_seconds"], created["limit_per_customer"]) == (30, 2)
    assert [(item["sku"], item["stock"], item["price_minor"]) for item in created["items"]] == [
        ("shoe", 5, 12900), ("sock", 9, 0),
    ]  # fmt: skip

    assert (await run("sale", "open", sale, "--json")).json()["status"] == "open"
    assert (await run("sale", "pause", sale, "--json")).json()["status"] == "paused"
    assert (await run("sale", "open", sale, "--json")).json()["status"] == "open"
    item = (await run("sale", "restock", sale, "shoe", "3", "--reason", "more", "--json")).json()
    assert (item["stock"], item["available"]) == (8, 8)

    shown = (await run("sale", "show", sale, "--json")).json()
    assert shown == (await service.call("GET", f"/v1/sales/{sale}")).ok()
    listed = (await run("sale", "list", "--json")).json()
    assert sale in [one["id"] for one in listed["data"]]
    assert (await run("sale", "close", sale, "--json")).json()["status"] == "closed"


async def test_people_get_tables(run):
    sale = new_id()
    created = await run("sale", "create", "--id", sale, "--name", "For people", "--item", "shoe:1234")
    assert created.code == 0
    assert sale in created.out
    for shown in await asyncio.gather(run("sale", "list"), run("sale", "show", sale), run("audit", sale)):
        assert shown.code == 0, shown
        assert sale in shown.out or "For people" in shown.out
        assert "1,234" in shown.out
        with pytest.raises(json.JSONDecodeError):
            json.loads(shown.out)


async def test_stock_can_be_taken_away_but_not_what_is_promised(run, service):
    sale = await service.create_sale(stock=3)
    (await service.buy(sale, "ann", 2)).ok(201)
    refused = await run("sale", "restock", "--json", "--", sale, "unit", "-2")
    assert refused.code == 1
    assert "invalid-request" in refused.err
    taken = (await run("sale", "restock", "--json", "--", sale, "unit", "-1")).json()
    assert (taken["stock"], taken["available"]) == (2, 0)


async def test_a_negative_delta_needs_no_ceremony(run, service):
    sale = await service.create_sale(stock=3)
    taken = (await run("sale", "restock", sale, "unit", "-1", "--json")).json()
    assert taken["stock"] == 2


async def test_a_refusal_is_one_sentence_and_exit_code_1(run):
    sale = new_id()
    refusals = await asyncio.gather(
        run("sale", "show", sale), run("sale", "open", sale), run("sale", "restock", sale, "unit", "1"),
        run("audit", sale),
    )  # fmt: skip
    for refused in refusals:
        assert refused.code == 1
        assert "unknown-sale" in refused.err
        assert "Traceback" not in refused.err
        assert refused.out == ""
    wrong = await run("sale", "create", "--name", "x", "--item", "shoe")
    assert wrong.code == 1
    assert "--item" in wrong.err


async def test_a_wrong_key_or_nobody_there_is_exit_code_1(run, service):
    wrong, nobody, nothing = await asyncio.gather(
        run("sale", "list", "--url", service.url, "--admin-key", "wrong", remote=False),
        run("sale", "list", "--url", "http://127.0.0.1:1", "--admin-key", "x", remote=False),
        run("sale", "list", remote=False),
    )
    assert "unauthenticated" in wrong.err
    assert "does not answer" in nobody.err
    assert "flashguard up" in nothing.err
    for refused in (wrong, nobody, nothing):
        assert refused.code == 1
        assert "Traceback" not in refused.err


async def test_the_audit_finds_nothing_when_all_is_well(run, service):
    sale = await service.create_sale(stock=5)
    (await service.buy(sale, "ann", 2)).ok(201)
    (await service.hold(sale, "bob")).ok(201)
    report = (await run("audit", sale, "--json")).json()
    assert report["ok"] is True
    assert report["sales"][0]["sale_id"] == sale
    item = report["sales"][0]["items"][0]
    assert (item["memory_stock"], item["memory_held"], item["memory_sold"]) == (5, 1, 2)


async def test_the_audit_exits_1_when_memory_was_tampered_with(run, service):
    sale = SaleId(await service.create_sale(stock=10))
    (await service.buy(sale, "ann")).ok(201)
    key = keys.sale(partition_of(sale, PARTITIONS), sale).sale
    redis = Redis.from_url(service.redis_url)
    try:
        assert await redis.hget(key, "item:unit") == b"10 0 1"
        await redis.hset(key, "item:unit", "10 0 0")  # one unit for sale twice
        found = await run("audit", sale, "--json")
        assert found.code == 1
        report = json.loads(found.out)
        assert report["ok"] is False
        assert report["sales"][0]["items"][0]["differences"]
        everything = await run("audit")
        assert everything.code == 1
        assert "do not agree" in everything.out
    finally:
        await redis.hset(key, "item:unit", "10 0 1")
        await redis.aclose()
    assert (await run("audit", sale, "--json")).code == 0
    await service.admin("POST", f"/v1/sales/{sale}/close")


async def test_parts_without_servers_say_what_to_set(run):
    parts = ("recorder", "migrate", "api")
    for ended in await asyncio.gather(*(run(part, remote=False) for part in parts)):
        assert ended.code != 0
        assert "FLASHGUARD_REDIS_URL" in ended.err


async def test_help_names_every_command(run):
    shown = await run("--help", remote=False)
    assert shown.code == 0
    for name in ("up", "api", "recorder", "migrate", "sale", "simulate", "audit"):
        assert name in shown.out


async def test_keys_from_create_to_revoke(run, service):
    name = f"server {new_id()}"
    made = (
        await run("keys", "create", "--name", name, "--scope", "shop", "--expires-in", "90d", "--json")
    ).json()
    assert made["key"].startswith("fg_live_")
    assert made["scopes"] == ["shop"]
    shown = await run("keys", "list")
    assert (shown.code, name in shown.out, made["key"] in shown.out) == (0, True, False)
    rotated = await run("keys", "rotate", made["id"], "--grace", "0s")
    assert rotated.code == 0
    assert "fg_live_" in rotated.out
    over = (await run("keys", "list", "--json")).json()["data"]
    new = next(key for key in over if key["name"] == name and key["id"] != made["id"])
    assert next(key for key in over if key["id"] == made["id"])["rotated_to"] == new["id"]
    assert (await run("keys", "revoke", new["id"], "--json")).json()["status"] == "revoked"
    again = await run("keys", "rotate", new["id"])
    assert (again.code, "There is no such live key" in again.err) == (1, True)
    nonsense = await run("keys", "create", "--name", name, "--scope", "shop", "--expires-in", "soon")
    assert (nonsense.code, "as in 90d" in nonsense.err) == (1, True)
    unscoped = await run("keys", "create", "--name", name, "--scope", "root")
    assert (unscoped.code, "invalid-request" in unscoped.err) == (1, True)


async def test_signing_keys_rotate_and_tokens_are_revoked_by_hand(run, service):
    before = (await run("keys", "signing", "--json")).json()["data"]
    after = (await run("keys", "rotate-signing", "--json")).json()["data"]
    assert len(after) == len(before) + 1
    assert after[0]["ends_at"] is None
    assert all(key["ends_at"] for key in after[1:])
    assert "secret" not in json.dumps(after)
    sale = await service.create_sale()
    minted = await service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"})
    done = await run("keys", "revoke-token", minted["id"])
    assert (done.code, minted["id"] in done.out) == (0, True)
    headers = {"Authorization": f"Bearer {minted['token']}"}
    (await service.call("GET", f"/v1/sales/{sale}", headers=headers)).problem(401, "unauthenticated")
