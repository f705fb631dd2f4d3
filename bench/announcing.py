"""Measures what an announcement costs a cluster: PUBLISH goes to every node, SPUBLISH only to its shard.

`python -m bench.announcing` reports CPU of all six nodes per announcement, and how many arrived.
"""

import asyncio

from flashguard.kernel import keys
from flashguard.valkey.address import Address
from flashguard.valkey.connection import Connection, connect
from flashguard.valkey.push import Subscription
from tests.support import stacks
from tests.support.stacks import cluster
from tests.support.stacks.cluster import Cluster
from tests.support.stacks.nodes import HOST, Node

ANNOUNCEMENTS = 20_000
AT_ONCE = 100
MESSAGE = b"x" * 200
PARTITIONS = range(16)


async def cpu_seconds(nodes: Cluster) -> float:
    total = 0.0
    for node in nodes.nodes:
        used = await node.info("cpu")
        total += float(used["used_cpu_user"]) + float(used["used_cpu_sys"])
    return total


async def measure(nodes: Cluster, command: str) -> tuple[float, int]:
    """Return microseconds of CPU per announcement, and how many arrived."""
    heard = 0

    def hear(_: bytes) -> None:
        nonlocal heard
        heard += 1

    homes: dict[int, tuple[Node, list[str]]] = {}
    for partition in PARTITIONS:
        primary, _ = await nodes.of(keys.partition(partition))
        homes.setdefault(primary.port, (primary, []))[1].append(keys.recorded(partition))
    sharded = command == "SPUBLISH"
    listeners, writers = [], {}
    for port, (_, channels) in homes.items():
        address = Address(f"redis://{HOST}:{port}")
        writers[port] = await connect(address, Connection)
        if sharded or not listeners:  # one connection receives everything, wherever it is published
            listener = await connect(address, lambda: Subscription(hear))
            every = [keys.recorded(number) for number in PARTITIONS]
            listener.subscribe(channels if sharded else every, sharded=sharded)
            await listener.subscribed
            listeners.append(listener)
    places = [(writers[port], channel) for port, (_, channels) in homes.items() for channel in channels]
    before = await cpu_seconds(nodes)
    for start in range(0, ANNOUNCEMENTS, AT_ONCE):
        some = [places[number % len(places)] for number in range(start, start + AT_ONCE)]
        await asyncio.gather(*(writer.ask((command, channel, MESSAGE), 5) for writer, channel in some))
    await asyncio.sleep(0.5)
    used = await cpu_seconds(nodes) - before
    for connection in (*listeners, *writers.values()):
        connection.end(ConnectionError("measured"))  # type: ignore[arg-type]
    return used / ANNOUNCEMENTS * 1e6, heard


async def main() -> None:
    with stacks.folder() as place:
        async with cluster.started(place) as nodes:
            for _ in range(3):
                for command in ("PUBLISH", "SPUBLISH"):
                    micros, heard = await measure(nodes, command)
                    print(f"{command:<9} {micros:5.1f} µs, {heard} of {ANNOUNCEMENTS} heard")


if __name__ == "__main__":
    asyncio.run(main())
