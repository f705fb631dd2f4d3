"""The real service as child processes on real servers, and the calls that tests make of it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from flashguard.embedded import EmbeddedServers
from tests.support.forked import Flashguard
from tests.support.ledgers import put_ledger
from tests.support.ports import free_port
from tests.support.stacks import Stack

ADMIN_KEY = "fg_admin_of-the-tests-0123456789"

READY_SECONDS = 60.0

STOP_SECONDS = 10.0

SPREAD = int(os.environ.get("FLASHGUARD_TEST_SPREAD", "1"))
"""Over how many partitions the sales of tests are that do not say so."""


def unique(prefix: str = "sale") -> str:
    """An id that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def clean_env(**more: str) -> dict[str, str]:
    """Our environment without FlashGuard's variables, plus these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")} | more


@dataclass(frozen=True)
class Answer:
    """What the API answered; `body` is the JSON, or the text where it is something else."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def replayed(self) -> bool:
        return self.headers.get("Idempotent-Replayed") == "true"

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """The body, once it is sure that it is this problem, in the shape of RFC 9457."""
        assert self.status == status, self
        assert self.headers["Content-Type"] == "application/problem+json", self
        assert self.body["code"] == code, self
        assert self.body["status"] == status
        assert self.body["type"].endswith(code)
        assert all(isinstance(self.body[name], str) and self.body[name] for name in ("title", "detail"))
        return self.body  # type: ignore[no-any-return]

    def ok(self, status: int = 200) -> dict[str, Any]:
        """The body, once it is sure that the call did what was asked."""
        assert self.status == status, self
        assert self.headers["Content-Type"].startswith("application/json"), self
        return self.body  # type: ignore[no-any-return]


