"""The ledger behind Debian's PgBouncer in transaction mode, as the role that only sells.

Any statement may meet another connection, and none may define anything.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from flashguard.embedded import EmbeddedServers
from flashguard.embedded.child import end, spawn
from flashguard.embedded.postgres_home import choose_account
from tests.support.ports import free_port
from tests.support.stacks import Stack, folder, migrate, program

START_SECONDS = 10.0
APP_ROLE = Path(__file__).parents[3] / "deploy" / "supabase" / "app_role.sql"


@asynccontextmanager
async def pooler(
    postgres_socket_folder: Path, place: Path, port: int, *, role: str = "flashguard", **settings: str
) -> AsyncIterator[str]:
    """A PgBouncer in front of the embedded PostgreSQL; its URL. `settings` are those of its own file."""
    account = choose_account(place)
    options = {
        "listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "", "auth_type": "any",
        "pool_mode": "transaction", "default_pool_size": "8", "max_client_conn": "500",
        "log_connections": "0", "log_disconnections": "0",
    } | settings  # fmt: skip
    config = place / "pgbouncer.ini"
    config.write_text(
        "[databases]\n"
        f"* = host={postgres_socket_folder} port=5432 user={role}\n"
        "[pgbouncer]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
    )
    config.chmod(0o644)
    with (place / "pgbouncer.log").open("ab") as log:
        process = await spawn(
            [program("pgbouncer"), config],
            death_signal=signal.SIGKILL,
            output=log,
            account=account,
            cwd=Path("/"),
        )
    url = f"postgresql://flashguard@127.0.0.1:{port}/flashguard"
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                assert process.returncode is None, (place / "pgbouncer.log").read_text()
                try:
                    connection = await asyncpg.connect(url, statement_cache_size=0)
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(0.05)
                else:
                    await connection.close()
                    break
        yield url
    finally:
        await end(process, [(signal.SIGINT, 5.0)])


async def let_in(database_url: str) -> str:
    """Makes the role that only sells, as the files for Supabase make it; its name."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(APP_ROLE.read_text())
        await connection.execute("ALTER ROLE flashguard_app LOGIN")
    finally:
        await connection.close()
    return "flashguard_app"


def socket_folder(servers: EmbeddedServers) -> Path:
    """Where the embedded PostgreSQL listens."""
    return servers.postgres._socket_folder


@asynccontextmanager
async def running() -> AsyncIterator[Stack]:

    with folder() as place:
        async with EmbeddedServers(place / "data") as servers:
            await migrate(servers.database_url)
            role = await let_in(servers.database_url)
            async with pooler(socket_folder(servers), place, free_port(), role=role) as url:
                yield Stack(servers.redis_url, url)
