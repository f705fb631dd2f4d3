"""`flashguard.contrib.fastapi`, and the example that uses it: hold, pay, confirm after the shop's commit."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
from fastapi import FastAPI

from flashguard.contrib.fastapi import OwnStock, Stock, client_of, granted, lifespan
from tests.support.eventually import eventually
from tests.support.faulty import FaultyLine
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, Service, clean_env, stop

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_shop" / "shop.py"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "fastapi-shop.md"
START_SECONDS = 60.0
Json = dict[str, Any]


class Shop:
    """The example as a process of its own."""

    def __init__(self, http: aiohttp.ClientSession, folder: Path, url: str, sale: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._http = http
        self._folder = folder
        self._env = clean_env(
            FLASHGUARD_URL=url, SHOP_KEY=ADMIN_KEY, SHOP_SALE=sale, PORT=str(port),
            SHOP_DATABASE=str(folder / "shop.sqlite3"),
        )  # fmt: skip

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["subprocess.Popen[bytes]"]:
        with (self._folder / "log").open("w") as log:
            child = subprocess.Popen([sys.executable, EXAMPLE], env=self._env, stdout=log, stderr=log)

        async def answers() -> bool:
            assert child.poll() is None, (self._folder / "log").read_text()
            try:
                async with self._http.get(f"{self.url}/openapi.json") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        try:
            await eventually(answers, "the shop serves", START_SECONDS, poll_seconds=0.1)
            yield child
        finally:
            child.terminate()
            await stop(child)

    async def call(self, method: str, path: str, customer: str, key: str = "once") -> tuple[int, Json]:
        headers = {"X-Customer": customer, "Idempotency-Key": key}
        async with self._http.request(method, f"{self.url}{path}", headers=headers) as answer:
            return answer.status, await answer.json()


async def test_the_example_sells_and_a_kill_between_commit_and_confirm_loses_no_paid_order(
    service: Service, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    sale = await service.create_sale(stock=2, hold_seconds=4)
    async with FaultyLine(service.url).open() as line:
        shop = Shop(http, tmp_path, line.url, sale)
        async with shop.serving() as child:
            status, held = await shop.call("POST", "/orders?sku=unit", "ada")
            assert (status, held["state"]) == (201, "held")
            again = await shop.call("POST", "/orders?sku=unit", "ada")
            assert again == (status, held), "one attempt, one hold"
            order = f"/orders/{held['order']}"
            assert (await shop.call("POST", f"{order}/pay", "bob"))[0] == 404
            paid = {"order": held["order"], "state": "confirmed"}
            assert await shop.call("POST", f"{order}/pay", "ada") == (200, paid)
            _, held = await shop.call("POST", "/orders?sku=unit", "bob", "bobs")
            status, refused = await shop.call("POST", "/orders?sku=unit", "cleo", "cleos")
            assert (status, refused["detail"]["code"], refused["detail"]["available"]) == (409, "sold-out", 0)

            line.next_requests_meet("silent", "silent")  # the endpoint's, and perhaps the background's
            order = f"/orders/{held['order']}"
            paying = asyncio.ensure_future(shop.call("POST", f"{order}/pay", "bob"))

            async def confirming() -> bool:
                return any(asked.endswith("/confirm") for _, asked, _ in line.seen)

            await eventually(confirming, "the shop has committed and asks for the confirm")
            child.kill()
            with pytest.raises(aiohttp.ClientError):
                await paying
        assert (await service.item(sale))["sold"] == 1

        async def expired() -> bool:
            return (await service.item(sale))["held"] == 0

        await eventually(expired, "the hold's time is over")
        async with shop.serving():

            async def confirmed() -> bool:
                return (await shop.call("GET", order, "bob"))[1]["state"] == "confirmed"

            await eventually(confirmed, "the next process confirms what is paid")
    assert (await service.item(sale))["sold"] == 2
    await service.audit(sale)


async def test_an_endpoint_gets_the_client_and_answers_a_refusal_and_silence_as_problems(
    service: Service,
) -> None:
    sale = await service.create_sale(stock=1, opened=False)
    watched = await service.create_sale(stock=1, opened=False)
    await service.admin("POST", f"/v1/sales/{watched}/shadow")
    await service.admin("POST", f"/v1/sales/{watched}/open")
    seen = []

    @asynccontextmanager
    async def around(app: FastAPI) -> AsyncIterator[None]:
        seen.append(client_of(app))
        yield
        seen.append("closed")

    async with FaultyLine(service.url).open() as line:
        app = FastAPI(lifespan=lifespan(line.url, ADMIN_KEY, shadow=watched, around=around))

        @app.post("/buy")
        async def buy(stock: Stock) -> dict[str, str]:
            return {"order": granted(await stock.buy(sale, "ada", {"unit": 1})).id}

        @app.post("/own")
        async def own(own_stock: OwnStock) -> str:
            return own_stock.tell("ada", {"unit": 1}, "sold", key="own-1")

        with pytest.raises(RuntimeError, match="not connected"):
            client_of(app)
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop")
        async with http, app.router.lifespan_context(app):
            refused = await http.post("/buy")
            assert refused.status_code == 409
            assert refused.json()["detail"] == {
                    "code": "sale-not-open", "detail": refused.json()["detail"]["detail"],
                }  # fmt: skip
            await service.admin("POST", f"/v1/sales/{sale}/open")
            line.next_requests_meet("503-later")
            silent = await http.post("/buy")
            assert (silent.status_code, silent.headers["Retry-After"]) == (503, "2")
            assert silent.json()["detail"]["code"] == "no-answer"
            assert silent.json()["detail"]["key"], "with it, the outcome can be asked for"
            assert (await http.post("/buy")).status_code == 200
            assert (await http.post("/own")).json() == "own-1"
        assert seen[1] == "closed"
        assert (await service.admin("GET", f"/v1/sales/{watched}/shadow"))["both_sold"] == 1, (
            "sent at the end"
        )


def test_the_how_to_shows_the_example_as_it_is() -> None:
    code = EXAMPLE.read_text().partition('"""\n\n')[2]
    assert f"```python\n{code}```" in PAGE.read_text()
