"""The provider in `examples/payment_provider`, against its stand-in, as a stranger would run both."""

import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from flashguard.errors import ConfigurationError
from flashguard.payments.providers import providers_of
from flashguard.settings import Settings
from tests.integration.test_amend import cancel
from tests.integration.test_payments import PRICE, Till
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.real_stack import Stack, started
from tests.support.service import clean_env, stop

EXAMPLE = Path(__file__).parents[2] / "examples" / "payment_provider"
KEY, SECRET = "acme-key", "acme-secret"


class Acme:
    """The stand-in, a process of its own, as its buyers see it."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self.url = http, url

    async def pay(self, url: str, amount: int | None = None) -> None:
        more = "" if amount is None else f"?amount={amount}"
        async with self._http.post(url + more) as answer:
            assert answer.status == 200, await answer.text()

    async def refunds(self) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with self._http.get(f"{self.url}/refunds", headers=headers) as answer:
            return list(await answer.json())


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession) -> AsyncIterator[Stack]:
    acme = f"http://127.0.0.1:{free_port()}"
    settings = {"FLASHGUARD_PAYMENT_PROVIDERS": '["acme:Acme"]', "ACME_URL": acme, "ACME_KEY": KEY}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))  # what PYTHONPATH does for a process that is not forked
        async with started(http, ACME_SECRET=SECRET, **settings) as it:
            it.start("deliverer")
            yield it


@pytest.fixture
async def acme(stack: Stack, http: aiohttp.ClientSession) -> AsyncIterator[Acme]:
    await stack.ready()
    url = stack._env["ACME_URL"]
    env = clean_env(
        ACME_KEY=KEY, ACME_SECRET=SECRET, PORT=url.rpartition(":")[2],
        WEBHOOK_URL=f"{stack.service.url}/v1/payments/acme/webhook",
    )  # fmt: skip
    child = subprocess.Popen([sys.executable, EXAMPLE / "stand_in.py"], env=env)

    async def listens() -> bool:
        assert child.poll() is None
        try:
            async with http.get(url):
                return True
        except aiohttp.ClientError:
            return False

    await eventually(listens, "the stand-in listens")
    yield Acme(http, url)
    child.terminate()
    await stop(child)


@pytest.fixture
async def till(stack: Stack, http: aiohttp.ClientSession) -> Till:
    return Till(stack, None, http)  # type: ignore[arg-type]


async def begun(till: Till, sale: str, quantity: int = 1) -> tuple[str, dict[str, Any]]:
    hold = await till.hold(sale, quantity)
    body = {"provider": "acme", "success_url": "https://shop.example/thanks"}
    return hold, (await till.service.call("POST", f"/v1/reservations/{hold}/payment", body)).ok()


async def test_what_is_paid_is_an_order_and_its_cancel_is_refunded(till: Till, acme: Acme) -> None:
    hold, payment = await begun(till, await till.service.create_sale(), 2)
    assert payment["url"].startswith(acme.url)
    await acme.pay(payment["url"])
    await till.until(hold, "order")
    (await cancel(till.service, hold, {"unit": 1})).ok()
    await till.until(hold, "order", "done")
    (await cancel(till.service, hold)).ok()
    await till.until(hold, "order", "done", "done")
    assert [refund["amount"] for refund in await acme.refunds()] == [PRICE, PRICE]


async def test_what_can_not_be_an_order_is_refunded_once(till: Till, acme: Acme) -> None:
    sale = await till.service.create_sale(stock=1, hold_seconds=1)
    hold, payment = await begun(till, sale)
    await acme.pay(payment["url"], PRICE - 1)
    assert (await till.until(hold, "refused", "done"))["why"] == "too-little"
    assert [refund["amount"] for refund in await acme.refunds()] == [PRICE - 1]


async def test_a_checkout_ends_with_its_hold_and_a_lost_event_is_found(
    till: Till, acme: Acme, http: aiohttp.ClientSession
) -> None:
    sale = await till.service.create_sale(hold_seconds=1)
    hold, payment = await begun(till, sale)
    paid, other = await begun(till, sale)
    await acme.pay(f"{other['url']}?lost")
    await till.until(hold, "ended")
    async with http.post(payment["url"]) as answer:
        assert answer.status == 409
    await till.until(paid, "order")


async def test_an_event_that_is_not_signed_is_refused(
    till: Till, acme: Acme, http: aiohttp.ClientSession
) -> None:
    hold, payment = await begun(till, await till.service.create_sale())
    checkout = {
        "id": "co_x", "reference": payment["id"], "state": "paid", "pay_url": "", "paid": PRICE,
        "currency": "EUR",
    }  # fmt: skip
    body = json.dumps({"id": "ev_x", "type": "checkout.paid", "checkout": checkout})
    now = int(time.time())

    def signature(at: int, secret: str = SECRET) -> str:
        return f"{at}." + hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()

    url = f"{till.service.url}/v1/payments/acme/webhook"
    for wrong in ("", "x", f"{now}.00", signature(now - 3600), signature(now, "another"), "é.é"):
        async with http.post(url, data=body, headers={"Acme-Signature": wrong}) as answer:
            assert answer.status == 401, wrong
    assert (await till.payments(hold))[0]["status"] == "open"


@pytest.mark.parametrize("missing", ["ACME_URL", "ACME_KEY", "ACME_SECRET"])
def test_a_setting_that_is_missing_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in {"ACME_URL", "ACME_KEY", "ACME_SECRET"} - {missing}:
        monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigurationError, match=missing):
        providers_of(Settings(payment_providers=("acme:Acme",)))
