"""Ordered SQL migrations, each applied once, in a transaction of its own, while the service sells.

A migration that waits for a lock makes every statement behind it wait too. So it waits only briefly, gives
way, and tries again. The schema that they lead to is in schema.sql.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import asyncpg

from flashguard.errors import ConfigurationError

from .sql import query

FOLDER: Final = Path(__file__).parent / "migrations"
CLOSES: Final = "0011_access"
"""The migration that closes the schema to the public; every later one closes what it adds."""
UNRELEASED: Final = "0001_ledger"
"""The first migration of the versions before the first release, whose migrations are gone."""
CANNOT_UPGRADE: Final = (
    "This ledger was made by an unreleased version of FlashGuard and cannot be upgraded: export what you "
    "need with that version, then start with a new database or data directory."
)
LOCK_TRIES: Final = 60
LOCK_PAUSE_SECONDS: Final = 0.5
MIGRATION_SECONDS_MOST: Final = 600.0
"""Maximum seconds of work of one migration, once it has its locks."""


async def migrate(connection: "asyncpg.Connection[asyncpg.Record]", partitions: int) -> list[str]:
    """Apply every migration that the ledger lacks, and write the installation's row if it has none.

    Parameters:
        partitions: the number of partitions of a new installation; an existing one keeps its own.

    Returns:
        the names of the migrations applied now.

    Raises:
        ConfigurationError: an unreleased version made the ledger; or the role lacks a right, or other
            transactions kept their locks for too long: then what was applied stays, and a later run
            continues.
    """
    applied: list[str] = []
    try:
        if not pending(await _known(connection)) and await connection.fetchrow(query("installation")):
            return applied
        await _with_locks(connection, lambda: _prepare(connection))
        for name, text in all_migrations().items():

            async def apply(name: str = name, text: str = text) -> None:
                if await _apply(connection, name, text):
                    applied.append(name)

            await _with_locks(connection, apply)
        await _with_locks(connection, lambda: _install(connection, partitions))
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(await _what_is_missing(connection, str(error))) from error
    return applied


async def _what_is_missing(connection: "asyncpg.Connection[asyncpg.Record]", error: str) -> str:
    """Return what this role needs to migrate, with the names of this database."""
    row = await connection.fetchrow(query("who_may_migrate"))
    if row is None:
        raise AssertionError("a SELECT of values always has one row")
    if row["owner"] is None:
        return (
            f"This role may not make the ledger's schema ({error}). As an owner of the database, run "
            f"`{row['missing']}`, then `flashguard migrate` again."
        )
    return (
        f"This role may not change the ledger's schema ({error}): run `flashguard migrate` as "
        f"{row['owner']}, the role that owns it."
    )


async def _known(connection: "asyncpg.Connection[asyncpg.Record]") -> set[str]:
    try:
        return {row["name"] for row in await connection.fetch(query("applied_migrations"))}
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return set()


async def _with_locks(
    connection: "asyncpg.Connection[asyncpg.Record]", work: Callable[[], Awaitable[None]]
) -> None:
    """Do the work in a transaction that waits only briefly for each lock; try again if it gets none."""
    for attempt in range(LOCK_TRIES):
        try:
            async with connection.transaction():
                await connection.execute(query("wait_for_locks_briefly"))
                await work()
                return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if attempt == LOCK_TRIES - 1:
                raise ConfigurationError(
                    "The migration did not get its locks: another one runs, or a long query, such as an "
                    "export or a backup, reads the tables. Nothing is half done; run it again later."
                ) from error
        await asyncio.sleep(LOCK_PAUSE_SECONDS)


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.execute(query("lock_migrations"))
    if not await connection.fetchval(query("schema_is_there")):
        # Even with IF NOT EXISTS this asks for CREATE on the database, which a schema's owner need not have.
        await connection.execute(query("ensure_schema"))
    await connection.execute(query("ensure_migrations_table"))


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", name: str, text: str) -> bool:
    await connection.execute(query("lock_migrations"))
    known = await _known(connection)
    if name in known:
        return False
    await connection.execute(text, timeout=MIGRATION_SECONDS_MOST)
    await connection.execute(query("note_migration"), name)
    if CLOSES in known:
        await connection.execute(query("close_to_public"))
    return True


async def _install(connection: "asyncpg.Connection[asyncpg.Record]", partitions: int) -> None:
    await connection.execute(query("create_installation"), secrets.token_hex(32), partitions)
    await connection.execute(query("create_partitions"))


def all_migrations() -> dict[str, str]:
    """Return every migration's SQL by its name, in order."""
    return {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.sql"))}


def pending(known: set[str]) -> list[str]:
    """Return the names of the migrations that are not among `known`, the applied ones.

    Raises:
        ConfigurationError: an unreleased version made the ledger.
    """
    if UNRELEASED in known:
        raise ConfigurationError(CANNOT_UPGRADE)
    return [path.stem for path in sorted(FOLDER.glob("*.sql")) if path.stem not in known]
