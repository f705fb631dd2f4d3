"""A fault leaves nothing open: file descriptors come back to where they were, however often servers fail."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import unique

POOL = 2
"""Connections to PostgreSQL that each process may keep, and opens when it needs them."""
BUYERS = 30
SERVERS = ("valkey", "postgres")


@pytest.fixture
async def stack(http) -> AsyncIterator[Stack]:
    async with started(
        http,
        FLASHGUARD_LEDGER_CONNECTIONS=str(POOL),
        FLASHGUARD_LEDGER_TIMEOUT_SECONDS="1",
        FLASHGUARD_MEMORY_TIMEOUT_SECONDS="0.5",
        FLASHGUARD_RECORD_TIMEOUT_SECONDS="1",
    ) as running:
        yield running


async def used(stack: Stack) -> dict[str, int]:
    """Files of each process, and how many connections memory has."""
    clients = len(await stack.memory.client_list())
    return {"clients of memory": clients} | {
        name: len(list(Path(f"/proc/{child.pid}/fd").iterdir())) for name, child in stack.children.items()
    }


async def press(stack: Stack, sale: str) -> None:
    """A crowd that buys and holds, each once and some from connections that are cut; then it goes home."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def one(number: int) -> None:
            noun = "orders" if number % 2 else "reservations"
            body = {"customer": unique("c"), "items": [{"sku": "unit", "quantity": 1}]}
            patience = aiohttp.ClientTimeout(total=0.2 if number % 5 == 0 else 10)
            try:
                url = f"{stack.service.url}/v1/sales/{sale}/{noun}"
                async with http.post(url, json=body, timeout=patience) as answer:
                    await answer.read()
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass

        await asyncio.gather(*map(one, range(BUYERS)))


async def kill(stack: Stack, sale: str) -> None:
    """Each server is killed while buyers press; then the clients of memory are cut."""
    for name in SERVERS:
        server = getattr(stack.servers, name)
        await server.kill()
        await press(stack, sale)
        await server.restart()
        await stack.ready()
    for kind in ("normal", "pubsub"):
        await stack.memory.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await press(stack, sale)
        await stack.ready()


async def hang(stack: Stack, sale: str) -> None:
    """Each server hangs while buyers press. It closes nothing: what was given up must be closed here."""
    for name in SERVERS:
        server = getattr(stack.servers, name)
        stack.hang(server.pid)
        await press(stack, sale)
        stack.go_on(server.pid)
        await stack.ready()


async def test_files_that_are_open_after_faults_are_those_that_were_open_before(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=100_000)
    await kill(stack, sale)
    await hang(stack, sale)  # what is opened once, and kept, is open now
    before = await used(stack)
    await kill(stack, sale)
    for _ in range(POOL + 2):
        await hang(stack, sale)

    async def back() -> bool:
        return all(now <= before[name] + POOL for name, now in (await used(stack)).items())

    try:
        await eventually(back, "all is closed")
    except AssertionError:
        pytest.fail(f"before {before}, now {await used(stack)}")
    await stack.recorded(sale)
    await stack.service.audit(sale)
