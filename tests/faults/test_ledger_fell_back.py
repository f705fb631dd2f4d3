"""A ledger older than memory: a little is replayed, more waits for an operator; nothing is sold again."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from real_stack import Stack, started, until

from conftest import clean_env
from flashguard.kernel import keys

TAIL_ENTRIES = 2


@asynccontextmanager
async def set_back(stack: Stack) -> AsyncIterator[None]:
    """What happens inside is not in the ledger that comes back after it: as restored from a backup."""
    cluster = stack.servers.postgres.home / "cluster"
    backup = cluster.with_name("backup")
    await stack.servers.postgres.stop()
    subprocess.run(["cp", "-a", cluster, backup], check=True)
    await stack.servers.postgres.start()
    await stack.ready()
    yield
    await stack.servers.postgres.stop()
    subprocess.run(["rm", "-rf", cluster], check=True)
    backup.rename(cluster)
    await stack.servers.postgres.start()


def told(stack: Stack, *words: str) -> tuple[int, str]:
    env = clean_env(
        FLASHGUARD_REDIS_URL=stack.servers.redis_url, FLASHGUARD_DATABASE_URL=stack.servers.database_url
    )
    command = [sys.executable, "-m", "flashguard", "recover", *words]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert ran.stdout, ran.stderr
    return ran.returncode, ran.stdout


def recover(stack: Stack, *words: str) -> tuple[int, dict[str, Any]]:
    code, text = told(stack, "--json", *words)
    return code, json.loads(text)


async def trimmed(stack: Stack, sale: str) -> bool:
    return int(await stack.memory.xlen(keys.journal(stack.partition(sale)))) <= TAIL_ENTRIES + 1


async def bought(stack: Stack, sale: str, *keys: str) -> list[str]:
    answers = [await stack.retried(lambda key=key: stack.service.buy(sale, key, key=key)) for key in keys]
    return [str(answer.ok(201)["id"]) for answer in answers]


async def test_a_ledger_that_fell_back_within_the_journals_tail_replays(http) -> None:
    async with started(http) as stack:
        sale = await stack.service.create_sale()
        first = await bought(stack, sale, "a", "b")
        await stack.recorded(sale)
        async with set_back(stack):
            second = await bought(stack, sale, "c", "d")
            await stack.recorded(sale)
        await stack.ready()
        await stack.recorded(sale)
        assert (await stack.service.audit(sale))["orders"] == 4
        for id_ in (*first, *second):
            assert (await stack.service.call("GET", f"/v1/reservations/{id_}")).ok()["status"] == "confirmed"


@pytest.mark.parametrize("take", ["memory", "ledger"])
async def test_one_that_fell_back_further_waits_for_an_operator(http, take: str) -> None:
    short = {"FLASHGUARD_JOURNAL_TAIL_ENTRIES": str(TAIL_ENTRIES), "FLASHGUARD_JOURNAL_TAIL_SECONDS": "0"}
    async with started(http, **short) as stack:
        sale = await stack.service.create_sale(stock=10)
        await bought(stack, sale, "a", "b")
        await stack.recorded(sale)
        async with set_back(stack):
            lost = await bought(stack, sale, *"cdefg")
            await stack.recorded(sale)
            await until(lambda: trimmed(stack, sale), "the journal's tail is short")

        async def fenced() -> bool:
            return "once" in (await stack.head(sale)).get("why", "")

        await until(fenced, "the partition waits for an operator")
        (await stack.service.buy(sale, "z", key="z")).problem(503, "recovering")
        code, shown = recover(stack)
        assert code == 1
        [choice] = shown["partitions"]
        assert choice["partition"] == stack.partition(sale)
        assert set(choice["lost_orders"]) == set(lost)
        [item] = choice["items"]
        assert (item["memory"], item["ledger"]) == ([10, 0, 7], [10, 0, 2])
        code, text = told(stack)
        assert code == 1
        for part in (
            f"partition {stack.partition(sale)}",
            "5 orders",
            "10 / 0 / 7",
            "--take memory",
            "--take ledger",
        ):
            assert part in text
        assert "fence" in await stack.head(sale)  # looking decides nothing

        code, taken = recover(stack, "--take", take)
        assert code == 0
        assert taken["unwritten_orders"] == []
        await stack.ready()
        code, shown = recover(stack)
        assert (code, shown["partitions"]) == (0, [])
        assert "nothing to decide" in told(stack)[1]
        now = await stack.service.item(sale)
        report = await stack.service.audit(sale)
        if take == "ledger":
            assert (now["stock"], now["sold"], now["available"]) == (10, 2, 8)
        else:  # some of the lost orders were still in the journal; the others' units are kept back
            written = report["orders"] - 2
            assert 1 <= written <= 4
            assert (now["sold"], now["available"]) == (2 + written, 3)
            assert now["stock"] == 10 - (5 - written)
        await bought(stack, sale, "z")
        await stack.service.audit(sale)
