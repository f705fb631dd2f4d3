"""Everything that runs during a benchmark: real servers, the service, its rivals.

All are child processes, and the operating system ends them when this process dies.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import aiohttp
import asyncpg
from redis.asyncio import Redis

from flashguard.embedded import EmbeddedServers
from flashguard.embedded.child import end, spawn
from flashguard.errors import FlashGuardError
from flashguard.kernel import keys
from flashguard.ledger import Ledger
from flashguard.simulator.plan import LANE, stands_behind
from flashguard.simulator.run import SERVICES

READY_SECONDS = 60.0
STOP_SECONDS = 8.0
PARTITIONS = 16
SCARCE_STOCK = {"skip-locked": 200_000}
"""One row per unit: setting up more would take longer than measuring."""
PLENTY = 50_000_000
WAL_FILES = 16
"""Of 16 MB: enough for 500,000 orders until the next checkpoint."""
MAX_BODY_BYTES = 4 * 1024 * 1024
"""The growth scenario creates a sale of 10,000 items in one call."""
BASKET = '{"customer":"%s","items":[{"sku":"%s","quantity":1}]}'
CLICK = '{"customer":"%s"}'


@dataclass(frozen=True)
class Target:
    """What wrk sends requests to, and the processes whose CPU counts."""

    name: str
    url: str
    script: str
    variables: dict[str, str]
    parts: dict[str, int] = field(repr=False)
    good: tuple[str, ...] = ("201",)
    """The answers that the scenario expects; any other is an error."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class House:
    """The two servers, migrated; more children on demand."""

    def __init__(self, folder: Path) -> None:
        self.servers = EmbeddedServers(folder / "data")
        self.log = folder / "children.log"
        self.bytecode = folder / "bytecode"
        self.program = "flashguard"
        """The module that runs recorders and APIs."""
        self.admin_key = f"bench-{secrets.token_hex(16)}"

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of the product's processes: that of `flashguard up`, in production mode.

        pip and the image install compiled modules; the first child compiles those of this tree, so that no
        measured start compiles.
        """
        bare = {name: value for name, value in os.environ.items() if not name.startswith("FLASHGUARD_")}
        return bare | {
            "FLASHGUARD_REDIS_URL": self.servers.redis_url,
            "FLASHGUARD_DATABASE_URL": self.servers.database_url,
            "FLASHGUARD_EMBEDDED": "true",
            "FLASHGUARD_MODE": "production",
            "FLASHGUARD_ADMIN_KEY": self.admin_key,
            "FLASHGUARD_LOG_LEVEL": "warning",
            "FLASHGUARD_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
            "PYTHONPYCACHEPREFIX": str(self.bytecode),
            "PYTHONDONTWRITEBYTECODE": "",
        }

    @property
    def server_parts(self) -> dict[str, int]:
        return {"valkey": self.servers.valkey.pid, "postgres": self.servers.postgres.pid}

    async def __aenter__(self) -> "House":
        await self.servers.__aenter__()
        try:
            ledger = await Ledger.connect(self.servers.database_url)
            await ledger.migrate(PARTITIONS)
            await ledger.close()
            await self._run_in()
        except BaseException:
            await self.servers.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.servers.stop()

    async def _run_in(self) -> None:
        """Give PostgreSQL the WAL files to reuse that it has after its first checkpoints. Otherwise it makes
        a new one every 16 MB, some 30,000 orders, and every commit waits 20 to 40 ms for it."""
        connection = await self.database()
        try:
            await connection.execute(f"ALTER SYSTEM SET min_wal_size = '{16 * WAL_FILES}MB'")
            await connection.execute("SELECT pg_reload_conf()")
            for _ in range(WAL_FILES):
                await connection.execute("CREATE TEMPORARY TABLE fills (x int); DROP TABLE fills")
                await connection.execute("SELECT pg_switch_wal()")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    @asynccontextmanager
    async def child(
        self, module: str, *arguments: str, env: dict[str, str] | None = None, more: Sequence[str] = ()
    ) -> AsyncIterator[Any]:
        """Run `python -m module arguments` until this context ends."""
        with self.log.open("ab") as log:
            process = await spawn(
                [sys.executable, "-m", module, *arguments, *more],
                death_signal=SIGTERM if module == self.program else SIGKILL,
                output=log,
                env=env or self.env,
                cwd=Path(__file__).parents[1],
            )
        try:
            yield process
        finally:
            await end(process, [(SIGINT, STOP_SECONDS), (SIGTERM, STOP_SECONDS)])

    @asynccontextmanager
    async def recorder(self) -> AsyncIterator[int]:
        async with self.child(self.program, "recorder") as process:
            yield process.pid

    @asynccontextmanager
    async def api(self, recorder_pid: int, *, workers: int = 1) -> AsyncIterator["Service"]:
        """Run an API on these servers; the recorder is shared."""
        port = free_port()
        async with self.child(self.program, "api", "--port", str(port), "--workers", str(workers)) as process:
            url = f"http://127.0.0.1:{port}"
            await self.answers(f"{url}/readyz", process, "the API")
            name = "flashguard" if workers == 1 else f"flashguard×{workers}"
            service = Service(
                name, url, self.admin_key, {"api": process.pid, "recorder": recorder_pid} | self.server_parts
            )
            async with service:
                yield service

    @asynccontextmanager
    async def rival(self, strategy: str, *, workers: int = 1) -> AsyncIterator[Target]:
        """Run a strategy of the simulator as a separate service; behind the lane if its name says so."""
        port, schema = free_port(), f"flashguard_bench_{secrets.token_hex(6)}"
        behind, plain = stands_behind(strategy), strategy.removesuffix(LANE)
        stock = SCARCE_STOCK.get(plain, PLENTY)
        request = {"PATH": "/buy", "BODY": CLICK}
        if behind == "lane":
            request = {"PATH": "/v1/sales/rival/orders", "BODY": BASKET, "AUTH": f"Bearer {self.admin_key}"}
        async with self.child(
            SERVICES[behind], "--strategy", plain, "--stock", str(stock),
            "--schema", schema, "--port", str(port), "--workers", str(workers),
        ) as process:  # fmt: skip
            url = f"http://127.0.0.1:{port}"
            await self.answers(f"{url}/truth", process, strategy)
            yield Target(
                strategy if workers == 1 else f"{strategy}×{workers}", url, "press",
                request | {"SCHEMA": schema}, {"api": process.pid} | self.server_parts,
            )  # fmt: skip

    @asynccontextmanager
    async def small(self, name: str) -> AsyncIterator[Target]:
        """Run one of `bench.rivals`: the floor, or a hold with one EVALSHA per request."""
        port = free_port()
        async with self.child(f"bench.rivals.{name}", str(port), self.servers.redis_url) as process:
            url = f"http://127.0.0.1:{port}"
            await self.answers(f"{url}/truth", process, name)
            yield Target(
                name.replace("_", "-"), url, "press",
                {"PATH": "/hold", "BODY": CLICK}, {"api": process.pid} | self.server_parts,
            )  # fmt: skip

    @asynccontextmanager
    async def bare(self, *, workers: int = 1) -> AsyncIterator[Target]:
        """Run `bench.rivals.sql_batched_bare`: PostgreSQL alone, grouped, without a framework."""
        name, port = "sql-batched-bare", free_port()
        schema = f"flashguard_bench_{secrets.token_hex(6)}"
        async with self.child("bench.rivals.sql_batched_bare", str(port), schema, str(workers)) as process:
            url = f"http://127.0.0.1:{port}"
            await self.answers(f"{url}/truth", process, name)
            yield Target(
                name if workers == 1 else f"{name}×{workers}", url, "press",
                {"PATH": "/buy", "BODY": CLICK, "SCHEMA": schema}, {"api": process.pid} | self.server_parts,
            )  # fmt: skip

    @asynccontextmanager
    async def memory(self) -> AsyncIterator[Redis]:
        redis = Redis.from_url(self.servers.redis_url, protocol=2)
        try:
            yield redis
        finally:
            await redis.aclose()

    async def versions(self) -> dict[str, str]:
        """Return the versions of the two servers."""
        connection = await self.database()
        try:
            postgres = connection.get_server_version()
        finally:
            await connection.close()
        async with self.memory() as redis:
            server = await redis.info("server")
        return {"postgresql": f"{postgres.major}.{postgres.minor}", "valkey": server["valkey_version"]}

    async def database(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self.servers.database_url)

    async def bytes_kept(self) -> int:
        """Return Valkey's memory in bytes without the journals, whose length is bounded."""
        async with self.memory() as redis:
            memory = await redis.info("memory")
            journals = [
                await redis.memory_usage(keys.journal(partition), samples=0) or 0
                for partition in range(PARTITIONS)
            ]
        return int(memory["used_memory_dataset"]) - sum(journals)

    async def answers(self, url: str, process: Any, what: str) -> None:
        """Wait until a child answers 200.

        Raises:
            FlashGuardError: the child ended, or took too long.
        """
        deadline = time.monotonic() + READY_SECONDS
        async with aiohttp.ClientSession() as http:
            while time.monotonic() < deadline and process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)
        raise FlashGuardError(f"{what} did not start; the end of {self.log}:\n{self.log_end()}")

    def log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


