"""The faults, each in three or four steps: prepare, strike, heal, and where needed put everything back.

A fault is an async generator; each `yield` ends a step. What it leaves to chance comes from the round's seed.
"""

import asyncio
import random
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from lab_stack import LabStack, MemoryNode
from plan import Plan
from processes import Kept, hit
from redis.asyncio import Redis
from up_stack import UpStack

from flashguard.embedded.valkey import find_valkey

KILL, STOP, CONT = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT
CLOCK_SOURCE = Path(__file__).with_name("clock.c")
CLOCK_STEP_NANOSECONDS = 300_000_000
DISK_SIZE_MB = 3
SENTINEL_SECONDS = 15.0


class Scene:
    """What a fault works on."""

    def __init__(self, plan: Plan, up: UpStack | None, lab: LabStack | None) -> None:
        self.plan = plan
        self.rng: random.Random = plan.rng("fault")
        self.struck_at = 0.0
        self.note = ""
        self.expected: set[str] = {plan.also} if plan.also else set()
        """Parts that this fault ends."""
        self._up = up
        self._lab = lab

    @property
    def up(self) -> UpStack:
        assert self._up is not None
        return self._up

    @property
    def lab(self) -> LabStack:
        assert self._lab is not None
        return self._lab

    @property
    def stack(self) -> UpStack | LabStack:
        return self.up if self.plan.stack == "up" else self.lab

    def struck(self) -> None:
        """The moment from which the way back is measured."""
        self.struck_at = time.monotonic()


Fault = Callable[[Scene], AsyncIterator[None]]


def fault_of(kind: str) -> Fault:
    first, *rest = kind.split(" ", 1)
    if "-" in first and first.split("-")[0] in ("api", "recorder") and rest:
        return _link(first, rest[0])
    if first in ("kill", "stop") and kind != "kill up":
        part = rest[0].split()[0]
        return _kill(part) if first == "kill" else _stop(part)
    return _FAULTS[kind]


def possible(kind: str) -> str | None:
    """Why this kind can't be had on this machine; None when it can."""
    if kind == "full disk" and not _can_mount():
        return "mounting a small tmpfs needs root"
    if kind == "api clock steps" and shutil.which("cc") is None:
        return "there is no C compiler"
    return None


def _can_mount() -> bool:
    folder = Path("/tmp/fg-chaos-mount")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True)
    if done.returncode == 0:
        subprocess.run(["umount", str(folder)], check=True)
    return done.returncode == 0


def _kill(part: str) -> Fault:
    async def fault(scene: Scene) -> AsyncIterator[None]:
        yield
        pids = scene.up.processes_of(part)
        if part == "api":
            pids = [scene.rng.choice(pids)]
        else:
            scene.expected.add(part)
            if scene.rng.random() < 0.5:
                pids = pids[:1]  # of PostgreSQL: the postmaster alone, its backends see it die
        scene.up.hit(part, KILL, pids)
        scene.struck()
        yield

    return fault


def _stop(part: str) -> Fault:
    async def fault(scene: Scene) -> AsyncIterator[None]:
        yield
        pids = scene.up.processes_of(part)
        if part == "api":
            pids = [scene.rng.choice(pids)]
        hit(STOP, *pids)
        yield
        hit(CONT, *pids)

    return fault


async def _kill_up(scene: Scene) -> AsyncIterator[None]:
    yield
    scene.expected |= {"valkey", "postgres", "recorder", "api"}
    hit(KILL, scene.up.up)
    scene.struck()
    await scene.up.again()
    yield


async def _flushall(scene: Scene) -> AsyncIterator[None]:
    yield
    client = Redis(unix_socket_path=scene.up.memory_socket)
    await client.flushall()
    if scene.rng.random() < 0.5:
        await client.script_flush()
    scene.struck()
    await client.aclose()
    yield


async def _older_copy(scene: Scene) -> AsyncIterator[None]:
    node = scene.lab.memory
    files, copy = node.home / "appendonlydir", node.data_dir / "older"
    yield
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(files, copy)
    await asyncio.sleep(scene.rng.uniform(0.05, 0.6))
    await node.kill()
    scene.struck()
    shutil.rmtree(files)
    copy.rename(files)
    await node.start()
    yield


async def _cut_file(scene: Scene) -> AsyncIterator[None]:
    node = scene.lab.memory
    yield
    await node.kill()
    scene.struck()
    newest = max(
        (node.home / "appendonlydir").glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3])
    )
    size = newest.stat().st_size
    away = min(size, int(scene.rng.choice([1, 7, 100, 3_000, 40_000]) * scene.rng.uniform(0.5, 1.5)) + 1)
    with newest.open("r+b") as file:
        file.truncate(size - away)
    scene.note = f"{away} of {size} bytes cut"
    await node.start()
    yield


