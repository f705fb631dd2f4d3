"""The oldest servers that FlashGuard takes: Redis 7.0 and PostgreSQL 15, both from Debian."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from flashguard.embedded import EmbeddedPostgres, EmbeddedValkey
from flashguard.embedded import postgres as postgres_module
from tests.support.stacks import Stack, folder, migrate, program

POSTGRES_PLACE = "/usr/lib/postgresql/15/bin"
NOT_IN_15 = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")


class Redis7(EmbeddedValkey):
    """Debian's Redis with the settings of the embedded Valkey."""

    async def _prepare(self) -> list[str | Path]:
        _, *words = await super()._prepare()
        return [program("redis-server"), *words]


class Postgres15(EmbeddedPostgres):
    """Debian's PostgreSQL 15 with the settings of the embedded one."""

    async def _prepare(self) -> list[str | Path]:
        binaries = program("postgres", POSTGRES_PLACE).parent
        found, options = postgres_module.find_binaries, postgres_module.INITDB_OPTIONS
        postgres_module.find_binaries = lambda *_: binaries
        postgres_module.INITDB_OPTIONS = tuple(option for option in options if option not in NOT_IN_15)  # type: ignore[misc]
        try:
            return await super()._prepare()
        finally:
            postgres_module.find_binaries, postgres_module.INITDB_OPTIONS = found, options  # type: ignore[misc]


@asynccontextmanager
async def running() -> AsyncIterator[Stack]:
    with folder() as place:
        memory, ledger = Redis7(place / "data"), Postgres15(place / "data")
        try:
            await memory.start()
            await ledger.start()
            await migrate(ledger.url)
            yield Stack(memory.url, ledger.url)
        finally:
            await memory.stop()
            await ledger.stop()
