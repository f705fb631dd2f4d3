"""The stand-in for a payment provider: only in development, only for this machine, and nothing of its calls
goes unsigned."""

import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from flashguard.cli.stand_in import STATUSES, StandIn, is_offered
from flashguard.cli.stand_in_pages import TEXTS
from flashguard.cli.up import FLASHGUARD, Everything
from flashguard.settings import Settings
from flashguard.webhooks.signing import signed_headers


@pytest.mark.parametrize(
    ("settings", "offered"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"host": "::1"}, True),
        ({"mode": "production"}, False),
        ({"host": "0.0.0.0"}, False),
        ({"host": "10.1.2.3"}, False),
        ({"host": "shop.example"}, False),
        ({"payment_providers": ()}, False),
        ({"payment_providers": ("stripe",)}, False),
    ],
)
def test_it_is_offered_in_development_on_loopback_without_another_provider(
    settings: dict[str, Any], offered: bool
) -> None:
    assert is_offered(Settings(**settings)) is offered


@pytest.mark.parametrize("mode", ["development", "production"])
async def test_up_in_production_starts_none(mode: str, tmp_path: Path) -> None:
    everything = Everything(Settings(mode=mode, data_dir=tmp_path), FLASHGUARD)  # type: ignore[arg-type]
    env = await everything._stand_in()
    await everything.stop()
    assert bool(env) is bool(list(tmp_path.glob("stand-in*"))) is (mode == "development")


SESSION = {
    "id": "pay_1", "amount_minor": 500, "currency": "EUR",
    "lines": [{"name": "<b>Unit</b>", "price_minor": 500, "quantity": 1}],
    "success_url": "http://127.0.0.1:1/order/?id=a&payment=done", "cancel_url": None,
}  # fmt: skip


class Caller:
    """What FlashGuard does with the stand-in, and its buyer."""

    def __init__(self, env: dict[str, str], http: aiohttp.ClientSession) -> None:
        self.url, self._secret = env["FLASHGUARD_PAYMENT_SIGNED_URL"], env["FLASHGUARD_PAYMENT_SIGNED_SECRET"]
        self._http = http

    async def ask(self, path: str, body: object, *, signed: bool = True) -> tuple[int, Any]:
        data = msgspec.json.encode(body)
        headers = signed_headers("req_1", int(time.time()), data, [self._secret]) if signed else {}
        async with self._http.post(f"{self.url}/{path}", data=data, headers=headers) as answer:
            return answer.status, await answer.json() if answer.status == 200 else None

    async def page(self, path: str, choice: str | None = None, host: str | None = None) -> tuple[int, str]:
        method, data = ("GET", None) if choice is None else ("POST", {"choice": choice})
        async with self._http.request(
            method, f"{self.url}/pay/{path}", data=data, allow_redirects=False,
            headers={"Host": host} if host else {},
        ) as answer:  # fmt: skip
            return answer.status, answer.headers.get("Location") or await answer.text()


async def test_its_sessions_and_refunds_are_made_once_and_outlive_a_restart(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with StandIn(tmp_path).serving("http://127.0.0.1:1") as env:
        buyer = Caller(env, http)
        made = await buyer.ask("sessions", SESSION)
        assert made == await buyer.ask("sessions", SESSION)
        session = made[1]["id"]
        status, page = await buyer.page("pay_1")
        assert (status, "&lt;b&gt;Unit" in page, "<b>Unit" in page) == (200, True, False)
        assert await buyer.page("pay_1", "late") == (303, SESSION["success_url"])
        assert await buyer.page("pay_1", "pay") == (303, SESSION["success_url"])  # too late: it is chosen
    async with StandIn(tmp_path).serving("http://127.0.0.1:1") as env:
        again = Caller(env, http)
        assert again.url == buyer.url
        paid = {"status": "paid", "amount_minor": 500, "currency": "EUR"}
        assert await again.ask("sessions/expire", {"session": session}) == (200, paid)
        refund = {"id": "pay_1-1", "session": session, "amount_minor": 300}
        first = await again.ask("refunds", refund)
        assert first[1]["status"] == "done"
        assert await again.ask("refunds", refund) == first
        assert (await again.ask("refunds", refund | {"id": "pay_1-2"}))[0] == 422  # more than was paid


async def test_it_takes_no_unsigned_call_and_no_other_hosts_name(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with StandIn(tmp_path).serving("http://127.0.0.1:1") as env:
        buyer = Caller(env, http)
        assert (await buyer.ask("sessions", SESSION, signed=False))[0] == 401
        assert (await buyer.page("pay_1"))[0] == 404
        await buyer.ask("sessions", SESSION)
        assert (await buyer.page("pay_1"))[0] == 200
        assert (await buyer.page("pay_1", host="evil.example"))[0] == 404
        assert (await buyer.page("../", host="evil.example"))[0] == 404
        assert (await buyer.page("pay_1", "steal"))[0] == 422
        assert (await buyer.ask("sessions/expire", {"session": "ses_0"}))[0] == 404


async def test_its_own_address_lists_the_payments_newest_first(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with StandIn(tmp_path).serving("http://127.0.0.1:1") as env:
        buyer = Caller(env, http)
        status, empty = await buyer.page("../")
        assert (status, "no payment yet" in empty) == (200, True)
        for id_ in ("pay_1", "pay_2"):
            await buyer.ask("sessions", SESSION | {"id": id_})
        await buyer.page("pay_1", "decline")
        _, page = await buyer.page("../")
        assert re.findall(r'<a href="/pay/(\w+)">5.00 EUR</a>, (\w+)<', page) == [
            ("pay_2", "open"), ("pay_1", "ended"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"), ("de", "de"), ("fr, de;q=0.5, en;q=0.1", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"), ("fr", "en"), ("", "en"), (";,-", "en"),
    ],
)  # fmt: skip
async def test_its_pages_speak_the_language_of_the_browser(
    accepted: str, language: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with StandIn(tmp_path).serving("http://127.0.0.1:1") as env:
        buyer = Caller(env, http)
        await buyer.ask("sessions", SESSION)
        for path in ("", "pay/pay_1"):
            headers = {"Accept-Language": accepted}
            async with http.get(f"{buyer.url}/{path}", headers=headers) as answer:
                page = await answer.text()
            assert f'<html lang="{language}">' in page
            assert ("Es fließt kein Geld" in page) is (language == "de")
            assert ("no money moves" in page) is (language == "en")


def test_each_text_of_the_pages_has_a_translation() -> None:
    english, german = (msgspec.structs.asdict(TEXTS[name]) for name in ("en", "de"))
    assert [name for name, text in german.items() if text == english[name] or not text] == []
    assert set(german["statuses"]) == {"open", *STATUSES.values()}


@pytest.mark.parametrize("offered", [True, False])
async def test_up_prints_its_address(
    offered: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=tmp_path, **({} if offered else {"payment_providers": ()}))
    everything = Everything(settings, FLASHGUARD)
    env = await everything._stand_in()
    await everything.greet(demo=False)
    await everything.stop()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Stand-in payments:")]
    assert [line.split()[-1] for line in lines] == ([env["FLASHGUARD_PAYMENT_SIGNED_URL"]] if offered else [])