async def _failover_by_hand(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    replica = await lab.replicate(through_proxy=True)
    yield
    lab.links["replica-valkey"].hold_back()
    await asyncio.sleep(scene.rng.uniform(0.02, 0.5))
    blind = scene.rng.random() < 0.5
    if blind:  # lost ids are given out again before any recorder looks
        hit(STOP, lab.recorder.pid)
    old = lab.memory
    await old.kill()
    scene.struck()
    lab.links["replica-valkey"].cut(refuse=True)
    await replica.ask("REPLICAOF", "NO", "ONE")
    lab.switch_memory()
    yield
    if blind:
        hit(CONT, lab.recorder.pid)
        scene.struck()
    lab.links["replica-valkey"].heal()
    await old.kill_and_forget()


async def _failover_by_sentinel(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    replica = await lab.replicate(through_proxy=False)
    sentinel = await Sentinel.start(lab.folder / "sentinel", lab.memory.port)
    await sentinel.until(lambda fields: fields.get("num-slaves") == "1" or fields.get("num-replicas") == "1")
    yield
    old = lab.memory
    hangs = scene.rng.random() < 0.5
    hit(STOP if hangs else KILL, old.pid)
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
        """Waits until what Sentinel knows of the primary is so."""
        async with asyncio.timeout(SENTINEL_SECONDS):
            while True:
                try:
                    raw = await self._client.execute_command("SENTINEL", "MASTER", "shop")
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


async def _postgres_failover(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    old, standby = lab.ledgers
    await standby.follow(old, lab.links["standby-postgres"].place.parent)  # type: ignore[union-attr]
    yield
    lab.links["standby-postgres"].cut(refuse=True)
    await asyncio.sleep(scene.rng.uniform(0.02, 0.5))
    hit(KILL, *[old.pid])
    scene.struck()
    await old.stop_hard()
    await standby.ask("SELECT pg_promote()")
    lab.switch_ledger()
    yield
    lab.links["standby-postgres"].heal()


async def _two_recorders(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    second = Kept("recorder", lab.env_of("recorder"), lab.say)
    await second.start()
    await asyncio.sleep(0.6)  # it has to come up first
    yield
    if scene.rng.random() < 0.5:
        hit(KILL, lab.recorder.pid)
        scene.expected.add("recorder")
    yield
    hit(KILL, second.pid)
    await second.stop()


async def _two_recorders_flushall(scene: Scene) -> AsyncIterator[None]:
    second = Kept("recorder", scene.lab.env_of("recorder"), scene.lab.say)
    await second.start()
    await asyncio.sleep(0.6)  # it has to come up first
    yield
    await scene.lab.memory.ask("FLUSHALL")
    yield
    yield
    hit(KILL, second.pid)
    await second.stop()


async def _full_disk(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    home = lab.memory
    disk = lab.folder / "disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_size_of(home) + DISK_SIZE_MB * 2**20}", "none", disk],
        check=True,
    )
    small = MemoryNode(disk)
    await _move(lab, home, small)
    filler = disk / "filler"
    yield
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    scene.struck()
    yield
    scene.note = "valkey went on" if small.running else "valkey ended"
    filler.unlink()
    if not small.running:
        await small.start()
    else:
        await asyncio.sleep(0.1)
    yield
    await _move(lab, small, home)
    subprocess.run(["umount", disk], check=True)


def _size_of(node: MemoryNode) -> int:
    return sum(path.stat().st_size for path in node.home.rglob("*") if path.is_file())


async def _move(lab: LabStack, source: MemoryNode, target: MemoryNode) -> None:
    """Stops one Valkey and goes on with another that has its files."""
    await source.stop()
    target.data_dir.mkdir(exist_ok=True)
    shutil.rmtree(target.data_dir / "valkey", ignore_errors=True)
    shutil.copytree(
        source.data_dir / "valkey",
        target.data_dir / "valkey",
        ignore=shutil.ignore_patterns("socket", "*.sock"),
    )
    await target.start()
    lab.memories[0] = target
    lab.links["api-valkey"].cut()
    lab.links["recorder-valkey"].cut()


async def _clock_steps(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    clock, library = lab.folder / "clock", lab.folder / "clock.so"
    clock.write_bytes(bytes(8))
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, CLOCK_SOURCE], check=True)
    await lab.api.stop()
    await lab.api.start(LD_PRELOAD=str(library), STEPPED_CLOCK=str(clock))
    yield
    for sign in (1, -1, 0, 1, -1):
        with clock.open("r+b") as file:
            file.write(struct.pack("<q", sign * CLOCK_STEP_NANOSECONDS))
        await asyncio.sleep(scene.plan.lasts / 5)
    yield
    yield
    await lab.api.stop()
    await lab.api.start()


def _link(link: str, mode: str) -> Fault:
    async def fault(scene: Scene) -> AsyncIterator[None]:
        proxy = scene.lab.links[link]
        yield
        if mode == "delay":
            proxy.delay_seconds = scene.rng.uniform(0.05, 0.5)
        elif mode == "drop":
            proxy.hold_back()
        elif mode == "cut":
            proxy.cut(refuse=scene.rng.random() < 0.5)
        else:
            proxy.half_close(towards_server=scene.rng.random() < 0.5)
        yield
        proxy.heal()

    return fault


_FAULTS: dict[str, Fault] = {
    "kill up": _kill_up,
    "flushall": _flushall,
    "older valkey copy": _older_copy,
    "append-only file cut": _cut_file,
    "failover by hand": _failover_by_hand,
    "failover by sentinel": _failover_by_sentinel,
    "postgres failover": _postgres_failover,
    "two recorders": _two_recorders,
    "two recorders, flushall": _two_recorders_flushall,
    "full disk": _full_disk,
    "api clock steps": _clock_steps,
}
