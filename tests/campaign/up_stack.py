"""The installation of `flashguard up`: everything embedded, restarted by `up` itself."""

import asyncio
import re
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiohttp

from flashguard.embedded.child import end, spawn
from flashguard.embedded.run_file import Run, find_run
from tests.campaign.processes import FLASHGUARD, children, clean_env, hit, workers
from tests.support.ports import free_port

ADMIN_KEY = "chaos"
READY_SECONDS = 60.0
START_SECONDS = 240.0
"""A bound only: on a busy machine a first start takes a minute."""
ENDED = re.compile(r"(\w+) ended with exit code")


class UpStack:
    """One `flashguard up` with two api workers, on its own data directory, with these settings."""

    name = "up"

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.output = folder / "up.log"
        self.port = free_port()
        self._settings = settings
        self._process: Process | None = None

    async def start(self) -> None:
        self.folder.mkdir(mode=0o755, exist_ok=True)
        env = clean_env(
            FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
            FLASHGUARD_CLOSED_SALE_HOURS="0",
            FLASHGUARD_LOG_LEVEL="warning",
            FLASHGUARD_SIMULATIONS="false",
            PYTHONUNBUFFERED="1",
            **self._settings,
        )
        options = ("--no-demo", "--port", str(self.port), "--workers", "2", "--data-dir", str(self.data_dir))
        with self.output.open("ab") as output:
            self._process = await spawn(
                [*FLASHGUARD, "up", *options], death_signal=signal.SIGTERM, output=output, env=env
            )

    async def stop(self) -> None:
        if self._process is not None:
            await end(self._process, [(signal.SIGTERM, 20.0)])

    async def go_on(self) -> None:
        """Start `up` again if it gave up."""
        if self._process is None or self._process.returncode is not None:
            await self.start()

    async def again(self) -> None:
        """Start `up` again after it was killed."""
        assert self._process is not None
        await self._process.wait()
        await self.start()

    @property
    def url(self) -> str:
        """Return its current address: after a crash the old api may keep its port for some seconds."""
        run = find_run(self.data_dir)
        return run.url if run is not None else f"http://127.0.0.1:{self.port}"

    @property
    def run(self) -> Run:
        run = find_run(self.data_dir)
        assert run is not None, "flashguard up does not run"
        return run

    @property
    def database_url(self) -> str:
        return self.run.database_url

    @property
    def memory_socket(self) -> str:
        return unquote(urlsplit(self.run.redis_url).path)

    @property
    def up(self) -> int:
        assert self._process is not None
        return self._process.pid

    def processes_of(self, part: str) -> list[int]:
        """Return a part's processes: all of PostgreSQL, or the api's workers."""
        pid = self.run.pids[part]
        if part == "postgres":
            return [pid, *children(pid)]
        return workers(pid) if part == "api" else [pid]

    def hit(self, part: str, number: signal.Signals, pids: list[int] | None = None) -> list[int]:
        pids = self.processes_of(part) if pids is None else pids
        hit(number, *pids)
        return pids

    def watch_ends(self) -> Callable[[], set[str]]:
        """Return a function that names the parts that ended since now, from the output of `up`."""
        place = self.output.stat().st_size

        def ended() -> set[str]:
            with self.output.open("rb") as output:
                output.seek(place)
                return set(ENDED.findall(output.read().decode(errors="replace")))

        return ended


class HasUrl(Protocol):
    @property
    def url(self) -> str: ...


async def until_ready(stack: "HasUrl", seconds: float = READY_SECONDS) -> float:
    """Wait until /readyz of an installation answers 200; return how long it took."""
    started = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
        while True:
            try:
                async with http.get(f"{stack.url}/readyz") as answer:
                    if answer.status == 200:
                        return time.monotonic() - started
                    text = await answer.text()
            except (aiohttp.ClientError, TimeoutError) as error:
                text = repr(error)
            if time.monotonic() - started > seconds:
                raise TimeoutError(f"{stack.url} is not ready after {seconds:g} s: {text}")
            await asyncio.sleep(0.05)
