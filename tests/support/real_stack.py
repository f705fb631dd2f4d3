"""FlashGuard as processes that a test may kill, stop and start: servers, recorders, an API."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from flashguard.embedded import EmbeddedServers
from flashguard.kernel import keys
from flashguard.ledger import Ledger
from flashguard.model import SaleId, partition_of
from tests.support.eventually import eventually
from tests.support.forked import Flashguard
from tests.support.ledgers import PARTITIONS, put_ledger
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, READY_SECONDS, Answer, Service, clean_env, stop


class Stack:
    """Servers, recorder and API. `memory` is a client of the test's own."""

    def __init__(self, servers: EmbeddedServers, http: aiohttp.ClientSession, **settings: str) -> None:
        self.servers = servers
        self._http = http
        self.port = free_port()
        self.service = Service(f"http://127.0.0.1:{self.port}", servers, http)
        self.memory = Redis.from_url(servers.redis_url)
        self.children: dict[str, Flashguard] = {}
        self._env = clean_env(
            FLASHGUARD_REDIS_URL=servers.redis_url,
            FLASHGUARD_DATABASE_URL=servers.database_url,
            FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
            FLASHGUARD_PORT=str(self.port),
            FLASHGUARD_LOG_LEVEL="warning",
            PYTHONUNBUFFERED="1",
            **settings,
        )

    def start(self, name: str, command: str | None = None, **more: str) -> None:
        """Starts `flashguard <command>` as the child of this name."""
        self.children[name] = Flashguard(command or name, env=self._env | more)

    async def end(self, name: str, number: int = signal.SIGKILL) -> None:
        """Ends a child with this signal."""
        child = self.children.pop(name)
        child.send_signal(number)
        await stop(child)

    async def ready(self) -> float:
        return await eventually(self.service.ready, "the service is ready", READY_SECONDS)

    def hang(self, pid: int) -> None:
        """Stops a server, its children too, until `go_on`."""
        for each in family(pid):
            with contextlib.suppress(ProcessLookupError):  # PostgreSQL's helpers come and go
                os.kill(each, signal.SIGSTOP)

    def go_on(self, pid: int) -> None:
        for each in family(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)

    def partition(self, sale: str) -> int:
        return partition_of(SaleId(sale), PARTITIONS)

    async def head(self, sale: str) -> dict[str, str]:
        raw = await self.memory.hgetall(keys.partition(self.partition(sale)))
        return {name.decode(): value.decode() for name, value in raw.items()}

    async def epoch(self, sale: str) -> int:
        return int((await self.head(sale)).get("epoch", 0))

    async def recorded(self, sale: str) -> None:
        """Waits until the ledger has all that memory decided for this sale's partition."""
        ledger = await Ledger.connect(self.servers.database_url)

        async def same() -> bool:
            position = await ledger.positions.get(self.partition(sale))
            head = await self.head(sale)
            return (str(position.epoch), str(position.seq)) == (head.get("epoch"), head.get("seq"))

        await eventually(same, "all is recorded")
        await ledger.close()

    async def copy(self, sale: str) -> dict[str, bytes]:
        """What memory has of a sale and its partition, as a replica would."""
        number = self.partition(sale)
        names = [keys.partition(number), keys.journal(number), *keys.sale(number, SaleId(sale))]
        return {name: await self.memory.dump(name) for name in names}

    async def put_back(self, older: dict[str, bytes]) -> None:
        """Memory falls back to a copy, as when a stale replica is promoted."""
        async with self.memory.pipeline(transaction=True) as all_at_once:
            for name, value in older.items():
                all_at_once.restore(name, 0, value, replace=True)
            await all_at_once.execute()

    async def rebuilt(self, sale: str, before: int) -> None:
        """Waits until the partition is open under a newer epoch."""

        async def newer() -> bool:
            head = await self.head(sale)
            return head.get("epoch", "").isdigit() and int(head["epoch"]) > before and "fence" not in head

        await eventually(newer, "memory is built again")

    async def retried(self, call: Callable[[], Awaitable[Answer]], seconds: float = 20.0) -> Answer:
        """What a client that retries as told is answered in the end: after 503 and 409 in flight."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = await call()
                told = answer.status == 503 or (
                    answer.status == 409 and answer.body["code"] == "request-in-flight"
                )
                if not told:
                    return answer
                assert "Retry-After" in answer.headers
            except (aiohttp.ClientError, ConnectionError):
                answer = None
            assert time.monotonic() < deadline, answer
            await asyncio.sleep(0.05)

    def at(self, url: str) -> Service:
        """The service at another address."""
        return Service(url, self.servers, self._http)

    async def once(self, call: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """The answer; None when the connection was refused or cut."""
        try:
            return await call()
        except (aiohttp.ClientError, OSError):
            return None

    async def metric(self, name: str) -> float:
        text = (await self.service.call("GET", "/metrics", admin=True)).body
        return next(
            float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ")
        )

    async def confirm(self, reservation: str) -> dict[str, Any]:
        """The order, from a client that retries as told."""
        return (await self.retried(lambda: self.service.verb(reservation, "confirm"))).ok()

    async def readiness(self) -> dict[str, Any]:
        body = (await self.service.call("GET", "/readyz")).body
        return json.loads(body) if isinstance(body, str) else body


def family(pid: int) -> list[int]:
    """A process and its children: of PostgreSQL, every backend."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@asynccontextmanager
async def started(http: aiohttp.ClientSession, **settings: str) -> AsyncIterator[Stack]:
    """A whole stack in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="fg-fault-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        put_ledger(folder / "data")
        async with EmbeddedServers(folder / "data") as servers:
            stack = Stack(servers, http, **settings)
            stack.start("recorder")
            stack.start("api")
            try:
                await stack.ready()
                yield stack
            finally:
                for pid in (servers.valkey.pid, servers.postgres.pid):
                    if Path(f"/proc/{pid}").exists():
                        stack.go_on(pid)
                for name in sorted(stack.children):
                    await stack.end(name, signal.SIGINT if name.startswith("api") else signal.SIGTERM)
                await stack.memory.aclose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
