"""What a hold has reached before it is answered is the sale's choice, and is checked, not hoped for."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from flashguard.embedded.valkey import find_valkey
from flashguard.engine.durability import DurabilityWaiter
from flashguard.ledger import Ledger
from flashguard.model import Durability, SaleId
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.real_stack import Stack, started


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(
        http, FLASHGUARD_RECORD_TIMEOUT_SECONDS="2", FLASHGUARD_MEMORY_TIMEOUT_SECONDS="1"
    ) as running:
        yield running


class Replica:
    """A real replica of the stack's Valkey."""

    def __init__(self, primary: str, folder: Path) -> None:
        self.path = folder / "replica.sock"
        words = [
            "--port",
            "0",
            "--unixsocket",
            str(self.path),
            "--save",
            "",
            "--dir",
            str(folder),
            "--replicaof",
            *primary.split(),
        ]
        self.process = subprocess.Popen([str(find_valkey()), *words], stdout=subprocess.DEVNULL)
        self.client = Redis(unix_socket_path=str(self.path))


async def test_a_sales_choice_is_kept_shown_changed_and_survives_a_rebuild(stack: Stack) -> None:
    sale = await stack.service.create_sale(hold_durability="ledger")
    assert (await stack.service.call("GET", f"/v1/sales/{sale}")).ok()["hold_durability"] == "ledger"
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, before)
    await stack.ready()
    held = (await stack.retried(lambda: stack.service.hold(sale, "ann", key="a"))).ok(201)
    assert await in_ledger(stack, held["id"])
    for durability in ("memory", "replicated", "disk"):
        body = {"hold_durability": durability}
        changed = await stack.service.admin("PATCH", f"/v1/sales/{sale}", body)
        assert changed["hold_durability"] == durability
    wrong = await stack.service.call("PATCH", f"/v1/sales/{sale}", {"hold_durability": "paper"}, admin=True)
    wrong.problem(422, "invalid-request")
    (await stack.service.hold(sale, "ann", key="b")).ok(201)


async def in_ledger(stack: Stack, id_: str) -> bool:
    ledger = await Ledger.connect(stack.servers.database_url)
    sale, _, short = id_.partition(".")
    found = await ledger.reservations.get(SaleId(sale), short)
    await ledger.close()
    return found is not None


async def test_a_hold_of_ledger_is_answered_only_when_it_is_recorded(stack: Stack) -> None:
    sale = await stack.service.create_sale(hold_durability="ledger")
    for number in range(5):
        held = (await stack.service.hold(sale, f"c{number}")).ok(201)
        assert await in_ledger(stack, held["id"])
    await stack.end("recorder")
    (await stack.service.hold(sale, "ann", key="waits")).problem(503, "overloaded")
    (await stack.service.hold(sale, "ann", key="waits")).problem(503, "overloaded")
    stack.start("recorder")
    held = (await stack.retried(lambda: stack.service.hold(sale, "ann", key="waits"))).ok(201)
    assert await in_ledger(stack, held["id"])
    await stack.service.audit(sale)


async def test_a_replicated_hold_is_answered_only_when_a_replica_has_it(stack: Stack, tmp_path: Path) -> None:
    sale = await stack.service.create_sale(hold_durability="replicated")
    (await stack.service.hold(sale, "ann", key="alone")).problem(503, "overloaded")
    port = free_port()
    await stack.memory.config_set("bind", "127.0.0.1")
    await stack.memory.config_set("port", str(port))
    replica = Replica(f"127.0.0.1 {port}", tmp_path)
    try:

        async def follows() -> bool:
            try:
                return bool((await replica.client.info("replication"))["master_link_status"] == "up")
            except (OSError, RedisError):
                return False

        await eventually(follows, "the replica follows")
        held = (await stack.retried(lambda: stack.service.hold(sale, "ann", key="alone"))).ok(201)
        name = next(iter(await replica.client.keys(f"*reservations:{sale}")))
        assert await replica.client.hexists(name, held["id"].partition(".")[2])
        assert (await stack.service.hold(sale, "ann", key="alone")).replayed
    finally:
        await replica.client.aclose()
        replica.process.terminate()
        replica.process.wait()
        await stack.memory.config_set("port", "0")


async def test_on_a_server_that_syncs_every_second_a_hold_still_waits_for_the_disk(http) -> None:
    async with started(http) as stack:
        await stack.memory.config_set("appendfsync", "everysec")
        sale = await stack.service.create_sale()
        (await stack.service.hold(sale, "ann")).ok(201)
        stats = await stack.memory.info("commandstats")
        assert stats["cmdstat_waitaof"]["calls"] >= 1


async def test_a_server_that_could_not_say_how_it_syncs_is_asked_again_and_again_later(
    stack: Stack, tmp_path: Path
) -> None:
    """Or a fault at the first hold would have every later one answered before the disk has it."""
    path = tmp_path / "valkey.sock"
    client = connect_kernel(f"unix://{path}", Settings())
    waiter = DurabilityWaiter(client, replicas=1, timeout_seconds=5.0, read_again_seconds=0.2)
    sync = (await stack.memory.config_get("appendfsync"))["appendfsync"]
    try:
        assert not await waiter.reach(Durability.DISK, 0)  # nobody is there
        path.symlink_to(stack.memory.connection_pool.connection_kwargs["path"])
        await client.execute_command("PING")  # as the decision before it would
        assert await waiter.reach(Durability.DISK, 0)
        assert waiter.server_waits(0)
        await stack.memory.config_set("appendfsync", "everysec")

        async def noticed() -> bool:
            return await waiter.reach(Durability.DISK, 0) and not waiter.server_waits(0)

        await eventually(noticed, "the other setting is known")
        before = (await stack.memory.info("commandstats"))["cmdstat_waitaof"]["calls"]
        assert await waiter.reach(Durability.DISK, 0)
        assert (await stack.memory.info("commandstats"))["cmdstat_waitaof"]["calls"] == before + 1
    finally:
        await stack.memory.config_set("appendfsync", sync)
        await client.aclose()


async def test_the_first_crowd_of_holds_opens_no_connection_each(http) -> None:
    async with started(http) as stack:
        sale = await stack.service.create_sale(stock=100)
        before = len(await stack.memory.client_list())
        held = await asyncio.gather(*(stack.service.hold(sale, f"c{number}") for number in range(50)))
        assert {answer.status for answer in held} == {201}
        assert len(await stack.memory.client_list()) <= before + 2  # the waits', and the first decision's
