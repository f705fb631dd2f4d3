"""What an operator does with payments: lists and counts them, and retries refunds that failed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest

from flashguard.cli import main
from tests.integration.test_payments import Till
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import ADMIN_KEY
from tests.support.stand_in import StandIn, standing_in

FAILED = '{provider="signed",status="failed"}'


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandIn]:
    async with standing_in() as it:
        yield it


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession, provider: StandIn) -> AsyncIterator[Stack]:
    async with started(http, **provider.settings()) as it:
        it.start("deliverer")
        yield it


@pytest.fixture
async def till(stack: Stack, provider: StandIn, http: aiohttp.ClientSession) -> Till:
    await stack.ready()
    provider.plan.clear()
    return Till(stack, provider, http)


async def test_a_refund_that_failed_is_made_when_it_is_retried(till: Till) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    till.provider.plan["refunds"] = ["failed"]
    assert await till.send(till.provider.pay(payment, 5))
    await till.until(hold, "refused", "failed")
    call, path = till.service.call, f"/v1/payments/{payment}"
    (await call("POST", f"{path}/refund")).problem(401, "unauthenticated")
    (await call("POST", f"{path}/refund", admin=True)).ok()
    retried = await till.until(hold, "refused", "failed", "done")
    assert [each["retried_as"] for each in retried["refunds"]] == [f"{payment}-2", None]
    assert till.provider.kept(payment) == 0
    assert (await call("POST", f"{path}/refund", admin=True)).ok() == retried  # nothing is given back twice
    assert (await call("GET", path, admin=True)).ok() == retried
    for status, ids in (("failed", []), ("pending", []), ("done", [payment])):  # one that was retried is over
        listed = (await call("GET", f"/v1/payments?reservation={hold}&refund={status}", admin=True)).ok()
        assert [each["id"] for each in listed["data"]] == ids, status
    for verb, at in (("GET", ""), ("POST", "/refund")):
        (await call(verb, f"/v1/payments/pay_none{at}", admin=True)).problem(404, "unknown-payment")


async def test_a_refund_that_fails_after_it_was_done_is_told_and_can_be_retried(
    till: Till, stack: Stack
) -> None:
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    assert await till.send(till.provider.pay(payment, 5))
    await till.until(hold, "refused", "done")
    refund = f"{payment}-1"
    assert await till.send(till.provider.event("refund.changed", payment, refund_id=refund))
    till.provider.refunds[refund]["final"] = "failed"
    ledger = await asyncpg.connect(stack.servers.database_url)
    due = "SELECT due_at IS NULL FROM flashguard.payment_refunds WHERE payment = $1"

    async def asked() -> bool:
        return bool(await ledger.fetchval(due, payment))

    assert await till.send(till.provider.event("refund.changed", payment, refund_id=refund))
    await till.until(hold, "refused", "failed")
    await eventually(asked, "the provider is no longer asked")
    await ledger.close()
    assert await stack.metric(f"flashguard_payment_refunds{FAILED}") >= 1
    assert await stack.metric(f"flashguard_payment_refund_oldest_seconds{FAILED}") > 0
    failed = (await till.service.call("GET", "/v1/payments?refund=failed", admin=True)).ok()["data"]
    assert failed[0]["id"] == payment
    (await till.service.call("POST", f"/v1/payments/{payment}/refund", admin=True)).ok()
    await till.until(hold, "refused", "failed", "done")
    assert till.provider.kept(payment) == 0


async def test_payments_are_listed_by_page_and_by_what_they_are(till: Till) -> None:
    sale, spread = await till.service.create_sale(), await till.service.create_sale(spread=1)
    holds = [await till.held_and_begun(sale) for _ in range(3)]
    other, _ = await till.held_and_begun(spread)
    assert await till.send(till.provider.pay(holds[0][1]))
    await till.until(holds[0][0], "order")

    async def listed(query: str) -> dict[str, Any]:
        return (await till.service.call("GET", f"/v1/payments?{query}", admin=True)).ok()

    def ids(answer: dict[str, Any]) -> list[str]:
        return [each["reservation_id"] for each in answer["data"]]

    newest_first = [hold for hold, _ in reversed(holds)]
    first = await listed(f"sale={sale}&limit=2")
    assert ids(first) == newest_first[:2]
    last = await listed(f"sale={sale}&limit=2&cursor={first['next_cursor']}")
    assert (ids(last), last["next_cursor"]) == (newest_first[2:], None)
    assert ids(await listed("limit=4")) == [other, *newest_first]
    for status, expected in (
        ("order", [holds[0][0]]), ("open", newest_first[:2]), ("paid", []), ("refused", []), ("ended", []),
    ):  # fmt: skip
        assert ids(await listed(f"sale={sale}&status={status}")) == expected, status
    for wrong in ("status=new", "refund=void", "limit=0"):
        answer = await till.service.call("GET", f"/v1/payments?{wrong}", admin=True)
        answer.problem(422, "invalid-request")
    assert ids(await listed(f"reservation={other}")) == [other]
    assert ids(await listed(f"reservation={other}&sale={sale}")) == []
    assert ids(await listed("reservation=none")) == []
    (await till.service.call("GET", "/v1/payments?sale=none", admin=True)).problem(404, "unknown-sale")
    (await till.service.call("GET", "/v1/payments")).problem(401, "unauthenticated")


async def test_payments_are_counted_by_provider_and_status(till: Till, stack: Stack) -> None:
    await till.held_and_begun(await till.service.create_sale())
    hold, payment = await till.held_and_begun(await till.service.create_sale())
    till.provider.plan["refunds"] = ["away"] * 50
    assert await till.send(till.provider.pay(payment, 5))

    async def fails() -> bool:
        return any(each["error"] for each in (await till.payments(hold))[0]["refunds"])

    await eventually(fails, "the refund fails", 30)
    text = (await till.service.call("GET", "/metrics", admin=True)).body
    for line in (
        'flashguard_payments{provider="signed",status="open"}',
        'flashguard_payments{provider="signed",status="refused"}',
        'flashguard_payment_refunds{provider="signed",status="failing"} 1.0',
        'flashguard_payment_refund_oldest_seconds{provider="signed",status="failing"}',
        "flashguard_payment_undecided_seconds 0.0",
    ):
        assert line in text, line
    till.provider.plan.clear()
    (await till.service.call("POST", f"/v1/payments/{payment}/refund", admin=True)).ok()
    await till.until(hold, "refused", "done")


async def test_the_command_line_lists_shows_and_retries(
    till: Till, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASHGUARD_URL", till.service.url)
    monkeypatch.setenv("FLASHGUARD_ADMIN_KEY", ADMIN_KEY)

    async def told(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["flashguard", "payments", *words])
        with contextlib.suppress(SystemExit):
            await asyncio.to_thread(main)
        return capsys.readouterr().out

    assert await told("providers") == "signed\n"
    sale = await till.service.create_sale()
    hold, payment = await till.held_and_begun(sale)
    till.provider.plan["refunds"] = ["failed"]
    assert await till.send(till.provider.pay(payment, 5))
    await till.until(hold, "refused", "failed")
    _, open_ = await till.held_and_begun(sale)
    for words, expected in (
        ([], [open_, payment]), (["--status", "open"], [open_]), (["--limit", "1"], [open_]),
        (["--refund", "failed"], [payment]), (["--reservation", hold], [payment]),
    ):  # fmt: skip
        page = json.loads(await told("list", "--sale", sale, *words, "--json"))
        assert [each["id"] for each in page["data"]] == expected, words
    assert payment in await told("list", "--refund", "failed")
    assert f"{payment}-1" in await told("show", payment)
    assert json.loads(await told("retry", payment, "--json"))["id"] == payment
    await till.until(hold, "refused", "failed", "done")
    assert f"retried as {payment}-2" in await told("show", payment)
    assert json.loads(await told("list", "--reservation", hold, "--json"))["data"][0]["id"] == payment
