"""The users of deploy/valkey/users.acl: what they may do is what is needed, and no less."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flashguard.doctor.finding import State
from flashguard.doctor.permissions import SOFT, examine_permissions, needed
from flashguard.embedded import EmbeddedPostgres
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.model import SaleId, partition_of
from flashguard.valkey.address import Address
from flashguard.valkey.connection import ServerClient
from tests.support import stacks
from tests.support.eventually import eventually
from tests.support.forked import run_flashguard
from tests.support.ports import free_ports
from tests.support.service import Service, clean_env, serving
from tests.support.stacks import Stack
from tests.support.stacks.nodes import HOST, Node
from tests.support.stacks.users import FILE, api_at, as_user, refused, users_file


class Served:
    """A service whose parts log in as their own users."""

    def __init__(self, service: Service, node: Node, database_url: str) -> None:
        self.service = service
        self.node = node
        self.env = clean_env(
            FLASHGUARD_REDIS_URL=as_user(f"redis://{HOST}:{node.port}", "flashguard"),
            FLASHGUARD_DATABASE_URL=database_url,
        )

    async def cli(self, *words: str) -> Any:
        """A command of the operator's, as JSON."""
        env = self.env | {"FLASHGUARD_ADMIN_KEY": self.service.admin_key}
        ran = await asyncio.to_thread(run_flashguard, *words, "--json", env=env)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)


@pytest.fixture(scope="module")
async def served(http) -> AsyncIterator[Served]:
    with stacks.folder() as place:
        acl = {"aclfile": str(users_file(place / "acl"))}
        node, ledger = Node(place / "memory", free_ports(1)[0], acl), EmbeddedPostgres(place / "data")
        async with node, ledger:
            await stacks.migrate(ledger.url)
            url = f"redis://{HOST}:{node.port}"
            stack = Stack(
                as_user(url, "flashguard-recorder"), ledger.url, api=api_at(as_user(url, "flashguard-api"))
            )
            async with serving(stack, http) as service:
                yield Served(service, node, ledger.url)


async def test_a_sales_whole_life_a_rebuild_the_doctor_and_a_simulation_are_refused_nothing(served) -> None:
    service, node = served.service, served.node
    sale = await service.create_sale(stock=10, waiting_list=5)
    held = [(await service.hold(sale, f"c{number}")).ok(201)["id"] for number in range(3)]
    (await service.verb(held[0], "confirm")).ok()
    (await service.verb(held[1], "release")).ok()
    (await service.verb(held[2], "extend")).ok()
    (await service.buy(sale, "d")).ok(201)
    await node.ask("DEL", keys.partition(partition_of(SaleId(sale), stacks.PARTITIONS)))  # memory was lost

    async def sells_again() -> bool:
        return (await service.buy(sale, "e", key="after")).status == 201

    await eventually(sells_again, "the recorder has built it again")
    await service.audit(sale)
    assert all(each["state"] != "failed" for each in (await served.cli("doctor"))["findings"])
    started = await service.admin(
        "POST", "/v1/simulations", {"buyers": 50, "stock": 5, "strategies": ["flashguard"]}
    )

    async def over() -> bool:
        seen = await service.admin("GET", f"/v1/simulations/{started['id']}")
        assert seen["status"] in ("starting", "running", "finished"), seen
        return bool(seen["status"] == "finished")

    await eventually(over, "the simulation is over")
    assert await refused([node]) == []


async def test_without_any_one_command_the_doctor_names_it(served) -> None:
    node = served.node
    client = ServerClient(Address(as_user(f"redis://{HOST}:{node.port}", "flashguard")), timeout_seconds=5)
    try:
        [fine] = await examine_permissions(Kernel(client))
        assert fine.state is State.OK, fine
        for name in needed(cluster=False):
            rule = name.lower().replace(" ", "|")
            await node.ask("ACL", "SETUSER", "flashguard", f"-{rule}")
            try:
                [found] = await examine_permissions(Kernel(client))
                assert found.state is (State.WARNING if name in SOFT else State.FAILED), name
                assert name in found.found
            finally:
                await node.ask("ACL", "SETUSER", "flashguard", f"+{rule}")
    finally:
        await client.aclose()


async def test_in_production_no_part_starts_whose_scripts_would_be_refused_halfway(served) -> None:
    """What a script did before it was refused a command stays done."""
    for part in ("api", "recorder"):
        await served.node.ask("ACL", "SETUSER", f"flashguard-{part}", "-xadd")
        env = served.env | {
            "FLASHGUARD_REDIS_URL": as_user(f"redis://{HOST}:{served.node.port}", f"flashguard-{part}"),
            "FLASHGUARD_MODE": "production",
            "FLASHGUARD_PORT": str(free_ports(1)[0]),
            "FLASHGUARD_ADMIN_KEY": served.service.admin_key,
        }
        try:
            ran = await asyncio.to_thread(run_flashguard, part, env=env)
        finally:
            await served.node.ask("ACL", "SETUSER", f"flashguard-{part}", "+xadd")
        assert ran.returncode != 0
        assert "missing: XADD" in ran.stdout + ran.stderr


@pytest.mark.parametrize("user", ["flashguard", "flashguard-api", "flashguard-recorder"])
def test_the_file_allows_exactly_what_the_doctor_asks_for(user: str) -> None:
    part = user.removeprefix("flashguard").removeprefix("-")
    line = next(line for line in FILE.read_text().splitlines() if line.startswith(f"user {user} "))
    allowed = {word[1:] for word in line.split() if word.startswith("+")}
    both = {*needed(cluster=True, part=part), *needed(cluster=False, part=part)}
    assert allowed == {name.lower().replace(" ", "|") for name in both} | {"auth", "select"}
