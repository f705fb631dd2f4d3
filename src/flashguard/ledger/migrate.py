"""Plain ordered SQL migrations, applied once each, in one transaction."""

import secrets
from pathlib import Path
from typing import Final

import asyncpg

from flashguard.ledger.sql import query

FOLDER: Final = Path(__file__).parent / "migrations"


async def migrate(connection: "asyncpg.Connection[asyncpg.Record]", partitions: int) -> list[str]:
    """Applies every migration that the ledger lacks and makes the installation's row, if it has none.

    Parameters:
        partitions: how many partitions a new installation gets; an existing one keeps its own.

    Returns:
        the names of the migrations applied now.
    """
    applied: list[str] = []
    async with connection.transaction():
        await connection.execute(query("lock_migrations"))
        await connection.execute(query("ensure_schema"))
        await connection.execute(query("ensure_migrations_table"))
        known = {row["name"] for row in await connection.fetch(query("applied_migrations"))}
        for path in sorted(FOLDER.glob("*.sql")):
            if path.stem not in known:
                await connection.execute(path.read_text())
                await connection.execute(query("note_migration"), path.stem)
                applied.append(path.stem)
        await connection.execute(query("create_installation"), secrets.token_hex(32), partitions)
        await connection.execute(query("create_partitions"))
    return applied


def pending(known: set[str]) -> list[str]:
    """The migrations, by name, that are not among `known`."""
    return [path.stem for path in sorted(FOLDER.glob("*.sql")) if path.stem not in known]
