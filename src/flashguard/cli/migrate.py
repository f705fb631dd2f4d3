"""`flashguard migrate`: the ledger's schema."""

import asyncio

import asyncpg
import typer

from flashguard.errors import ConfigurationError
from flashguard.settings import Settings
from flashguard.telemetry.logs import set_up

from .servers import ledger_when_up, say, server_urls

app = typer.Typer()


@app.command()
def migrate() -> None:
    """Bring the ledger's schema up to date."""
    settings = Settings()
    if settings.log_format == "json":
        set_up(settings.log_level, settings.log_format)
    for name in asyncio.run(migrate_ledger(server_urls(settings)[1], settings)):
        say(f"applied {name}")


async def migrate_ledger(database_url: str, settings: Settings) -> list[str]:
    """Return the names of the migrations applied now.

    Raises:
        ConfigurationError: PostgreSQL refuses one.
    """
    ledger = await ledger_when_up(database_url, settings)
    try:
        return await ledger.migrate(settings.partitions)
    except asyncpg.PostgresError as error:
        raise ConfigurationError(f"Cannot migrate the ledger: {error}.") from error
    finally:
        await ledger.close()
