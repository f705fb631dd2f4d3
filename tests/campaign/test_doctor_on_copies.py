"""`flashguard doctor` on real copies: replicas, a Sentinel, standbys; each is told as it is."""

import asyncio
import json
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flashguard.ledger import Ledger
from tests.campaign.failovers import Sentinel
from tests.campaign.lab_stack import PARTITIONS, LedgerNode, MemoryNode
from tests.campaign.processes import clean_env, hit
from tests.support.forked import run_flashguard

PATIENCE_SECONDS = 40.0
Row = tuple[str, str]
"""How a finding stands, and what was found."""


class Servers:
    """Two Valkeys and two PostgreSQLs; the second of each follows when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory, self.replica = MemoryNode(folder / "memory-a"), MemoryNode(folder / "memory-b")
        self.ledger, self.standby = LedgerNode(folder / "ledger-a"), LedgerNode(folder / "ledger-b")

    async def doctor(self, *, memory_url: str = "", database_url: str = "") -> dict[str, Row]:
        where = {
            "FLASHGUARD_REDIS_URL": memory_url or self.memory.url,
            "FLASHGUARD_DATABASE_URL": database_url or self.ledger.url,
        }
        ran = await asyncio.to_thread(run_flashguard, "doctor", "--json", env=clean_env(**where))
        found: list[dict[str, Any]] = json.loads(ran.stdout)["findings"]
        failed = any(each["state"] == "failed" for each in found)
        assert ran.returncode == (1 if failed else 0)
        assert [each for each in found if each["state"] != "ok" and not each["todo"]] == []
        return {each["name"]: (each["state"], each["found"]) for each in found}

    async def until(self, name: str, state: str, text: str) -> None:
        """Waits until the doctor says so of it."""
        said: Row | None = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while said is None or said[0] != state or text not in said[1]:
                    said = (await self.doctor()).get(name)
        except TimeoutError:
            pytest.fail(f"{name}: {said}")

    async def change_ledger(self, statement: str) -> None:
        await self.ledger.ask(statement)
        await self.ledger.ask("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="fg-doctor-", dir="/tmp") as place:
        folder = Path(place)
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        the = Servers(folder)
        await the.memory.start()
        await the.ledger.start()
        ledger = await Ledger.connect(the.ledger.url)
        await ledger.migrate(PARTITIONS)
        await ledger.close()
        try:
            yield the
        finally:
            for node in (the.memory, the.replica, the.ledger, the.standby):
                await node.stop_hard()


async def test_a_replica_is_told_how_far_behind_it_is_and_whether_writes_wait_for_it(
    servers: Servers,
) -> None:
    assert (await servers.doctor())["memory: replicas"] == ("warning", "none")
    servers.replica.options = ("--replicaof", f"127.0.0.1 {servers.memory.port}")
    await servers.replica.start()
    await servers.until("memory: replicas", "ok", "1, the slowest")
    assert (await servers.doctor())["memory: split brain"] == ("warning", "min-replicas-to-write 0")
    await servers.memory.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    assert (await servers.doctor())["memory: split brain"] == ("ok", "min-replicas-to-write 1")
    hit(signal.SIGSTOP, servers.replica.pid)
    try:
        await servers.until("memory: replicas", "warning", "s behind")
    finally:
        hit(signal.SIGCONT, servers.replica.pid)
    await servers.until("memory: replicas", "ok", "1, the slowest")
    at_the_replica = await servers.doctor(memory_url=servers.replica.url)
    assert at_the_replica["memory: role"] == ("failed", "slave")


async def test_a_sentinel_is_no_memory(servers: Servers) -> None:
    sentinel = await Sentinel.start(servers.folder / "sentinel", servers.memory.port)
    try:
        found = await servers.doctor(memory_url=f"unix://{servers.folder / 'sentinel' / 'socket'}")
        assert found["memory: role"] == ("failed", "a Sentinel, which keeps no data")
    finally:
        await sentinel.stop()


async def test_a_standby_that_commits_do_not_wait_for_or_wait_for_in_vain_is_told(servers: Servers) -> None:
    assert "ledger: standbys" not in await servers.doctor()
    await servers.change_ledger("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    await servers.until("ledger: standbys", "failed", "none of those that commits wait for (standby)")
    await servers.change_ledger("ALTER SYSTEM RESET synchronous_standby_names")
    await servers.standby.follow(servers.ledger, servers.ledger.socket_folder)
    await servers.until("ledger: standbys", "warning", "1, 0 of them synchronous")
    await servers.change_ledger("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    await servers.until("ledger: standbys", "ok", "1, 1 of them synchronous")
    assert (await servers.doctor())["ledger: commit"] == ("ok", "synchronous_commit on")
    at_the_standby = await servers.doctor(database_url=servers.standby.url)
    assert at_the_standby["ledger: role"] == ("failed", "read only")
    await servers.ledger.ask("CREATE ROLE shop LOGIN")
    await servers.ledger.ask("GRANT USAGE ON SCHEMA flashguard TO shop")
    await servers.ledger.ask("GRANT SELECT ON ALL TABLES IN SCHEMA flashguard TO shop")
    as_the_shop = await servers.doctor(database_url=servers.ledger.url.replace("flashguard@", "shop@"))
    assert as_the_shop["ledger: standbys"] == ("warning", "1, and this role may not see them")
