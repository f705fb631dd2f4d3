"""What a buyer was told stays true when everything is killed at once, `kill -9`, in the middle of a rush."""

import asyncio
import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.support.forked import run_flashguard
from tests.support.service import clean_env
from tests.support.up import READY, Up, alive, wait_until

STOCK = 10_000
BUYERS = 30


class Rush:
    """Buyers who press until the service is gone, and what they were told."""

    def __init__(self, sale: str) -> None:
        self.sale = sale
        self.keys: set[str] = set()
        self.confirmed: dict[str, str] = {}
        """Order by idempotency key, as answered."""
        self._number = itertools.count()

    async def one(self, http: aiohttp.ClientSession, url: str, key: str) -> str:
        """Presses once, every other buyer by hold and confirm; the problem's code, or ''."""
        self.keys.add(key)
        noun = "orders" if int(key.rpartition("-")[2]) % 2 else "reservations"
        body = {"customer": key, "items": [{"sku": "unit", "quantity": 1}]}
        headers = {"Idempotency-Key": key}
        async with http.post(f"{url}/v1/sales/{self.sale}/{noun}", json=body, headers=headers) as answer:
            taken = await answer.json()
        if answer.status == 201 and noun == "reservations":
            async with http.post(f"{url}/v1/reservations/{taken['id']}/confirm") as answer:
                taken = await answer.json()
        if answer.status < 300:
            assert taken["status"] == "confirmed"
            assert self.confirmed.setdefault(key, taken["id"]) == taken["id"]
        return str(taken.get("code", ""))

    async def until_gone(self, up: Up, url: str, kill_after: int) -> None:
        """A rush that ends with the death of every process."""

        async def press() -> None:
            while True:
                try:
                    await self.one(http, url, f"k-{next(self._number)}")
                except (aiohttp.ClientError, OSError):
                    return
                if up.process.poll() is not None:
                    return  # what is left of it would go on for as long as it is asked
                if len(self.confirmed) >= kill_after:
                    up.process.kill()

        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            await asyncio.gather(*(press() for _ in range(BUYERS)))


async def in_ledger(database_url: str, sale: str) -> Counter[str]:
    """How often PostgreSQL has each confirmed order."""
    ledger = await asyncpg.connect(database_url)
    try:
        rows = await ledger.fetch(
            "SELECT id FROM reservations WHERE sale_id = $1 AND status = 'confirmed'", sale
        )
        return Counter(f"{sale}.{row['id']}" for row in rows)
    finally:
        await ledger.close()


def audit(data_dir: Path) -> None:
    """`flashguard audit` must find no difference."""
    done = run_flashguard("audit", "--data-dir", str(data_dir), "--json", env=clean_env())
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)


async def create(http: aiohttp.ClientSession, url: str, key: str) -> str:
    headers = {"Authorization": f"Bearer {key}"}
    item = {"sku": "unit", "name": "Unit", "price_minor": 100, "currency": "EUR", "stock": STOCK}
    sale = {"id": "rush", "name": "Rush", "items": [item]}
    async with http.post(f"{url}/v1/sales", json=sale, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
    async with http.post(f"{url}/v1/sales/rush/open", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    return "rush"


@pytest.mark.parametrize(("memory", "kill_after"), [("kept", 150), ("lost", 60)])
async def test_a_confirmed_order_survives_killing_every_process(
    folder: Path, memory: str, kill_after: int
) -> None:
    """Exactly once in PostgreSQL, also when memory comes back empty; and every retry finds its outcome."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        up = Up(folder, "--port", "0", "--no-demo")
        await asyncio.to_thread(up.wait_for, READY)
        run = up.run()
        rush = Rush(await create(http, run.url, (up.data_dir / "admin.key").read_text().strip()))
        await rush.until_gone(up, run.url, kill_after)
        assert up.process.wait() == -9
        wait_until(lambda: not any(map(alive, run.pids.values())))
        if memory == "lost":
            shutil.rmtree(up.data_dir / "valkey")

        with Up(folder, "--port", "0", "--no-demo") as again:
            await asyncio.to_thread(again.wait_for, READY)
            url, database_url = again.run().url, again.run().database_url
            told = dict(rush.confirmed)
            assert len(told) >= kill_after
            assert set(told.values()) <= set(await in_ledger(database_url, rush.sale))
            await asyncio.to_thread(audit, again.data_dir)

            for key in sorted(rush.keys):  # those who never got an answer press again, with the same key
                await rush.one(http, url, key)
            assert rush.confirmed.keys() == rush.keys
            assert told.items() <= rush.confirmed.items()
            stored = await in_ledger(database_url, rush.sale)
            assert stored == Counter(rush.confirmed.values())
            async with http.get(f"{url}/v1/sales/{rush.sale}") as answer:
                item = (await answer.json())["items"][0]
            assert (item["sold"], item["held"], item["available"]) == (len(stored), 0, STOCK - len(stored))
            await asyncio.to_thread(audit, again.data_dir)
