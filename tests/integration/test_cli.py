"""The command line, as an operator meets it: other processes, their output and their exit codes."""

import asyncio
import json
import os
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from flashguard.cli.output import printable
from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from tests.support.up import Ran, run_cli

PARTITIONS = 16


Run = Callable[..., Awaitable[Ran]]


@pytest.fixture
def run(service, tmp_path) -> Run:
    """Runs `flashguard …` on the service; `remote=False` leaves its address and key out."""

    async def run(*words: str, remote: bool = True, **more: Any) -> Ran:
        at = words.index("--") if "--" in words else len(words)
        options = ("--url", service.url, "--admin-key", service.admin_key) if remote else ()
        return await run_cli(*words[:at], *options, *words[at:], cwd=tmp_path, **more)

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
    assert (await run("sale", "close", sale, "--yes", "--json")).json()["status"] == "closed"


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
    assert "journal tail: entries not in the ledger yet" in shown.out  # the last: what its columns mean


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
    assert (again.code, "There is no live key" in again.err) == (1, True)
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


async def test_closing_a_sale_asks_first(run, service):
    sale = await service.create_sale()
    alone = await run("sale", "close", sale)
    assert (alone.code, alone.out) == (1, "")
    assert "can't be undone" in alone.err
    assert "--yes" in alone.err
    for said, status in ((b"n\n", "open"), (b"y\n", "closed")):
        terminal, end = os.openpty()
        os.write(terminal, said)
        try:
            asked = await run("sale", "close", sale, stdin=end)
        finally:
            os.close(terminal)
            os.close(end)
        assert "Close it?" in asked.err
        assert asked.code == (status == "open")
        assert (await service.call("GET", f"/v1/sales/{sale}")).ok()["status"] == status


async def test_an_order_is_amended_and_a_part_of_it_cancelled(run, service):
    sale = await service.create_sale(stock=9, skus=("a:1", "b"))
    body = {"customer": "ann", "items": [{"sku": "a:1", "quantity": 3}]}
    order = (await service.call("POST", f"/v1/sales/{sale}/orders", body)).ok(201)["id"]
    shown = await run("orders", "amend", order, "--item", "a:1:2", "--item", "b:1", "--reason", "as agreed")
    assert (shown.code, "2 a:1, 1 b" in shown.out) == (0, True), shown
    part = await run("orders", "cancel", order, "--item", "a:1:1", "--restock", "--json")
    seen = json.loads(part.out)
    assert (seen["status"], seen["cancelled_items"]) == ("confirmed", [{"sku": "a:1", "quantity": 1}])
    for odd in ("unit", "unit:", ":1", "unit:x"):
        wrong = await run("orders", "amend", order, "--item", odd)
        assert (wrong.code, "sku:quantity" in wrong.err) == (1, True), wrong


async def test_nothing_from_outside_is_markup(run, service):
    sale = await service.create_sale(name="Tee [limited] :smile: [/x]")
    (await service.buy(sale, "[/x]")).ok(201)
    orders = await run("orders", "list", sale)
    assert (orders.code, "[/x]" in orders.out) == (0, True), orders
    for shown in (await run("sale", "show", sale), await run("sale", "list")):
        assert "Tee [limited] :smile: [/x]" in shown.out


def test_what_a_terminal_would_obey_is_shown_as_text():
    assert printable("a\x1b[31m\r\nb\x9b\u202ec\u2028\x7f") == r"a\x1b[31m\r\nb\x9b\u202ec\u2028\x7f"
    assert printable("José 佐々木 👩\u200d🚀 [bold]") == "José 佐々木 👩\u200d🚀 [bold]"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2027-03-28 02:30", "does not exist in local time: the clocks change then. Write "
         "2027-03-28T01:30:00+01:00 (CET) or 2027-03-28T03:30:00+02:00 (CEST)."),
        ("2027-10-31 02:30", "exists twice in local time: the clocks change then. Write "
         "2027-10-31T02:30:00+02:00 (CEST) or 2027-10-31T02:30:00+01:00 (CET)."),
        ("2027-06-30", "'2027-06-30': write local time as in"),
        ("20270630", "'20270630': write local time as in"),
        ("2027-02-30 10:00", "'2027-02-30 10:00': write local time as in"),
    ],
)  # fmt: skip
async def test_a_local_time_that_is_none_or_two_is_refused(run, text, sentence):
    refused = await run(
        "sale", "create", "--name", "x", "--item", "a:1", "--starts-at", text, TZ="Europe/Berlin"
    )
    assert (refused.code, refused.out) == (1, "")
    assert f"--starts-at '{text}'" in refused.err
    assert sentence in refused.err
    replay = await run("webhooks", "replay", "w", "--since", text, TZ="Europe/Berlin")
    assert (replay.code, sentence in replay.err) == (1, True)


async def test_times_are_shown_in_utc_and_in_local_time_with_all_rules(run):
    sale = new_id()
    created = await run(
        "sale", "create", "--id", sale, "--name", "x", "--item", "a:1:4900", "--item", "b:1:4900:JPY",
        "--limit", "2", "--max-held", "3", "--waiting-list", "40", "--cool-down", "60",
        "--starts-at", "2030-03-31 12:30", "--ends-at", "2030-10-27T02:30:00+02:00", TZ="Europe/Berlin",
    )  # fmt: skip
    shown = await run("sale", "show", sale, TZ="Europe/Berlin")
    assert created.code == shown.code == 0, created
    for text in (
        "opens: 2030-03-31T10:30:00", "(2030-03-31 12:30:00 CEST local time)",
        "ends: 2030-10-27T00:30:00", "(2030-10-27 02:30:00 CEST local time)",
        "limit per customer: 2 units", "held per customer at most: 3",
        "waiting list: 40 places; offers last 120 s",
        "cool-down: 60 s", "49.00 EUR", "4,900 JPY",
    ):  # fmt: skip
        assert text in shown.out
        assert text in created.out


async def test_the_report_of_a_sale_that_is_no_shadow_says_so(run, service):
    sale = await service.create_sale()
    refused = await run("shadow", "report", sale)
    assert refused.code == 1
    assert "not a shadow" in refused.err
    unknown = await run("shadow", "report", new_id())
    assert "unknown-sale" in unknown.err


async def test_the_version_is_shown(run):
    shown = await run("--version", remote=False)
    assert (shown.code, shown.out) == (0, "flashguard 0.1.0\n")
