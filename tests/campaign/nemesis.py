"""The faults, each in three or four steps: prepare, strike, heal, and if needed restore everything.

A fault is an async generator; each `yield` ends a step. Random choices come from the round's seed.
"""

import asyncio
import shutil
import signal
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from redis.asyncio import Redis

from tests.campaign.disks import cut_file, full_disk, older_copy
from tests.campaign.failovers import failover_by_hand, failover_by_sentinel, postgres_failover
from tests.campaign.processes import Kept, hit
from tests.campaign.scene import Scene
from tests.campaign.topologies import FAULTS as TOPOLOGY_FAULTS

KILL, STOP, CONT = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT
CLOCK_SOURCE = Path(__file__).with_name("clock.c")
CLOCK_STEP_NANOSECONDS = 300_000_000


Fault = Callable[[Scene], AsyncIterator[None]]


def fault_of(kind: str) -> Fault:
    if kind in TOPOLOGY_FAULTS:
        return TOPOLOGY_FAULTS[kind]
    first, *rest = kind.split(" ", 1)
    if "-" in first and first.split("-")[0] in ("api", "recorder") and rest:
        return _link(first, rest[0])
    if first in ("kill", "stop") and kind != "kill up":
        part = rest[0].split()[0]
        return _kill(part) if first == "kill" else _stop(part)
    return _FAULTS[kind]


def possible(kind: str) -> str | None:
    """Return why this kind is impossible on this machine; None if it is possible."""
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
                pids = pids[:1]  # of PostgreSQL only the postmaster: its backends notice that it dies
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
    scene.expected |= {"valkey", "postgres", "recorder", "deliverer", "api"}
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


async def _two_recorders(scene: Scene) -> AsyncIterator[None]:
    lab = scene.lab
    second = Kept("recorder", lab.env_of("recorder"), lab.say)
    await second.start()
    await asyncio.sleep(0.6)  # it must start first
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
    await asyncio.sleep(0.6)  # it must start first
    yield
    stopped = scene.rng.choice([None, second.pid, scene.lab.recorder.pid])
    if stopped is not None:  # what one of them records may follow from what is lost of the other one
        hit(STOP, stopped)
        await asyncio.sleep(scene.rng.uniform(0.2, 1.0))
    await scene.lab.memory.ask("FLUSHALL")
    yield
    if stopped is not None:
        hit(CONT, stopped)
    yield
    hit(KILL, second.pid)
    await second.stop()


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
    "older valkey copy": older_copy,
    "append-only file cut": cut_file,
    "failover by hand": failover_by_hand,
    "failover by sentinel": failover_by_sentinel,
    "postgres failover": postgres_failover,
    "two recorders": _two_recorders,
    "two recorders, flushall": _two_recorders_flushall,
    "full disk": full_disk,
    "api clock steps": _clock_steps,
}