class Service:
    """A running FlashGuard: recorder and API."""

    def __init__(self, url: str, servers: "EmbeddedServers | Stack", http: aiohttp.ClientSession) -> None:
        self.url = url
        self.admin_key = ADMIN_KEY
        self.recorder_metrics_url = ""
        self.redis_url = servers.redis_url
        self.database_url = servers.database_url
        self._http = http

    @property
    def admin_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.admin_key}"}

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        admin: bool = False,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> Answer:
        """One call. A read demands the newest state, unless its headers say otherwise.

        Parameters:
            body: sent as JSON.
            key: the idempotency key.
            data: sent as it is, in place of a body.
        """
        if SPREAD > 1 and (method, path) == ("POST", "/v1/sales") and isinstance(body, dict) and "id" in body:
            body = {"spread": SPREAD} | body
        sent = {"Cache-Control": "no-cache"} if method == "GET" else {}
        sent |= headers or {}
        if admin:
            sent |= self.admin_headers
        if key is not None:
            sent["Idempotency-Key"] = key
        what = {"data": data} if data is not None else {"json": body}
        async with self._http.request(method, f"{self.url}{path}", headers=sent, **what) as answer:
            text = await answer.text()
            as_json = "json" in answer.headers.get("Content-Type", "") and method != "HEAD"
            return Answer(answer.status, answer.headers, json.loads(text) if as_json else text)

    async def admin(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """A call by the admin that must succeed; its JSON."""
        answer = await self.call(method, path, body, admin=True)
        assert answer.status < 300, f"{method} {path}: {answer}"
        return answer.body  # type: ignore[no-any-return]

    async def hold(self, sale: str, customer: str, quantity: int = 1, *, key: str | None = None) -> Answer:
        return await self._take(sale, "reservations", customer, quantity, key)

    async def buy(self, sale: str, customer: str, quantity: int = 1, *, key: str | None = None) -> Answer:
        return await self._take(sale, "orders", customer, quantity, key)

    async def _take(self, sale: str, what: str, customer: str, quantity: int, key: str | None) -> Answer:
        body = {"customer": customer, "items": [{"sku": "unit", "quantity": quantity}]}
        return await self.call("POST", f"/v1/sales/{sale}/{what}", body, key=key)

    async def verb(self, reservation: str, verb: str, *, key: str | None = None) -> Answer:
        """confirm, release or extend."""
        return await self.call("POST", f"/v1/reservations/{reservation}/{verb}", key=key)

    async def item(self, sale: str, sku: str = "unit") -> dict[str, Any]:
        """An item of a sale, as it is now."""
        items = (await self.call("GET", f"/v1/sales/{sale}", admin=True)).ok()["items"]
        return next(item for item in items if item["sku"] == sku)  # type: ignore[no-any-return]

    async def audit(self, sale: str) -> dict[str, Any]:
        """The audit report, which must find no difference."""
        report = await self.admin("GET", f"/v1/sales/{sale}/audit")
        assert report["ok"], report
        return report

    async def create_sale(
        self,
        *,
        stock: int = 10,
        hold_seconds: int = 60,
        limit: int | None = None,
        skus: tuple[str, ...] = ("unit",),
        opened: bool = True,
        **more: Any,
    ) -> str:
        """Creates a sale of its own, with this stock of each sku, and opens it; its id."""
        sale = {
            "id": unique(),
            "name": "A sale of a test",
            "hold_seconds": hold_seconds,
            "limit_per_customer": limit,
            "items": [
                {"sku": sku, "name": sku.title(), "price_minor": 1999, "currency": "EUR", "stock": stock}
                for sku in skus
            ],
        }
        sale_id = str((await self.admin("POST", "/v1/sales", sale | more))["id"])
        if opened:
            await self.admin("POST", f"/v1/sales/{sale_id}/open")
        return sale_id

    async def ready(self) -> bool:
        try:
            async with self._http.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


@asynccontextmanager
async def migrated_servers() -> AsyncIterator[EmbeddedServers]:
    """Valkey and PostgreSQL in a folder of their own, without a recorder."""
    folder = Path(tempfile.mkdtemp(prefix="fg-test-", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    try:
        put_ledger(folder / "data")
        async with EmbeddedServers(folder / "data") as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def serving(stack: Stack, http: aiohttp.ClientSession) -> AsyncIterator[Service]:
    """`flashguard recorder` and the API as children."""
    recorder_port = free_port()
    env = clean_env(
        FLASHGUARD_REDIS_URL=stack.redis_url,
        FLASHGUARD_DATABASE_URL=stack.database_url,
        FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
        FLASHGUARD_RECORDER_METRICS_PORT=str(recorder_port),
        FLASHGUARD_LOG_LEVEL="warning",
        PYTHONUNBUFFERED="1",
    ) | dict(stack.env)
    api = stack.api or api_as_a_child
    recorder = Flashguard("recorder", env=env)
    try:
        async with api(env) as url:
            running = Service(url, stack, http)
            running.recorder_metrics_url = f"http://127.0.0.1:{recorder_port}/metrics"
            async with asyncio.timeout(READY_SECONDS):
                while not await running.ready():
                    assert recorder.poll() is None, f"flashguard recorder ended with {recorder.returncode}"
                    await asyncio.sleep(0.05)
            yield running
    finally:
        recorder.terminate()
        await stop(recorder)


@asynccontextmanager
async def api_as_a_child(env: Mapping[str, str]) -> AsyncIterator[str]:
    """`flashguard api` as a child; its address."""
    port = free_port()
    api = Flashguard("api", env={**env, "FLASHGUARD_PORT": str(port)})
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await listens(port):
                assert api.poll() is None, f"flashguard api ended with {api.returncode}"
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        # uvicorn ends itself with the signal it got; only after SIGINT does Python still write coverage.
        api.send_signal(signal.SIGINT)
        await stop(api)


async def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def stop(child: "Flashguard | subprocess.Popen[bytes]") -> None:
    """Waits for a child that was told to end; kills it when it doesn't."""
    try:
        await asyncio.to_thread(child.wait, STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        await asyncio.to_thread(child.wait)
