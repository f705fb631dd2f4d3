"""`flashguard migrate`: the ledger's schema."""

import asyncio

import typer

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
    for name in asyncio.run(_migrate(settings)):
        say(f"applied {name}")


async def _migrate(settings: Settings) -> list[str]:
    ledger = await ledger_when_up(server_urls(settings)[1], settings)
    try:
        return await ledger.migrate(settings.partitions)
    finally:
        await ledger.close()
