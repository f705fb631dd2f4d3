"""What peers on Node share: a folder that `make peers` filled, a database and a server process."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from flashguard.embedded.child import end, spawn
from tests.campaign.targets.database import LoopbackPostgres
from tests.campaign.targets.web import Web
from tests.support.ports import free_port

PLANS: Final = Path(__file__).parent / "peers"
START_SECONDS: Final = 240.0
AT_ONCE: Final = 4
"""How many buyers fill their carts at the same time, before the rush."""
T = TypeVar("T")


def peers_folder() -> Path:
    """Return where peers are installed: outside of the repository."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("FLASHGUARD_PEERS") or f"{cache}/flashguard-peers")


class NotInstalledError(Exception):
    """A peer's folder is not filled."""


def install(name: str) -> Path:
    """Install a peer at its pinned version by npm, if it is not there; return its folder."""
    plan, folder = PLANS / name, peers_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (plan / "package.json").read_bytes()
    mark = folder / ".installed"
    for file in plan.iterdir():
        shutil.copy(file, folder / file.name)
    if not mark.exists() or mark.read_bytes() != wanted:
        print(f"{name}: npm installs it into {folder}, which takes minutes", flush=True)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True
        )
        mark.write_bytes(wanted)
    return folder


def version_of(folder: Path, package: str) -> str:
    version: str = json.loads((folder / "node_modules" / package / "package.json").read_text())["version"]
    return version


class NodePeer:
    """One peer's database and its server process."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.folder = peers_folder() / name
        if not (self.folder / ".installed").exists():
            raise NotInstalledError(f"{name} is not installed in {self.folder}: run `make peers`")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secret = secrets.token_hex(16)
        self.database = LoopbackPostgres(scratch / name)
        self.log = scratch / f"{name}.log"
        self._process: Process | None = None

    async def open_database(self) -> None:
        await self.database.start()

    def _env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | {
            "DATABASE_URL": self.database.tcp_url,
            "PORT": str(self.port),
            "SECRET": self.secret,
            "ORIGIN": self.url,
            "NODE_ENV": "production",
            "MEDUSA_DISABLE_TELEMETRY": "true",
            "VENDURE_DISABLE_TELEMETRY": "true",
        }

    async def run(self, *words: str) -> None:
        """Run one command of the peer to its end."""
        process = await self._spawn(words)
        if await asyncio.wait_for(process.wait(), START_SECONDS):
            raise RuntimeError(f"{' '.join(words)} failed:\n{self.log.read_text()[-3000:]}")

    async def serve(self, *words: str, ready: str) -> None:
        """Start the server and return once this path answers."""
        self._process = await self._spawn(words)
        deadline = time.monotonic() + START_SECONDS
        async with Web(self.url) as web:
            while (await web.call("GET", ready)).status != 200:
                if self._process.returncode is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.folder.name} did not start:\n{self.log.read_text()[-3000:]}")
                await asyncio.sleep(0.2)

    async def _spawn(self, words: Iterable[str]) -> Process:
        with self.log.open("ab") as output:
            return await spawn(
                ["node", *words], death_signal=signal.SIGTERM, output=output, env=self._env(), cwd=self.folder
            )

    async def stop(self) -> None:
        if self._process is not None:
            await end(self._process, [(signal.SIGTERM, 15.0)])
        await self.database.stop()


async def some_at_once(make: Callable[[int], Awaitable[T]], count: int) -> list[T]:
    """Make this for each number, a few at the same time; return the results in order."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> T:
        async with turn:
            return await make(number)

    return list(await asyncio.gather(*(one(number) for number in range(count))))
