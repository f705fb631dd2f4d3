"""`flashguard doctor` on a real cluster and on real Sentinels: in good order, and with something lost."""

from flashguard.doctor.finding import Finding, State
from flashguard.doctor.memory import Wanted
from flashguard.doctor.topology import examine_topology
from flashguard.kernel.kernel import Kernel
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support import stacks
from tests.support.eventually import eventually
from tests.support.stacks import cluster, sentinel


async def found_on(url: str) -> list[Finding]:
    client = connect_kernel(url, Settings(memory_timeout_seconds=1))
    try:
        return await examine_topology(Kernel(client), Wanted(disk=""))
    finally:
        await client.aclose()


def named(found: list[Finding], name: str) -> list[Finding]:
    return [each for each in found if each.name == name]


async def test_a_cluster_is_told_as_it_is_whole_and_without_a_replica() -> None:
    with stacks.folder() as place:
        async with cluster.started(place) as nodes:
            found = await found_on(nodes.url)
            advice = {each.name for each in found if each.state is not State.OK}
            assert advice == {"memory: split brain"}, found  # min-replicas-to-write is 0 here
            told = {each.name: each.found for each in found}
            assert told["memory: topology"] == "cluster, 3 primaries, 3 replicas"
            assert told["memory: one shard lost"] == "cluster-require-full-coverage no"
            assert told["memory: disk"] == "appendonly yes, appendfsync always"
            assert told["memory: permissions"] == "all that are needed"

            lost, careless = nodes.nodes[5], nodes.nodes[0]
            await careless.ask("CONFIG", "SET", "cluster-require-full-coverage", "yes")
            await careless.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            await lost.kill()

            async def noticed() -> bool:
                seen = await found_on(nodes.url)
                return bool(named(seen, "memory: replicas")[0].state is State.WARNING)

            await eventually(noticed, "the cluster knows that the replica is gone")
            found = await found_on(nodes.url)
            assert named(found, "memory: replicas")[0].found == f"none of 127.0.0.1:{nodes.nodes[2].port}"
            assert named(found, "memory: one shard lost")[0].state is State.WARNING
            [wrong] = [each for each in named(found, "memory: eviction") if each.state is State.FAILED]
            assert wrong.found == f"maxmemory-policy allkeys-lru (127.0.0.1:{careless.port})"


async def test_sentinels_are_told_with_their_quorum_and_without_it() -> None:
    with stacks.folder() as place:
        async with sentinel.started(place) as watched:
            found = await found_on(watched.url)
            told = {each.name: each for each in found}
            primary = (await watched.primary()).port
            assert told["memory: topology"].found == (
                f"primary 127.0.0.1:{primary} (shop), watched by 3 Sentinels"
            )
            assert told["memory: Sentinels"].state is State.OK
            assert told["memory: role"].found == "master"
            await watched.sentinels[1].kill()
            [one_away] = named(await found_on(watched.url), "memory: Sentinels")
            assert one_away.state is State.WARNING
            assert f"127.0.0.1:{watched.sentinels[1].port}" in one_away.found
            await watched.sentinels[2].kill()

            async def no_quorum() -> bool:
                return named(await found_on(watched.url), "memory: Sentinels")[0].state is State.FAILED

            await eventually(no_quorum, "one Sentinel alone can fail nothing over")