class Service:
    """A running FlashGuard API, and its admin's calls."""

    def __init__(self, name: str, url: str, admin_key: str, parts: dict[str, int]) -> None:
        self.name = name
        self.url = url
        self.parts = parts
        self.authorization = f"Bearer {admin_key}"

    async def __aenter__(self) -> "Service":
        self._http = aiohttp.ClientSession(
            headers={"Authorization": self.authorization}, timeout=aiohttp.ClientTimeout(total=60)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Make a call that must succeed, and return its answer: the newest state."""
        newest = {"Cache-Control": "no-cache"}
        async with self._http.request(method, f"{self.url}{path}", json=body, headers=newest) as answer:
            said: dict[str, Any] = await answer.json(content_type=None)
            if answer.status >= 300:
                raise FlashGuardError(f"{method} {path}: {answer.status} {said}")
            return said

    async def sale(
        self, *, stock: int = PLENTY, skus: int = 0, id_: str | None = None, hold_seconds: int = 3600
    ) -> str:
        """Create and open a sale of one item "unit", or of "unit-0", "unit-1" and so on."""
        sale = id_ or f"bench-{secrets.token_hex(6)}"
        items = [
            {"sku": sku, "name": sku, "price_minor": 1999, "currency": "EUR", "stock": stock}
            for sku in ([f"unit-{n}" for n in range(skus)] if skus else ["unit"])
        ]
        more = {"hold_seconds": hold_seconds, "limit_per_customer": 4, "items": items}
        await self.call("POST", "/v1/sales", {"id": sale, "name": "Benchmark"} | more)
        await self.call("POST", f"/v1/sales/{sale}/open")
        return sale

    def press(self, sale: str, noun: str, **more: str) -> Target:
        """Return the address for holds (`reservations`) or buys (`orders`) of a sale."""
        variables = {"PATH": f"/v1/sales/{sale}/{noun}", "BODY": BASKET, "AUTH": self.authorization}
        return Target(self.name, self.url, "press", variables | more, self.parts)

    def batch(self, sale: str, noun: str, size: int) -> Target:
        """Return the address for batches of holds or buys; one answer has an outcome for each request."""
        path = f"/v1/sales/{sale}/{noun}:batch"
        variables = {"PATH": path, "SIZE": str(size), "AUTH": self.authorization}
        return Target(f"{size:,} at a time", self.url, "batch", variables, self.parts, ("200",))

    def read(self, sale: str) -> Target:
        return Target(
            self.name, self.url, "read", {"PATH": f"/v1/sales/{sale}", "AUTH": self.authorization},
            self.parts, ("200",),
        )  # fmt: skip

    async def read_again(self, sale: str) -> Target:
        """Return the address for reads by callers who have the newest answer."""
        async with self._http.get(f"{self.url}/v1/sales/{sale}") as answer:
            etag = answer.headers["ETag"]
        read = self.read(sale)
        return replace(read, name="unchanged", variables=read.variables | {"ETAG": etag}, good=("304",))

    async def committed(self, sale: str) -> int:
        """Return the units sold, as the API shows them."""
        return sum(item["sold"] for item in (await self.call("GET", f"/v1/sales/{sale}"))["items"])

    async def taken(self, sale: str) -> int:
        """Return the units held or sold, as the API shows them."""
        items = (await self.call("GET", f"/v1/sales/{sale}"))["items"]
        return sum(item["held"] + item["sold"] for item in items)
