"""`flashguard deliverer`: sends webhooks and settles payments, in its own process, because a backlog must not
delay the recorder."""

import asyncio
import contextlib
import logging
import signal
from typing import Final

import typer
import uvloop

from flashguard.errors import ConfigurationError
from flashguard.guard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.settings import Settings
from flashguard.telemetry.logs import set_up
from flashguard.webhooks.deliverer import Deliverer

from .servers import ledger_when_up

app = typer.Typer()

log = logging.getLogger("flashguard.webhooks")

CONNECT_RETRY_SECONDS: Final = 1.0


@app.command()
def deliverer() -> None:
    """Deliver webhooks, and settle payments. Run one or several beside the recorder; without endpoints and
    payment providers it does nothing."""
    settings = Settings()
    set_up(settings.log_level, settings.log_format)
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_deliver(settings))


async def _deliver(settings: Settings) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    if not settings.database_url:
        raise ConfigurationError(
            "Set FLASHGUARD_DATABASE_URL, or run `flashguard up`, which embeds PostgreSQL."
        )
    ledger = await ledger_when_up(settings.database_url, settings)
    try:
        await ledger.installation()
        log.info("deliverer started; it sends webhooks")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Deliverer(ledger, settings).run())
            if settings.payment_providers:
                tasks.create_task(_settle(settings))
    except* ConfigurationError as found:
        raise found.exceptions[0] from None
    finally:
        await ledger.close()


async def _settle(settings: Settings) -> None:
    """Settle payments until cancelled; webhooks are sent also while Valkey is away."""
    from flashguard.payments import Payments

    while True:
        try:
            guard = await FlashGuard.connect(settings)
            break
        except (MemoryAway, LedgerAway) as error:
            log.warning("payments wait, next try in %.1f s: %s", CONNECT_RETRY_SECONDS, error)
            await asyncio.sleep(CONNECT_RETRY_SECONDS)
    async with guard:
        payments = Payments(guard, settings)
        try:
            await payments.settler.run()
        finally:
            await payments.close()
