"""A ledger of its own: a migrated database in the session's PostgreSQL, which goes afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from flashguard.embedded import EmbeddedServers
from flashguard.ledger import Ledger
from tests.support.service import unique

Connection = asyncpg.Connection


@asynccontextmanager
async def fresh_ledger(servers: EmbeddedServers) -> AsyncIterator[tuple[str, Connection]]:
    """Yield its address, and a connection."""
    name = unique("fresh").replace("-", "_")
    owner = await asyncpg.connect(servers.database_url)
    await owner.execute(f"CREATE DATABASE {name}")
    url = servers.database_url.replace("/flashguard?", f"/{name}?")
    migrating = await Ledger.connect(url)
    await migrating.migrate(1)
    await migrating.close()
    connection = await asyncpg.connect(url)
    try:
        yield url, connection
    finally:
        await connection.close()
        await owner.execute(f"DROP DATABASE {name}")
        await owner.close()
