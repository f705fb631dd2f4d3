"""A pool of connections to PostgreSQL. An unreachable server becomes `LedgerAway` here, and nowhere else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import asyncpg

from flashguard.errors import FlashGuardError

from .away import check_files, why_away
from .sql import query

if TYPE_CHECKING:  # asyncpg's classes are generic for the type checker alone
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # raised when a connection is lost in the middle of a statement
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
)
"""Errors of a PostgreSQL server that is unreachable, shutting down or starting."""
WHOLE_SALE_SECONDS: Final = 300.0
"""How long a statement may take that reads a whole sale before its first row: ten million reservations take
longer than any other statement may."""
PREPARED_STATEMENTS: Final = 100
"""Cached per connection; one process runs fewer different queries than that."""
BROKEN_PREPARED: Final = (
    "PostgreSQL: a pooler in transaction mode breaks our prepared statements: "
    "set FLASHGUARD_PREPARED_STATEMENTS=false"
)


class LedgerAway(FlashGuardError):
    """PostgreSQL did not answer."""


async def _nothing_to_reset(_: object) -> None:
    """Our queries leave nothing behind in a session (asyncpg itself ends an open transaction)."""


class Connections:
    """A pool of connections. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    @classmethod
    async def connect(
        cls, url: str, *, connections: int = 8, prepared: bool = False, timeout: float = 10.0
    ) -> Self:
        """Open a pool and check that the server answers.

        Parameters:
            timeout: seconds that a connection, a statement, or the wait for a free connection may take.
            prepared: keep prepared statements. That halves the round trips; a transaction-mode pooler that
                does not track prepared statements breaks them.

        Raises:
            ConfigurationError: the address names a certificate that is unreadable.
            LedgerAway: the server is unreachable.
        """
        check_files(url)
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=0,
                max_size=connections,
                timeout=timeout,
                command_timeout=timeout,
                statement_cache_size=PREPARED_STATEMENTS if prepared else 0,
                reset=_nothing_to_reset,
                server_settings={"timezone": "UTC", "application_name": "flashguard"},
            )
        except (*AWAY, asyncpg.PostgresError) as error:
            raise LedgerAway(why_away(error)) from error
        opened = cls(pool, timeout)
        try:
            await opened.ping()
        except asyncpg.PostgresError as error:
            pool.terminate()
            raise LedgerAway(why_away(error)) from error
        except BaseException:
            pool.terminate()
            raise
        return opened

    async def close(self) -> None:
        """Close the pool; connections that are still busy after 5 s are cut."""
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection from the pool; a lost server becomes `LedgerAway`."""
        try:
            async with self._pool.acquire(timeout=self._timeout) as connection:
                yield connection
        except AWAY as error:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):  # a primary that was demoted
                await self._pool.expire_connections()
            raise LedgerAway(why_away(error)) from error
        except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError) as error:
            raise LedgerAway(BROKEN_PREPARED) from error

    async def rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        """Return all rows of the query of this name."""
        async with self.connection() as connection:
            return await connection.fetch(query(name), *args)

    async def row(self, name: str, *args: object) -> asyncpg.Record | None:
        """Return the first row of the query of this name; None when it has none."""
        async with self.connection() as connection:
            return await connection.fetchrow(query(name), *args)

    async def value(self, name: str, *args: object) -> Any:
        """Return the first column of the first row of the query of this name; None when it has no row."""
        async with self.connection() as connection:
            return await connection.fetchval(query(name), *args)

    async def run(self, name: str, *args: object) -> int:
        """Run the statement of this name; return the number of rows it changed."""
        async with self.connection() as connection:
            return rows_of(await connection.execute(query(name), *args))

    async def ping(self) -> None:
        """Wait for an answer of the server."""
        await self.row("ping")

    async def check(self, seconds: float) -> None:
        """Drop a connection that does not answer within this time: the next statement opens a new one."""
        with contextlib.suppress(LedgerAway):
            async with self.connection() as connection:
                try:
                    await connection.fetchrow(query("ping"), timeout=seconds)
                except BaseException:
                    connection.terminate()
                    raise


def rows_of(status: str) -> int:
    """Return the number of rows in PostgreSQL's status of a statement, such as `UPDATE 3`."""
    return int(status.rpartition(" ")[2])
