"""The ledger: PostgreSQL with its nouns."""

import asyncpg

from flashguard.errors import ConfigurationError

from .connections import Connections, LedgerAway
from .installation import Installation
from .migrate import migrate, pending
from .positions import Positions
from .refusals import Refusals
from .reservations import Reservations
from .sales import Sales


class Ledger(Connections):
    """The pool of connections, and what selling reads and writes through it, by noun.

    Every method raises `LedgerAway` when PostgreSQL does not answer.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout: float) -> None:
        super().__init__(pool, timeout)
        self.sales = Sales(self)
        self.reservations = Reservations(self)
        self.positions = Positions(self)
        self.refusals = Refusals(self)

    async def check_writes(self) -> None:
        """Ask whether PostgreSQL takes writes; nothing is written.

        Raises:
            LedgerAway: it does not answer, or is read only.
        """
        row = await self.row("readiness")
        if row is not None and row["standby"]:
            raise LedgerAway("PostgreSQL is a standby and takes no writes")
        if row is not None and row["read_only"]:
            raise LedgerAway("PostgreSQL is read only (default_transaction_read_only is on)")

    async def version(self) -> str:
        """Return the server's version, such as `15.18`."""
        async with self.connection() as connection:
            version = connection.get_server_version()  # 15.18 comes as 15, 0, 18
            return f"{version.major}.{version.micro}"

    async def migrate(self, partitions: int) -> list[str]:
        """Bring the schema up to date; return the names of the migrations applied now."""
        async with self._pool.acquire() as connection:
            return await migrate(connection, partitions)  # type: ignore[arg-type]

    async def applied_migrations(self) -> set[str]:
        """Return the names of the migrations that the ledger has; none before the first one ran."""
        try:
            return {row["name"] for row in await self.rows("applied_migrations")}
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            return set()

    async def installation(self) -> Installation:
        """Return the installation's fixed facts.

        Raises:
            ConfigurationError: the ledger has not been migrated to this version.
        """
        try:
            known = await self.applied_migrations()
            row = await self.row("installation") if known else None
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConfigurationError(
                f"This role may not read the ledger ({error}): let it in first."
            ) from error
        if pending(known) or row is None:
            raise ConfigurationError("The ledger's schema is not up to date: run `flashguard migrate`.")
        return Installation(row["secret"], row["partitions"])
