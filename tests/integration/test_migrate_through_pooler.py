"""Migrations through a pooler in transaction mode, where no session's lock would hold."""

import asyncio

from flashguard.embedded import EmbeddedPostgres
from flashguard.ledger import Ledger
from flashguard.ledger.migrate import all_migrations
from tests.support.ports import free_port
from tests.support.stacks import folder
from tests.support.stacks.pgbouncer import pooler


async def migrated(url: str) -> list[str]:
    ledger = await Ledger.connect(url)
    try:
        return await ledger.migrate(16)
    finally:
        await ledger.close()


async def test_two_migrators_at_once_through_a_pooler_apply_each_migration_once() -> None:
    with folder() as place:
        place.chmod(0o777)
        server = EmbeddedPostgres(place / "data")
        try:
            await server.start()
            async with pooler(server._socket_folder, place, free_port()) as url:
                one, other = await asyncio.gather(migrated(url), migrated(url))
                assert sorted(one + other) == sorted(all_migrations())
                ledger = await Ledger.connect(url)
                assert (await ledger.installation()).partitions == 16
                await ledger.close()
        finally:
            await server.stop()
