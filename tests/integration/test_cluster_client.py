"""The kernel's own client on a real cluster: where commands go, and what is never sent again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from flashguard.engine.announcements import Announcements
from flashguard.kernel import keys
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.settings import Settings
from flashguard.valkey.client import ValkeyClient
from flashguard.valkey.connect import connect_kernel
from flashguard.valkey.errors import LostConnection, RedisError, TryAgainError
from tests.support import stacks
from tests.support.eventually import eventually
from tests.support.stacks import cluster, moving
from tests.support.stacks.cluster import Cluster

TIMEOUT_SECONDS = 0.5
SAY = "return redis.call('SPUBLISH', ARGV[1], ARGV[2])"


@pytest.fixture(scope="module")
async def nodes() -> AsyncIterator[Cluster]:
    with stacks.folder() as place:
        async with cluster.started(place) as started:
            yield started


@pytest.fixture
async def client(nodes: Cluster) -> AsyncIterator[ValkeyClient]:
    client = connect_kernel(nodes.url, Settings(memory_timeout_seconds=TIMEOUT_SECONDS))
    yield client
    await client.aclose()


async def test_each_command_goes_to_the_node_that_has_its_key(nodes, client) -> None:
    for number in range(16):
        await client.execute_command("SET", keys.mark(number), str(number))
        primary, _ = await nodes.of(keys.mark(number))
        assert await primary.ask("GET", keys.mark(number)) == str(number).encode()
        assert client.node_of(keys.mark(number)).endswith(f":{primary.port}")


async def test_a_slot_that_moved_is_followed_and_remembered(nodes, client) -> None:
    key = keys.mark(3)
    await client.execute_command("SET", key, "here")
    source, _ = await nodes.of(key)
    target = next(node for node in await moving.primaries(nodes) if node is not source)
    await moving.key_by_key(nodes, key, target)
    assert await client.execute_command("GET", key) == b"here"
    assert client.node_of(key).endswith(f":{target.port}")


async def test_of_a_slot_that_is_half_moved_each_key_is_found_and_scripts_wait_in_vain(nodes, client) -> None:
    there, here = (f"fg:{{half}}:{name}" for name in ("there", "here"))
    for key in (there, here):
        await client.execute_command("SET", key, key)
    source, _ = await nodes.of(here)
    target = next(node for node in await moving.primaries(nodes) if node is not source)
    slot = int(await source.ask("CLUSTER", "KEYSLOT", here))
    names = {id(node): (await node.ask("CLUSTER", "MYID")).decode() for node in (source, target)}
    await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[id(source)])
    await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[id(target)])
    await source.ask("MIGRATE", "127.0.0.1", target.port, there, 0, 5000)
    assert await client.execute_command("GET", there) == there.encode()  # by ASK
    assert await client.execute_command("GET", here) == here.encode()
    both = client.eval(
        "redis.call('SET', KEYS[1], 'written'); return redis.call('GET', KEYS[2])", 2, here, there
    )
    with pytest.raises(TryAgainError):
        await both
    finished = asyncio.create_task(client.eval("return redis.call('MGET', KEYS[1], KEYS[2])", 2, here, there))
    await asyncio.sleep(TIMEOUT_SECONDS / 5)
    await source.ask("MIGRATE", "127.0.0.1", target.port, here, 0, 5000)
    for node in (target, source):
        await node.ask("CLUSTER", "SETSLOT", slot, "NODE", names[id(target)])
    assert await finished == [here.encode(), there.encode()]  # nothing was written meanwhile


async def test_a_command_whose_answer_was_lost_is_not_sent_again(nodes, client) -> None:
    key = "fg:{lost}:count"
    assert await client.execute_command("INCR", key) == 1
    primary, _ = await nodes.of(key)
    os.kill(primary.pid, signal.SIGSTOP)
    try:
        with pytest.raises(RedisError):
            await client.execute_command("INCR", key)  # it has it, and does not answer in time
    finally:
        os.kill(primary.pid, signal.SIGCONT)

    async def answers() -> bool:
        return bool(await client.execute_command("EXISTS", key))

    await eventually(answers, "the node is back")
    assert await client.execute_command("GET", key) == b"2"


async def test_what_is_announced_is_heard_wherever_its_partition_is_and_after_it_moved(nodes, client) -> None:
    heard: list[bytes] = []
    channels = [keys.recorded(number) for number in range(16)]
    announcements = Announcements(client, channels, heard.append)
    listening = asyncio.create_task(announcements.run())
    try:
        await asyncio.wait_for(announcements.subscribed.wait(), 10)

        async def everywhere(word: str) -> None:
            async def all_heard() -> bool:
                for channel in channels:
                    if f"{word} {channel}".encode() not in heard:
                        await client.eval(
                            "return redis.call('SPUBLISH', ARGV[1], ARGV[2])",
                            1,
                            channel,
                            channel,
                            f"{word} {channel}",
                        )
                return {f"{word} {channel}".encode() for channel in channels} <= set(heard)

            await eventually(all_heard, f"{word} is heard on every channel")

        await everywhere("before")
        source, _ = await nodes.of(channels[5])
        target = next(node for node in await moving.primaries(nodes) if node is not source)
        await moving.key_by_key(nodes, channels[5], target)
        await everywhere("after")
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_a_plain_url_to_a_node_of_a_cluster_says_what_to_write(nodes) -> None:
    plain = connect_kernel(f"redis://127.0.0.1:{nodes.nodes[0].port}", Settings())
    try:
        heads = await asyncio.gather(*map(Kernel(plain).head, range(16)), return_exceptions=True)
        refused = [each for each in heads if isinstance(each, MemoryAway)]
        assert refused
        assert all("redis+cluster://" in str(each) for each in refused)
    finally:
        await plain.aclose()


async def test_nodes_that_are_all_away_are_told_as_that() -> None:
    client = connect_kernel("redis+cluster://127.0.0.1:1", Settings(memory_timeout_seconds=TIMEOUT_SECONDS))
    try:
        with pytest.raises(LostConnection, match="no node of the cluster answers"):
            await client.execute_command("GET", "fg:{0}:x")
    finally:
        await client.aclose()
