"""An installation with its own servers and network: replicas, a standby, and a proxy on every link."""

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from flashguard.embedded import EmbeddedPostgres, EmbeddedValkey
from flashguard.embedded.child import spawn
from flashguard.embedded.places import SHARED_HOME, make_folder
from flashguard.embedded.postgres_home import choose_account, find_binaries
from flashguard.ledger import Ledger
from tests.campaign.processes import Kept, children, clean_env, hit, workers
from tests.campaign.proxy import Proxy, unix_place
from tests.campaign.up_stack import ADMIN_KEY
from tests.support.ports import free_port

PG_SOCKET = ".s.PGSQL.5432"
CAUGHT_UP_SECONDS = 20.0
CAUGHT_UP = "SELECT pg_current_wal_lsn() <= replay_lsn FROM pg_stat_replication WHERE state = 'streaming'"
PARTITIONS = 4


class MemoryNode(EmbeddedValkey):
    """A Valkey that also listens on a port, for its replica."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.port = free_port()
        self.options: tuple[str, ...] = ()

    async def _prepare(self) -> list[str | Path]:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
        return [*await super()._prepare(), *options, *self.options]

    @property
    def socket(self) -> Path:
        return self._socket

    def client(self) -> "Redis":
        return Redis(unix_socket_path=str(self._socket), decode_responses=True)

    async def ask(self, *command: str) -> object:
        client = self.client()
        try:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    async def kill_and_forget(self) -> None:
        """Kill the server and remove its disk, as if the machine were lost."""
        await self.stop_hard()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    async def stop_hard(self) -> None:
        await self.kill()
        await self.stop()


class LedgerNode(EmbeddedPostgres):
    """A PostgreSQL that can have a standby."""

    @property
    def socket_folder(self) -> Path:
        return self._socket_folder

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    async def ask(self, statement: str) -> object:
        connection = await asyncpg.connect(self.url, timeout=5)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def follow(self, primary: "LedgerNode", through: Path) -> None:
        """Become a standby of `primary` that streams through the proxy in the folder `through`."""
        await self.stop_hard()
        shutil.rmtree(self.data_dir, ignore_errors=True)
        self.data_dir.mkdir(mode=0o711)
        self.data_dir.chmod(0o711)
        account = choose_account(self.home)
        make_folder(self.home, 0o700, account)
        binary = find_binaries(account, SHARED_HOME) / "pg_basebackup"
        words = (
            "-h",
            primary.socket_folder,
            "-U",
            "flashguard",
            "-D",
            self.cluster,
            "-X",
            "stream",
            "-c",
            "fast",
        )
        with (self.data_dir.parent / "basebackup.log").open("ab") as log:
            backup = await spawn(
                [binary, *words, "--no-sync"],
                death_signal=signal.SIGKILL,
                output=log,
                account=account,
                cwd=Path("/"),
            )
            assert await backup.wait() == 0, "pg_basebackup failed"
        conninfo = f"primary_conninfo = 'host={through} user=flashguard application_name=standby'\n"
        with (self.cluster / "postgresql.auto.conf").open("a") as conf:
            conf.write(conninfo)
        (self.cluster / "standby.signal").touch()
        await self.start()
        async with asyncio.timeout(CAUGHT_UP_SECONDS):
            while await primary.ask(CAUGHT_UP) is not True:
                await asyncio.sleep(0.05)

    async def stop_hard(self) -> None:
        if self.running:
            hit(signal.SIGKILL, self.pid, *children(self.pid))
        await self.kill()
        await self.stop()


class LabStack:
    """An api with two workers and a recorder, with a proxy on each of their links."""

    name = "lab"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.memories = [MemoryNode(folder / "memory-a"), MemoryNode(folder / "memory-b")]
        self.ledgers = [LedgerNode(folder / "ledger-a"), LedgerNode(folder / "ledger-b")]
        self.links: dict[str, Proxy] = {}
        self.env: dict[str, str] = {}
        self._log = folder / "lab.log"

    @property
    def memory(self) -> MemoryNode:
        """Return the current primary."""
        return self.memories[0]

    @property
    def ledger(self) -> LedgerNode:
        return self.ledgers[0]

    @property
    def database_url(self) -> str:
        return self.ledger.url

    def say(self, name: str, line: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{name:<10} | {line}\n")

    async def start(self) -> None:
        self.folder.mkdir(mode=0o755, exist_ok=True)
        await self.memory.start()
        await self.ledger.start()
        ledger = await Ledger.connect(self.ledger.url)
        await ledger.migrate(PARTITIONS)
        await ledger.close()
        for who in ("api", "recorder", "standby"):
            memory = Proxy(unix_place(self.folder, f"{who}.memory"), lambda: self.memory.socket)
            place = unix_place(self.folder / f"{who}-pg", PG_SOCKET)
            ledger_link = Proxy(place, lambda: self.ledger.socket_folder / PG_SOCKET)
            self.links |= {f"{who}-valkey": memory, f"{who}-postgres": ledger_link}
        self.links["replica-valkey"] = Proxy(free_port(), lambda: self.memory.port)
        for link in self.links.values():
            await link.start()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        common = {
            "FLASHGUARD_ADMIN_KEY": ADMIN_KEY,
            "FLASHGUARD_PORT": str(port),
            "FLASHGUARD_WORKERS": "2",
            "FLASHGUARD_CLOSED_SALE_HOURS": "0",
            "FLASHGUARD_LOG_LEVEL": "warning",
            "FLASHGUARD_SIMULATIONS": "false",
            "FLASHGUARD_MEMORY_TIMEOUT_SECONDS": "1",
            "FLASHGUARD_RECORD_TIMEOUT_SECONDS": "4",
            "PYTHONUNBUFFERED": "1",
        }
        self.env = clean_env(**common)
        self.recorder = Kept("recorder", self.env_of("recorder"), self.say)
        self.api = Kept("api", self.env_of("api"), self.say)
        await self.recorder.start()
        await self.api.start()

    def env_of(self, who: str) -> dict[str, str]:
        """Return the environment of a part with the links of `who`."""
        memory, ledger = self.links[f"{who}-valkey"].place, self.links[f"{who}-postgres"].place
        assert isinstance(memory, Path)
        assert isinstance(ledger, Path)
        return self.env | {
            "FLASHGUARD_REDIS_URL": f"unix://{memory}",
            "FLASHGUARD_DATABASE_URL": f"postgresql://flashguard@/flashguard?host={ledger.parent}",
        }

    async def go_on(self) -> None:
        """Do nothing: the parts are restarted anyway."""

    async def stop(self) -> None:
        await self.api.stop()
        await self.recorder.stop()
        for link in self.links.values():
            await link.stop()
        for node in (*self.memories, *self.ledgers):
            await node.stop()

    def processes_of(self, part: str) -> list[int]:
        return workers(self.api.pid) if part == "api" else [self.recorder.pid]

    def hit(self, part: str, number: signal.Signals, pids: list[int] | None = None) -> list[int]:
        pids = self.processes_of(part) if pids is None else pids
        hit(number, *pids)
        return pids

    async def replicate(self, *, through_proxy: bool) -> MemoryNode:
        """Make the other Valkey a replica of the primary, and wait until it is complete."""
        replica = self.memories[1]
        await replica.kill_and_forget()
        port = self.links["replica-valkey"].place if through_proxy else self.memory.port
        replica.options = ("--replicaof", f"127.0.0.1 {port}")
        await replica.start()
        replica.options = ()
        async with asyncio.timeout(CAUGHT_UP_SECONDS):
            while True:
                mine, theirs = await asyncio.gather(
                    replica.ask("INFO", "replication"), self.memory.ask("INFO", "replication")
                )
                assert isinstance(mine, dict)
                assert isinstance(theirs, dict)
                up = mine.get("master_link_status") == "up"
                if up and mine.get("slave_repl_offset", 0) >= theirs["master_repl_offset"]:
                    return replica
                await asyncio.sleep(0.02)

    def switch_memory(self) -> None:
        """Make the other Valkey the primary, and cut all links to the old one."""
        self.memories.reverse()
        self.links["api-valkey"].cut()
        self.links["recorder-valkey"].cut()

    def switch_ledger(self) -> None:
        self.ledgers.reverse()
        self.links["api-postgres"].cut()
        self.links["recorder-postgres"].cut()

    def watch_ends(self) -> Callable[[], set[str]]:
        """Return a function that names the parts that ended since now."""
        parts = (self.api, self.recorder)
        before = [part.ended for part in parts]
        return lambda: {part.name for part, then in zip(parts, before, strict=True) if part.ended > then}
