"""Installations on a real cluster, and on a primary that real Sentinels watch; and their faults."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING

from flashguard.embedded import EmbeddedPostgres
from flashguard.kernel import keys
from flashguard.ledger import Ledger
from flashguard.model import SaleId, partition_of
from tests.campaign.lab_stack import PARTITIONS
from tests.campaign.processes import Kept, clean_env, hit, workers
from tests.campaign.up_stack import ADMIN_KEY
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.stacks import cluster, moving, sentinel
from tests.support.stacks.nodes import Node

if TYPE_CHECKING:
    from tests.campaign.scene import Scene


class TopologyStack(ABC):
    """An api with two workers and a recorder, all with `flashguard`'s own client of the topology."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.ledger = EmbeddedPostgres(folder / "ledger")
        self._open = contextlib.AsyncExitStack()
        self._log = folder / "parts.log"

    @abstractmethod
    async def memory(self, open_: contextlib.AsyncExitStack) -> str:
        """Start the servers; return FLASHGUARD_REDIS_URL."""

    @property
    def database_url(self) -> str:
        return self.ledger.url

    def say(self, name: str, line: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{time.time():.3f} {name:<10} | {line}\n")

    async def start(self) -> None:
        self.folder.mkdir(mode=0o755, exist_ok=True)
        redis_url = await self.memory(self._open)
        await self.ledger.start()
        ledger = await Ledger.connect(self.ledger.url)
        await ledger.migrate(PARTITIONS)
        await ledger.close()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        env = clean_env(
            FLASHGUARD_REDIS_URL=redis_url,
            FLASHGUARD_DATABASE_URL=self.ledger.url,
            FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
            FLASHGUARD_PORT=str(port),
            FLASHGUARD_WORKERS="2",
            FLASHGUARD_CLOSED_SALE_HOURS="0",
            FLASHGUARD_LOG_LEVEL="warning",
            FLASHGUARD_SIMULATIONS="false",
            FLASHGUARD_MEMORY_TIMEOUT_SECONDS="1",
            FLASHGUARD_RECORD_TIMEOUT_SECONDS="4",
            PYTHONUNBUFFERED="1",
        )
        self.recorder = Kept("recorder", env, self.say)
        self.api = Kept("api", env, self.say)
        await self.recorder.start()
        await self.api.start()

    async def go_on(self) -> None:  # noqa: B027 - its parts are kept running anyway
        """Continue after a round."""

    async def stop(self) -> None:
        await self.api.stop()
        await self.recorder.stop()
        await self._open.aclose()
        await self.ledger.stop()

    def processes_of(self, part: str) -> list[int]:
        return workers(self.api.pid) if part == "api" else [self.recorder.pid]

    def watch_ends(self) -> Callable[[], set[str]]:
        """Return a function that names the parts that ended since now."""
        parts = (self.api, self.recorder)
        before = [part.ended for part in parts]
        return lambda: {part.name for part, then in zip(parts, before, strict=True) if part.ended > then}


class ClusterStack(TopologyStack):
    name = "cluster"

    async def memory(self, open_: contextlib.AsyncExitStack) -> str:
        self.cluster = await open_.enter_async_context(cluster.started(self.folder / "memory"))
        return str(self.cluster.url)


class SentinelStack(TopologyStack):
    name = "sentinel"

    async def memory(self, open_: contextlib.AsyncExitStack) -> str:
        self.watched = await open_.enter_async_context(sentinel.started(self.folder / "memory"))
        return str(self.watched.url)


def _home(scene: "Scene") -> str:
    """Return a key of the partition of the round's sale."""
    return keys.partition(partition_of(SaleId(scene.sale), PARTITIONS))


async def primary_killed(scene: "Scene") -> AsyncIterator[None]:
    the = scene.cluster.cluster
    yield
    primary, [replica] = await the.of(_home(scene))
    await _lag(scene, primary, [replica])
    await primary.kill()
    hit(SIGCONT, replica.pid)
    scene.struck()
    yield
    yield
    await primary.restart()
    await the.settled()


async def failed_over_by_hand(scene: "Scene") -> AsyncIterator[None]:
    the = scene.cluster.cluster
    yield
    _, [replica] = await the.of(_home(scene))
    scene.struck()
    await replica.ask("CLUSTER", "FAILOVER")
    await eventually(lambda: _is_primary(replica), "the replica has taken over")
    yield
    yield
    await the.settled()


async def slots_move(scene: "Scene") -> AsyncIterator[None]:
    the = scene.cluster.cluster
    yield
    source, _ = await the.of(_home(scene))
    others = [node for node in await moving.primaries(the) if node is not source]
    scene.struck()
    if scene.rng.random() < 0.5:
        scene.note = "key by key"
        await moving.key_by_key(the, _home(scene), scene.rng.choice(others), pause=scene.rng.uniform(0, 0.05))
    else:
        scene.note = "atomically"
        await moving.atomically(the, _home(scene), scene.rng.choice(others))
    scene.note += f", {time.monotonic() - scene.struck_at:.2f} s"
    scene.struck()
    yield


async def sentinels_fail_over(scene: "Scene") -> AsyncIterator[None]:
    the = scene.sentinel.watched
    yield
    primary = await the.primary()
    how = scene.rng.choice(["killed", "hangs", "by hand"])
    replicas = [node for node in the.servers if node is not primary]
    if how != "by hand":
        await _lag(scene, primary, replicas)
    if how == "by hand":
        await the.sentinels[0].ask("SENTINEL", "FAILOVER", sentinel.SERVICE)
    else:
        hit(SIGKILL if how == "killed" else SIGSTOP, primary.pid)
    hit(SIGCONT, *(replica.pid for replica in replicas))
    scene.struck()
    yield

    async def switched() -> bool:
        return {await each.primary() for each in the.sentinels} != {primary.port}

    await eventually(switched, "the Sentinels have a new primary")
    if how == "by hand":
        scene.struck()
    scene.note += f"{how}, the Sentinels took {time.monotonic() - scene.struck_at:.2f} s"
    yield
    if how == "killed":
        await primary.restart()
    hit(SIGCONT, primary.pid)
    await the.put_back()


async def _lag(scene: "Scene", primary: Node, replicas: list[Node]) -> None:
    """In half of the rounds make the replicas miss the newest writes: stop them and cut their links."""
    if scene.rng.random() < 0.5:
        hit(SIGSTOP, *(replica.pid for replica in replicas))
        await primary.ask("CLIENT", "KILL", "TYPE", "REPLICA")
        await asyncio.sleep(scene.rng.uniform(0.02, 0.3))
        scene.note = "replicas behind "


async def _is_primary(node: Node) -> bool:
    return bool((await node.info())["role"] == "master")


FAULTS = {
    "cluster primary killed": primary_killed,
    "cluster failover by hand": failed_over_by_hand,
    "slots move": slots_move,
    "failover by our own Sentinel client": sentinels_fail_over,
}
__all__ = ["FAULTS", "ClusterStack", "SentinelStack", "TopologyStack"]
