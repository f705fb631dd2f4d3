"""The servers that a process works with: their addresses, the checks at its start, and a ledger that may
still be starting."""

import asyncio
import logging
from typing import Final

import typer

from flashguard.doctor import examine_at_start
from flashguard.errors import ConfigurationError
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger, LedgerAway
from flashguard.settings import Settings
from flashguard.telemetry.logs import in_json

log = logging.getLogger("flashguard")

CONNECT_TRIES: Final = 60


def server_urls(settings: Settings) -> tuple[str, str]:
    """Return the addresses of Valkey/Redis and of PostgreSQL.

    Raises:
        ConfigurationError: one is not set.
    """
    if not settings.redis_url or not settings.database_url:
        raise ConfigurationError(
            "Set FLASHGUARD_REDIS_URL and FLASHGUARD_DATABASE_URL, or run `flashguard up`, which embeds both."
        )
    return settings.redis_url, settings.database_url


async def examine(settings: Settings, kernel: Kernel, ledger: Ledger, part: str) -> None:
    """Run the cheap checks of `flashguard doctor`. In production mode, do not start where a promise can't be
    kept."""
    for finding in await examine_at_start(settings, kernel, ledger, part):
        log.warning("%s: %s. %s", finding.name, finding.found, finding.todo)


async def ledger_when_up(database_url: str, settings: Settings) -> Ledger:
    """Return the connected ledger; wait up to a minute for one that is starting."""
    for attempt in range(CONNECT_TRIES):
        try:
            return await Ledger.connect(
                database_url, connections=settings.ledger_connections, prepared=settings.keeps_prepared
            )
        except LedgerAway as error:
            if attempt == CONNECT_TRIES - 1:
                raise
            log.warning("%s; retrying in 1 s", error)
            await asyncio.sleep(1)
    raise AssertionError("unreachable")


def say(text: str) -> None:
    """Print what a person should know; log it where logs are JSON."""
    if in_json():
        log.info("%s", text)
    else:
        typer.echo(text)
