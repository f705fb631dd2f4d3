"""`flashguard deliverer`: sends webhooks, in its own process, because a backlog must not delay the
recorder."""

import asyncio
import contextlib
import logging
import signal

import uvloop

from flashguard.errors import ConfigurationError
from flashguard.settings import Settings
from flashguard.telemetry.logs import set_up
from flashguard.webhooks import Deliverer

from .service import ledger_when_up

log = logging.getLogger("flashguard.webhooks")


def deliverer() -> None:
    """Deliver webhooks. Run one or several beside the recorder; without endpoints it does nothing."""
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
        await Deliverer(ledger, settings).run()
    finally:
        await ledger.close()
