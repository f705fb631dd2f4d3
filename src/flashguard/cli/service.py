"""`flashguard api`, `recorder` and `migrate`: each part on its own."""

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import Callable
from typing import Annotated, Final

import typer
import uvicorn
import uvloop

from flashguard.api.live.garbage import collect_rarely
from flashguard.doctor import examine_at_start
from flashguard.doctor.production import check_production
from flashguard.embedded.admin_key import FILE_NAME, keep_admin_key
from flashguard.embedded.places import open_data_dir
from flashguard.errors import ConfigurationError
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger, LedgerAway
from flashguard.recorder import Recorder
from flashguard.settings import Mode, Settings
from flashguard.telemetry.logs import in_json, log_config, set_up
from flashguard.telemetry.tracing import traces_of
from flashguard.valkey.connect import connect_kernel

from .recorder_metrics import serving_metrics

log = logging.getLogger("flashguard")

GRACEFUL_SECONDS: Final = 5
BACKLOG: Final = 16_384
"""Connections that Linux may queue while 10,000 buyers connect at once."""
CONNECT_TRIES: Final = 60


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
        _say(f"The admin key is in {data_dir / FILE_NAME}.")
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


def recorder() -> None:
    """Write the journal to the ledger, expire holds, and rebuild memory when it is lost."""
    settings = Settings()
    set_up(settings.log_level, settings.log_format)
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_record(settings))


async def _record(settings: Settings) -> None:
    task = asyncio.current_task()
    assert task is not None
    _at_signals(task.cancel)
    redis_url, database_url = _urls(settings)
    traces = traces_of(settings.traces, "flashguard-recorder")
    ledger = await ledger_when_up(database_url, settings)
    memory = connect_kernel(redis_url, settings)
    try:
        installation = await ledger.installation()
        kernel = Kernel(memory, max_backlog=settings.max_backlog_entries)
        await _examine(settings, kernel, ledger, "recorder")
        recorder = Recorder(kernel, ledger, settings, installation.partitions, traces)
        _at_signals(lambda: task.cancel() if recorder.leaving else recorder.leave())
        log.info("recorder %s started; %d partitions are shared", recorder.name, installation.partitions)
        collect_rarely()
        async with serving_metrics(recorder, settings):
            await recorder.run()
    finally:
        if traces is not None:
            traces.shutdown()
        await memory.aclose()
        await ledger.close()


def _at_signals(end: Callable[[], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)


async def _examine(settings: Settings, kernel: Kernel, ledger: Ledger, part: str) -> None:
    """Run the cheap checks of `flashguard doctor`. In production mode, do not start where a promise can't be
    kept."""
    for finding in await examine_at_start(settings, kernel, ledger, part):
        log.warning("%s: %s. %s", finding.name, finding.found, finding.todo)


async def _examine_for_api(settings: Settings) -> None:
    redis_url, database_url = _urls(settings)
    try:
        ledger = await Ledger.connect(database_url, connections=1, timeout=settings.ledger_timeout_seconds)
    except LedgerAway as error:
        log.warning("%s", error)  # the workers report it too, and end
        return
    memory = connect_kernel(redis_url, settings)
    try:
        await _examine(settings, Kernel(memory), ledger, "api")
    finally:
        await memory.aclose()
        await ledger.close()


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


def migrate() -> None:
    """Bring the ledger's schema up to date."""
    settings = Settings()
    if settings.log_format == "json":
        set_up(settings.log_level, settings.log_format)
    for name in asyncio.run(_migrate(settings)):
        _say(f"applied {name}")


def _say(text: str) -> None:
    if in_json():
        log.info("%s", text)
    else:
        typer.echo(text)


async def _migrate(settings: Settings) -> list[str]:
    ledger = await ledger_when_up(_urls(settings)[1], settings)
    try:
        return await ledger.migrate(settings.partitions)
    finally:
        await ledger.close()


def _urls(settings: Settings) -> tuple[str, str]:
    if not settings.redis_url or not settings.database_url:
        raise ConfigurationError(
            "Set FLASHGUARD_REDIS_URL and FLASHGUARD_DATABASE_URL, or run `flashguard up`, which embeds both."
        )
    return settings.redis_url, settings.database_url
