"""How the command line finds the API, and what it sends: addresses, keys, paths, idempotency keys."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from flashguard.cli.remote import Remote
from tests.support.faulty import FaultyLine
from tests.support.service import ADMIN_KEY, unique
from tests.support.up import run_cli

PROBLEM = {"type": "about:x", "title": "No", "status": 422, "code": "invalid-request", "detail": "refused"}
PARTS = (
    ("sale", "list"), ("sale", "show", "SALE"), ("sale", "pause", "SALE"), ("sale", "open", "SALE"),
    ("sale", "restock", "SALE", "unit", "1"), ("audit", "SALE"), ("orders", "list", "SALE"),
    ("webhooks", "list"), ("keys", "list"), ("facts", "--after", "now"),
)  # fmt: skip
CHANGES = (
    ("sale", "create", "--name", "x", "--item", "a:1"), ("sale", "import", "FILE"), ("sale", "open", "s"),
    ("sale", "pause", "s"), ("sale", "close", "s", "--yes"), ("sale", "restock", "s", "a", "1"),
    ("orders", "cancel", "o", "--restock"), ("orders", "amend", "o", "--item", "unit:1"),
    ("shadow", "begin", "s"), ("webhooks", "create", "https://x.test"),
    ("webhooks", "change", "w", "--disable"), ("webhooks", "rotate", "w"),
    ("webhooks", "replay", "w"), ("webhooks", "test", "w"),
    ("keys", "create", "--name", "k", "--scope", "read"), ("keys", "revoke", "k"),
    ("keys", "rotate", "k"), ("keys", "rotate-signing"), ("keys", "revoke-token", "t"),
)  # fmt: skip
"""Every command that changes something."""


@asynccontextmanager
async def answering(status: int, body: str, kind: str) -> AsyncIterator[tuple[str, list[web.BaseRequest]]]:
    """A server that gives every request this answer: its address, and the requests that came."""
    seen: list[web.BaseRequest] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        return web.Response(status=status, text=body, content_type=kind)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("apart", [False, True])
async def test_with_the_parts_apart_every_command_finds_the_api(service, tmp_path, apart):
    env = {"FLASHGUARD_ADMIN_KEY": ADMIN_KEY}
    if apart:  # the runbook's environment, on a machine of the API
        env |= {"FLASHGUARD_REDIS_URL": service.redis_url, "FLASHGUARD_DATABASE_URL": service.database_url}
        env |= {"FLASHGUARD_PORT": str(urlsplit(service.url).port)}
    else:
        env |= {"FLASHGUARD_URL": service.url}
    sale = await service.create_sale()
    for command in PARTS[:: 3 if apart else 1]:
        words = (sale if word == "SALE" else word for word in command)
        ran = await run_cli(*words, cwd=tmp_path, **env)
        assert ran.code == 0, (command, ran)


async def test_an_option_counts_more_than_the_variable(service, tmp_path):
    env = {"FLASHGUARD_ADMIN_KEY": ADMIN_KEY, "FLASHGUARD_URL": "http://127.0.0.1:1"}
    assert (await run_cli("sale", "list", "--url", service.url, cwd=tmp_path, **env)).code == 0
    other = await run_cli("sale", "list", "--data-dir", str(tmp_path), cwd=tmp_path, **env)
    assert f"No FlashGuard runs on {tmp_path}." in other.err
    del env["FLASHGUARD_URL"]
    here = await run_cli("sale", "list", cwd=tmp_path, **env)
    assert f"No FlashGuard runs on {tmp_path / '.flashguard'}." in here.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--url", "127.0.0.1:8000", "--admin-key", "x"), "as in --url http://127.0.0.1:8000"),
        (("--url", "ftp://127.0.0.1", "--admin-key", "x"), "as in --url http://127.0.0.1:8000"),
        (("--url", "http://127.0.0.1:1", "--admin-key", "fg_live_…AbCd"), "Copy the whole key"),
        (("--url", "http://127.0.0.1:1", "--admin-key", "fg_live_a\nb"), "Copy the whole key"),
        (("--url", "http://127.0.0.1:1", "--admin-key", "x"), "Check the address"),
        (("--url", "http://127.0.0.1:99999", "--admin-key", "x"), "as in --url http://127.0.0.1:8000"),
    ],
)
async def test_an_address_or_a_key_that_can_not_be_is_one_sentence(tmp_path, options, sentence):
    ran = await run_cli("sale", "list", *options, cwd=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert sentence in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, "<h1>Not Found</h1>", "text/html"), (200, "hello", "text/plain"),
        (200, "[1]", "application/json"),
        (404, '{"detail": "Not Found"}', "application/json"), (401, "", "text/plain"),
    ],
)  # fmt: skip
async def test_something_that_is_not_flashguard_is_called_so(tmp_path, status, body, kind):
    async with answering(status, body, kind) as (url, seen):
        ran = await run_cli("sale", "list", "--url", url, "--admin-key", "x", cwd=tmp_path)
    assert ran.code == 1
    assert f"answered HTTP {status} with {kind}" in ran.err
    assert "this is not FlashGuard's API" in ran.err
    assert "Traceback" not in ran.err
    assert len(seen) == 1


async def test_every_part_of_a_path_is_quoted(tmp_path):
    async with answering(422, json.dumps(PROBLEM), "application/problem+json") as (url, seen):
        options = ("--url", url, "--admin-key", "x")
        for command in (
            ("sale", "restock", "s", "a/b", "1"), ("sale", "restock", "s", "a?b#c%", "1"), ("audit", "a/b"),
            ("sale", "show", "../keys"), ("keys", "revoke", "a/b"), ("orders", "list", "ü/"),
            ("room", "verify", "a b"),
        ):  # fmt: skip
            assert (await run_cli(*command, *options, cwd=tmp_path)).code == 1
        for nothing in ("", ".", ".."):
            ran = await run_cli("sale", "show", nothing, *options, cwd=tmp_path)
            assert (ran.code, "can't be an id" in ran.err) == (1, True)
    assert [request.raw_path.split("?")[0] for request in seen] == [
        "/v1/sales/s/items/a%2Fb/restock", "/v1/sales/s/items/a%3Fb%23c%25/restock", "/v1/sales/a%2Fb/audit",
        "/v1/sales/..%2Fkeys", "/v1/keys/a%2Fb/revoke", "/v1/sales/%C3%BC%2F/orders",
        "/v1/sales/a%20b/lottery",
    ]  # fmt: skip


async def test_every_change_carries_a_key_of_its_own(tmp_path):
    file = tmp_path / "sales.json"
    file.write_text("[]")
    async with answering(422, json.dumps(PROBLEM), "application/problem+json") as (url, seen):
        for command in CHANGES:
            words = (str(file) if word == "FILE" else word for word in command)
            ran = await run_cli(*words, "--url", url, "--admin-key", "x", cwd=tmp_path)
            assert (ran.code, "invalid-request" in ran.err) == (1, True), (command, ran)
    keys = {request.headers.get("Idempotency-Key") for request in seen}
    assert len(seen) == len(keys) == len(CHANGES)
    assert None not in keys


async def test_a_change_whose_answer_is_lost_is_sent_again_with_the_same_key(service, tmp_path):
    sale = unique()
    async with FaultyLine(service.url).open() as line:
        options = ("--url", line.url, "--admin-key", ADMIN_KEY)
        line.next_requests_meet("cut-after", "502", "409-now")
        create = ("sale", "create", "--id", sale, "--name", "x", "--item", "a:5", "--json")
        assert (await run_cli(*create, *options, cwd=tmp_path)).json()["id"] == sale
        assert len(line.seen) == 4
        assert len({key for _, _, key in line.seen}) == 1
        line.next_requests_meet("cut-after")
        item = (await run_cli("sale", "restock", sale, "a", "2", "--json", *options, cwd=tmp_path)).json()
        assert item["stock"] == 7
        counted = ("sale", "restock", sale, "a", "--stock", "4", "--json")
        assert (await run_cli(*counted, *options, cwd=tmp_path)).json()["stock"] == 4
        line.next_requests_meet("cut-after")
        assert (await run_cli("keys", "rotate-signing", *options, cwd=tmp_path)).code == 0
        assert len(line.seen) == 2
        line.next_requests_meet("cut-before")  # no key is taken here: two would be two
        ran = await run_cli("webhooks", "replay", "we_none", *options, cwd=tmp_path)
        assert (ran.code, len(line.seen)) == (1, 1)
        assert "may have taken effect: check before you retry" in ran.err


@pytest.mark.parametrize("fault", ["none", "cut-after"])
async def test_an_endpoint_is_deleted_though_the_answer_is_lost(service, tmp_path, fault):
    made = await service.admin("POST", "/v1/webhooks", {"url": "https://shop.example/x"})
    delete = ("webhooks", "delete", made["id"])
    async with FaultyLine(service.url).open() as line:
        options = ("--url", line.url, "--admin-key", ADMIN_KEY)
        line.next_requests_meet("none", fault)
        assert (await run_cli(*delete, *options, cwd=tmp_path)).code == 0
        assert all(key is not None for method, _, key in line.seen if method == "DELETE")
        refused = await run_cli(*delete, *options, cwd=tmp_path)
        assert (refused.code, "unknown-webhook" in refused.err) == (1, True)


@pytest.mark.parametrize("as_json", [(), ("--json",)])
async def test_a_key_whose_answer_is_lost_is_named_and_never_shown_as_none(service, tmp_path, as_json):
    name = unique()
    async with FaultyLine(service.url).open() as line:
        options = ("--url", line.url, "--admin-key", ADMIN_KEY)
        line.next_requests_meet("cut-after")
        made = await run_cli(
            "keys", "create", "--name", name, "--scope", "read", *as_json, *options, cwd=tmp_path
        )
        listed = (await run_cli("keys", "list", "--json", *options, cwd=tmp_path)).json()["data"]
        [key] = [each for each in listed if each["name"] == name]
        assert (made.code, made.out) == (1, "")
        assert f"flashguard keys revoke {key['id']}" in made.err
        line.next_requests_meet("cut-after")
        rotated = await run_cli("keys", "rotate", key["id"], *as_json, *options, cwd=tmp_path)
        listed = (await run_cli("keys", "list", "--json", *options, cwd=tmp_path)).json()["data"]
        [_, second] = sorted(
            (each for each in listed if each["name"] == name), key=lambda each: each["created_at"]
        )
        assert (rotated.code, rotated.out) == (1, "")
        assert f"flashguard keys revoke {second['id']}" in rotated.err


def test_a_variable_with_half_an_address_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("FLASHGUARD_URL", "127.0.0.1:8000")
    with pytest.raises(ValueError, match="write the full address"):
        Remote(None, "x", tmp_path)
