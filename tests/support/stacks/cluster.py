"""Memory is a real Valkey Cluster: three primaries with a replica each."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from flashguard.embedded import EmbeddedPostgres
from flashguard.valkey.address import Address
from flashguard.valkey.slots import SLOTS, SlotRange, read_slots, slot_of
from tests.support.eventually import eventually
from tests.support.ports import free_ports
from tests.support.stacks import ONE_SERVER, Stack, folder, migrate
from tests.support.stacks.nodes import HOST, Node, all_started
from tests.support.stacks.users import api_at, as_user, refused, users_file

LACKS = frozenset((ONE_SERVER,))
PRIMARIES = 3
NODE_TIMEOUT_MS = 1000
OPTIONS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": str(NODE_TIMEOUT_MS),
    "cluster-require-full-coverage": "no",  # or one shard that is away would close all the others
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
}


class Cluster:
    """The first half of `nodes` start as primaries; the second half as their replicas, in the same order."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    async def form(self) -> None:
        primaries, replicas = self.nodes[:PRIMARIES], self.nodes[PRIMARIES:]
        bounds = [SLOTS * number // PRIMARIES for number in range(PRIMARIES + 1)]
        for number, node in enumerate(primaries):
            await node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for number, node in enumerate(self.nodes):
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for one in self.nodes:
            for other in self.nodes:
                if one is not other:
                    await one.ask("CLUSTER", "MEET", HOST, other.port, other.bus_port)
        for node in self.nodes:
            await eventually(partial(self._knows_all, node), "every node knows every other")
        for primary, replica in zip(primaries, replicas, strict=True):
            await replica.ask("CLUSTER", "REPLICATE", (await primary.ask("CLUSTER", "MYID")).decode())
        await self.settled()

    async def settled(self) -> None:
        """Every slot is served, and every replica follows."""
        for node in self.nodes:
            await eventually(partial(self._is_well, node), f"{node.port} is part of the cluster")

    async def _knows_all(self, node: Node) -> bool:
        text = (await node.ask("CLUSTER", "NODES")).decode()
        return len(text.splitlines()) == len(self.nodes) and "handshake" not in text and ":0@" not in text

    async def _is_well(self, node: Node) -> bool:
        info = (await node.ask("CLUSTER", "INFO")).decode()
        link = (await node.info()).get("master_link_status", "up")
        shards = await self.shards(node)
        replicas = {each.name for shard in shards for each in shard.replicas}
        return (
            "cluster_state:ok" in info
            and link == "up"
            and len(replicas) == len(self.nodes) - len({shard.primary.name for shard in shards})
        )

    async def shards(self, node: Node | None = None) -> list[SlotRange]:
        """Who has which slots, as this node says, or the first that answers."""
        for each in [node] if node is not None else self.nodes:
            if each.running:
                answer = await each.ask("CLUSTER", "SLOTS")
                return read_slots(answer, Address(f"redis://{HOST}:{each.port}"))
        raise AssertionError("no node of the cluster runs")

    async def of(self, key: str) -> tuple[Node, list[Node]]:
        """The primary that has a key, and its replicas."""
        for shard in await self.shards():
            if shard.first <= slot_of(key) <= shard.last:
                return self.at(shard.primary), [self.at(each) for each in shard.replicas]
        raise AssertionError(f"nobody has the slot of {key}")

    def at(self, address: Address) -> Node:
        return next(node for node in self.nodes if node.port == address.port)


@asynccontextmanager
async def started(
    place: Path, binary: Path | None = None, options: Mapping[str, str] | None = None
) -> AsyncIterator[Cluster]:
    """A cluster in this folder, its replicas following."""
    count = 2 * PRIMARIES
    ports = free_ports(2 * count)
    nodes = [
        Node(
            place / str(number),
            ports[number],
            OPTIONS | {"cluster-port": str(ports[count + number])} | dict(options or {}),
            binary,
            bus_port=ports[count + number],
        )
        for number in range(count)
    ]
    async with all_started(nodes):
        cluster = Cluster(nodes)
        await cluster.form()
        yield cluster


@asynccontextmanager
async def running() -> AsyncIterator[Stack]:
    """All of it as the users of deploy/valkey/users.acl, who were refused nothing in the end."""
    with folder() as place:
        acl = {"aclfile": str(users_file(place / "acl"))}
        memory, ledger = started(place / "memory", options=acl), EmbeddedPostgres(place / "data")
        async with memory as cluster, ledger:
            await migrate(ledger.url)
            api = api_at(as_user(cluster.url, "flashguard-api"))
            yield Stack(as_user(cluster.url, "flashguard-recorder"), ledger.url, api=api)
            assert await refused(cluster.nodes) == []
