"""`flashguard recorder`: one process that records."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable

import typer
import uvloop

from flashguard.garbage import collect_rarely
from flashguard.kernel.kernel import Kernel
from flashguard.recorder import Recorder
from flashguard.settings import Settings
from flashguard.slices import take_short_slices
from flashguard.telemetry.logs import set_up
from flashguard.telemetry.tracing import traces_of
from flashguard.valkey.connect import connect_kernel

from .recorder_metrics import serving_metrics
from .servers import examine, ledger_when_up, server_urls

app = typer.Typer()
log = logging.getLogger("flashguard")


@app.command()
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
    redis_url, database_url = server_urls(settings)
    traces = traces_of(settings.traces, "flashguard-recorder")
    ledger = await ledger_when_up(database_url, settings)
    memory = connect_kernel(redis_url, settings)
    try:
        installation = await ledger.installation()
        kernel = Kernel(memory, max_backlog=settings.max_backlog_entries)
        await examine(settings, kernel, ledger, "recorder")
        recorder = Recorder(kernel, ledger, settings, installation.partitions, traces)
        _at_signals(lambda: task.cancel() if recorder.leaving else recorder.leave())
        log.info("recorder %s started; %d partitions are shared", recorder.name, installation.partitions)
        collect_rarely()
        take_short_slices()
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
