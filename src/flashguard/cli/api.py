"""`flashguard api`: one or more processes that serve HTTP."""

import asyncio
import logging
import os
import tempfile
from typing import Annotated, Final

import typer
import uvicorn

from flashguard.doctor.production import check_production
from flashguard.embedded.admin_key import FILE_NAME, keep_admin_key
from flashguard.embedded.places import open_data_dir
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.sealing import sealer_of
from flashguard.settings import Mode, Settings
from flashguard.telemetry.logs import log_config, set_up
from flashguard.valkey.connect import connect_kernel

from .servers import examine, say, server_urls

app = typer.Typer()
log = logging.getLogger("flashguard")

GRACEFUL_SECONDS: Final = 5
BACKLOG: Final = 16_384
"""Connections that Linux may queue while 10,000 buyers connect at once."""


@app.command()
def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes.")] = None,
) -> None:
    """Serve the HTTP API."""
    settings = Settings()
    set_up(settings.log_level, settings.log_format)
    check_production(settings)
    asyncio.run(_examine_for_api(settings))
    given: dict[str, str | int] = {"HOST": host or settings.host, "WORKERS": workers or settings.workers}
    if settings.admin_key is None and settings.mode is Mode.DEVELOPMENT:
        data_dir = open_data_dir(settings.data_dir)
        given["ADMIN_KEY"] = keep_admin_key(data_dir)
        say(f"The admin key is in {data_dir / FILE_NAME}.")
    if int(given["WORKERS"]) > 1 and settings.metrics_dir is None:
        with tempfile.TemporaryDirectory(prefix="flashguard-metrics-") as folder:
            _serve(settings, host, port, given | {"METRICS_DIR": folder})
    else:
        _serve(settings, host, port, given)


def _serve(settings: Settings, host: str | None, port: int | None, given: dict[str, str | int]) -> None:
    """Serve until the process is asked to stop.

    Parameters:
        given: settings that the application reads from its environment.
    """
    os.environ |= {f"FLASHGUARD_{name}": str(value) for name, value in given.items()}
    uvicorn.run(
        "flashguard.api.app:create_front_door",
        factory=True,
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=int(given["WORKERS"]),
        loop="uvloop",
        http="flashguard.api.server.wire:Wire",
        ws="none",
        log_level=settings.log_level,
        log_config=log_config(settings.log_level, settings.log_format),
        access_log=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=16 * 1024,
    )


async def _examine_for_api(settings: Settings) -> None:
    redis_url, database_url = server_urls(settings)
    # Settings that end a process are read here, because a worker that can't start is started again and again.
    sealer_of(settings.secrets_key.get_secret_value() if settings.secrets_key else None)
    if settings.payment_providers:
        from flashguard.payments.providers import providers_of

        for provider in providers_of(settings).values():
            await provider.close()
    try:
        ledger = await Ledger.connect(database_url, connections=1, timeout=settings.ledger_timeout_seconds)
    except LedgerAway as error:
        log.warning("%s", error)  # the workers report it too, and end
        return
    memory = connect_kernel(redis_url, settings)
    try:
        await examine(settings, Kernel(memory), ledger, "api")
    finally:
        await memory.aclose()
        await ledger.close()
