"""`python -m flashguard.aws.recorder`: a recorder in a container that reports metrics to CloudWatch."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from flashguard.errors import ConfigurationError
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger, LedgerAway
from flashguard.recorder import Recorder
from flashguard.recorder.status import RecorderState, recorder_state
from flashguard.settings import Settings
from flashguard.telemetry.logs import OneLine, set_up
from flashguard.valkey.connect import connect_kernel

from .emf import MetricLines
from .settings import settings_on_aws

log = logging.getLogger("flashguard")

SERVICE: Final = "FLASHGUARD_AWS_SERVICE"
"""The variable with the value of the metrics' dimension: the stack's name."""
REPORT_SECONDS: Final = 10.0
HEALTH_PORT: Final = 9001
CONNECT_RETRY_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 3.0
"""Maximum time to hand over partitions; then the process ends without it, which loses nothing."""
CHECK_SECONDS: Final = 5.0
"""Maximum time to read the state or answer a health check."""


class RecorderRun(NamedTuple):
    """A connected recorder, and what its state is read with."""

    recorder: Recorder
    kernel: Kernel
    ledger: Ledger
    partitions: int

    async def state(self) -> RecorderState | None:
        """Return the recorder's state; None while a server is away."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await recorder_state(self.kernel, self.ledger, self.partitions)
        except (MemoryAway, LedgerAway, TimeoutError) as error:
            log.warning("cannot read the recorder's state: %s", error or "no answer in time")
            return None


@asynccontextmanager
async def recording(settings: Settings) -> AsyncIterator[RecorderRun]:
    """Run a recorder meanwhile; it hands over its partitions at the end.

    Raises:
        ConfigurationError: a server is not configured.
        LedgerAway: PostgreSQL does not answer.
    """
    if not settings.redis_url or not settings.database_url:
        raise ConfigurationError("Set FLASHGUARD_REDIS_URL and FLASHGUARD_DATABASE_URL.")
    ledger = await Ledger.connect(
        settings.database_url, connections=settings.ledger_connections, prepared=settings.keeps_prepared
    )
    memory = connect_kernel(settings.redis_url, settings)
    try:
        partitions = (await ledger.installation()).partitions
        kernel = Kernel(memory, max_backlog=settings.max_backlog_entries)
        recorder = Recorder(kernel, ledger, settings, partitions)
        running = asyncio.create_task(recorder.run())
        try:
            yield RecorderRun(recorder, kernel, ledger, partitions)
        finally:
            recorder.leave()
            await asyncio.wait([running], timeout=LEAVE_SECONDS)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    finally:
        await memory.aclose()
        await ledger.close()


def print_line(line: str) -> None:
    """Write a line to the standard output, where CloudWatch reads it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _answer_health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer an HTTP request with 200: the process is running."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(CHECK_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
    writer.close()


async def serve(settings: Settings, health_port: int = HEALTH_PORT) -> None:
    """Record until the process is asked to stop. The orchestrator checks its health on the port."""
    async with await asyncio.start_server(_answer_health, "127.0.0.1", health_port):
        await _serve(settings)


async def _serve(settings: Settings) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    lines = MetricLines(os.environ.get(SERVICE, "flashguard"))
    while not ended.is_set():
        try:
            async with recording(settings) as now:
                while not ended.is_set():
                    state = await now.state()
                    if state is not None:
                        print_line(lines.line(now.recorder, state))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), REPORT_SECONDS)
        except LedgerAway as error:
            log.warning("%s; retrying in %g s", error, CONNECT_RETRY_SECONDS)
            await asyncio.sleep(CONNECT_RETRY_SECONDS)


if __name__ == "__main__":
    stderr = logging.StreamHandler()
    stderr.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[stderr])
    on_aws = settings_on_aws()
    if on_aws.log_format == "json":
        set_up(on_aws.log_level, on_aws.log_format)
    asyncio.run(serve(on_aws))
