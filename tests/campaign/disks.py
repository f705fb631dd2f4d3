"""Faults of memory's files: an older copy, a torn end, a full disk."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator

from tests.campaign.lab_stack import LabStack, MemoryNode
from tests.campaign.scene import Scene

DISK_SIZE_MB = 3
LAST_WRITE_LOOKS = 5


async def older_copy(scene: Scene) -> AsyncIterator[None]:
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


async def cut_file(scene: Scene) -> AsyncIterator[None]:
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


async def full_disk(scene: Scene) -> AsyncIterator[None]:
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
    filler.unlink()
    for _ in range(LAST_WRITE_LOOKS):  # a write may be failing at this very moment
        if not small.running:
            break
        await asyncio.sleep(0.1)
    scene.note = "valkey went on" if small.running else "valkey ended"
    if not small.running:
        await small.start()
    yield
    await _move(lab, small, home)
    subprocess.run(["umount", disk], check=True)


def _size_of(node: MemoryNode) -> int:
    return sum(path.stat().st_size for path in node.home.rglob("*") if path.is_file())


async def _move(lab: LabStack, source: MemoryNode, target: MemoryNode) -> None:
    """Stop one Valkey and continue with another that has its files."""
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
