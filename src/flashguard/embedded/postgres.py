"""The embedded ledger: a PostgreSQL server on a private unix socket, with full durability."""

import asyncio
import os
import secrets
import shutil
from pathlib import Path
from signal import Signals
from typing import ClassVar, Final
from urllib.parse import quote

import asyncpg

from .child import end, spawn
from .places import SHARED_HOME, close_socket_folder, make_folder, open_socket_folder
from .postgres_home import choose_account, choose_home, find_binaries
from .server import (
    EmbeddedServer,
    ServerFailedError,
    bare_environment,
    log_tail,
    open_log,
    wait_for_leftovers,
)

CONNECT_TIMEOUT_SECONDS: Final = 2.0
INITDB_TIMEOUT_SECONDS: Final = 120.0
SOCKET_NAME: Final = ".s.PGSQL.5432"
DRAFT_PREFIX: Final = "draft-"
USER: Final = "flashguard"
DATABASE: Final = "flashguard"

OPTIONS: Final = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "recovery_init_sync_method": "syncfs",  # after a crash: one call, not 1,000 fsyncs of files
    "jit": "off",  # compiling costs more than any statement of FlashGuard
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
}

INITDB_OPTIONS: Final = (
    f"--username={USER}",
    "--auth=trust",  # only the owner of the private socket folder can connect
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # PostgreSQL's own C.UTF-8 works on systems without that locale
    "--builtin-locale=C.UTF-8",
)


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server in `<data_dir>/postgres`.

    Started by root, it runs as an unprivileged account. Files that this account can't reach are put into
    `shared_home`; the permissions of existing directories never change.
    """

    name: ClassVar[str] = "postgres"
    death_signal: ClassVar[Signals] = Signals.SIGQUIT  # makes the postmaster end its own children
    stop_signals: ClassVar[tuple[Signals, ...]] = (Signals.SIGINT, Signals.SIGQUIT)

    def __init__(self, data_dir: Path, shared_home: Path = SHARED_HOME) -> None:
        super().__init__(data_dir)
        self._shared_home = shared_home
        self.home = self.data_dir / "postgres"
        self._socket_folder = self.home / "socket"

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={quote(str(self._socket_folder))}"

    async def _prepare(self) -> list[str | Path]:
        self.account = choose_account(self.data_dir / "postgres")
        self.home = choose_home(self.data_dir, self.account, self._shared_home)
        binaries = find_binaries(self.account, self._shared_home)
        make_folder(self.home, 0o700, self.account)
        cluster = self.home / "cluster"
        self._socket_folder = open_socket_folder(self.home / "socket", SOCKET_NAME, self._memo, self.account)
        await wait_for_leftovers(cluster, "postgres", self._socket_folder / SOCKET_NAME)
        if not cluster.exists():
            await self._make_cluster(binaries / "initdb", cluster)
        self._remove_leftovers(cluster)
        options = OPTIONS | {
            "unix_socket_directories": f'"{self._socket_folder}"',
            "unix_socket_permissions": "0700",
        }
        settings = (word for name, value in options.items() for word in ("-c", f"{name}={value}"))
        return [binaries / "postgres", "-D", cluster, *settings]

    async def _make_cluster(self, initdb: Path, cluster: Path) -> None:
        """Create the database files under a temporary name first, so that they exist completely or not at
        all."""
        for draft in self.home.glob(f"{DRAFT_PREFIX}*"):
            shutil.rmtree(draft, ignore_errors=True)
        draft = self.home / f"{DRAFT_PREFIX}{secrets.token_hex(4)}"
        with open_log(self.log_file) as log:
            start = log.tell()
            process = await spawn(
                [initdb, "-D", draft, *INITDB_OPTIONS],
                death_signal=Signals.SIGKILL,
                output=log,
                account=self.account,
                env=bare_environment(),
                cwd=Path("/"),
            )
        try:
            exit_code = await asyncio.wait_for(process.wait(), INITDB_TIMEOUT_SECONDS)
        finally:
            await end(process, [])
        if exit_code != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise ServerFailedError(
                f"initdb ended with exit code {exit_code}:\n{log_tail(self.log_file, start)}"
            )
        draft.rename(cluster)
        sync_folder(self.home)

    def _remove_leftovers(self, cluster: Path) -> None:
        """Remove what a dead server left; PostgreSQL would mistake a reused process id for the old server."""
        for leftover in (cluster / "postmaster.pid", *self._socket_folder.glob(f"{SOCKET_NAME}*")):
            leftover.unlink(missing_ok=True)

    async def _is_ready(self) -> bool:
        if not (self._socket_folder / SOCKET_NAME).exists():
            return False
        try:
            await self._execute(DATABASE, "SELECT 1")
        except asyncpg.InvalidCatalogNameError:
            await self._execute("postgres", f"CREATE DATABASE {DATABASE}")
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
            return False
        return True

    async def _execute(self, database: str, statement: str) -> None:
        connection = await asyncpg.connect(self._url(database), timeout=CONNECT_TIMEOUT_SECONDS)
        try:
            await connection.execute(statement)
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)

    def _clean_up(self) -> None:
        close_socket_folder(self._memo)

    @property
    def _memo(self) -> Path:
        return self.data_dir / "postgres.socket"


def sync_folder(folder: Path) -> None:
    """Make a rename inside this folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
