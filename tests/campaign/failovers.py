"""Faults in which a replica takes over: by hand, by Sentinel, and the ledger's standby."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

from redis.asyncio import Redis

from flashguard.embedded.valkey import find_valkey
from tests.campaign.processes import hit
from tests.campaign.scene import Scene

SENTINEL_SECONDS = 15.0


async def failover_by_hand(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    replica = await lab.replicate(through_proxy=True)
    yield
    blind, early = scene.rng.random() < 0.5, scene.rng.random() < 0.5
    if blind and early:  # the replica has entries that are not recorded yet, and lacks later ones
        hit(SIGSTOP, lab.recorder.pid)
        await asyncio.sleep(scene.rng.uniform(0.02, 0.3))
    lab.links["replica-valkey"].hold_back()
    await asyncio.sleep(scene.rng.uniform(0.02, 0.5))
    if blind:  # lost ids are used again before any recorder reads the journal
        hit(SIGSTOP, lab.recorder.pid)
    old = lab.memory
    await old.kill()
    scene.struck()
    lab.links["replica-valkey"].cut(refuse=True)
    await replica.ask("REPLICAOF", "NO", "ONE")
    lab.switch_memory()
    yield
    if blind:
        hit(SIGCONT, lab.recorder.pid)
        scene.struck()
    lab.links["replica-valkey"].heal()
    await old.kill_and_forget()


async def failover_by_sentinel(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    replica = await lab.replicate(through_proxy=False)
    sentinel = await Sentinel.start(lab.folder / "sentinel", lab.memory.port)
    await sentinel.until(lambda fields: fields.get("num-slaves") == "1" or fields.get("num-replicas") == "1")
    yield
    old = lab.memory
    hangs = scene.rng.random() < 0.5
    hit(SIGSTOP if hangs else SIGKILL, old.pid)
    scene.struck()
    await sentinel.until(lambda fields: fields.get("port") == str(replica.port))
    lab.switch_memory()
    scene.note = f"sentinel took {time.monotonic() - scene.struck_at:.2f} s"
    scene.struck()
    yield
    await sentinel.stop()
    await old.kill_and_forget()


class Sentinel:
    """One Valkey Sentinel that watches one primary."""

    def __init__(self, process: "asyncio.subprocess.Process", client: "Redis") -> None:
        self._process = process
        self._client = client

    @classmethod
    async def start(cls, folder: Path, primary_port: int) -> "Sentinel":
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        place = folder / "socket"
        (folder / "sentinel.conf").write_text(
            f"port 0\nunixsocket {place}\ndir {folder}\n"
            f"sentinel monitor shop 127.0.0.1 {primary_port} 1\n"
            "sentinel down-after-milliseconds shop 300\nsentinel failover-timeout shop 3000\n"
        )
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(find_valkey()), str(folder / "sentinel.conf"), "--sentinel", stdout=log, stderr=log
            )
        sentinel = cls(process, Redis(unix_socket_path=str(place), decode_responses=True))
        await sentinel.until(lambda fields: fields.get("flags") == "master")
        return sentinel

    async def until(self, holds: Callable[[dict[str, str]], bool]) -> None:
        """Wait until Sentinel's knowledge of the primary meets this condition."""
        async with asyncio.timeout(SENTINEL_SECONDS):
            while True:
                try:
                    raw = await self._client.execute_command("SENTINEL", "MASTER", "shop")  # type: ignore[no-untyped-call]
                    fields = raw if isinstance(raw, dict) else dict(zip(raw[::2], raw[1::2], strict=True))
                    if holds({str(name): str(value) for name, value in fields.items()}):
                        return
                except (OSError, ConnectionError, TypeError):
                    pass
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        await self._client.aclose()
        self._process.kill()
        await self._process.wait()


async def postgres_failover(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    old, standby = lab.ledgers
    await standby.follow(old, lab.links["standby-postgres"].place.parent)  # type: ignore[union-attr]
    yield
    lab.links["standby-postgres"].cut(refuse=True)
    await asyncio.sleep(scene.rng.uniform(0.02, 0.5))
    hit(SIGKILL, *[old.pid])
    scene.struck()
    await old.stop_hard()
    await standby.ask("SELECT pg_promote()")
    lab.switch_ledger()
    yield
    lab.links["standby-postgres"].heal()
