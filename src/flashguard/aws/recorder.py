"""`python -m flashguard.aws.recorder`: a recorder that tells CloudWatch how it does, for a container."""

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
from flashguard.kernel.kernel import Kernel, MemoryAway
from flashguard.ledger import Ledger, LedgerAway
from flashguard.recorder import Recorder
from flashguard.recorder.status import RecorderState, recorder_state
from flashguard.settings import Settings
from flashguard.telemetry.logs import OneLine, set_up
from flashguard.valkey.connect import connect_kernel

from .emf import Telling
from .settings import settings_on_aws

log = logging.getLogger("flashguard")

SERVICE: Final = "FLASHGUARD_AWS_SERVICE"
"""Names the dimension of the metrics: the stack's name."""
TELL_SECONDS: Final = 10.0
HEALTH_PORT: Final = 9001
CONNECT_AGAIN_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 3.0
"""How long handing over may take; beyond, it just ends, which loses nothing."""
LOOK_SECONDS: Final = 5.0
"""How long a look at the state may take."""


class Recording(NamedTuple):
    """A recorder, connected, and what it can be looked at by."""

    recorder: Recorder
    kernel: Kernel
    ledger: Ledger
    partitions: int

    async def state(self) -> RecorderState | None:
        """How far it is; None while a server is away."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await recorder_state(self.kernel, self.ledger, self.partitions)
        except (MemoryAway, LedgerAway, TimeoutError) as error:
            log.warning("the recorder's state is not known: %s", error or "no answer in time")
            return None


@asynccontextmanager
async def recording(settings: Settings) -> AsyncIterator[Recording]:
    """A recorder that runs meanwhile, and hands over what it has at the end.

    Raises:
        ConfigurationError: a server is not named.
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
            yield Recording(recorder, kernel, ledger, partitions)
        finally:
            recorder.leave()
            await asyncio.wait([running], timeout=LEAVE_SECONDS)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    finally:
        await memory.aclose()
        await ledger.close()


def tell(line: str) -> None:
    """Puts a line where CloudWatch reads it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _say_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers whoever connects that this process runs, as HTTP."""
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(LOOK_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
    writer.close()


async def serve(settings: Settings, health_port: int = HEALTH_PORT) -> None:
    """Records until the process is told to end; its orchestrator asks on the port whether it runs."""
    async with await asyncio.start_server(_say_alive, "127.0.0.1", health_port):
        await _serve(settings)


async def _serve(settings: Settings) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    telling = Telling(os.environ.get(SERVICE, "flashguard"))
    while not ended.is_set():
        try:
            async with recording(settings) as now:
                while not ended.is_set():
                    state = await now.state()
                    if state is not None:
                        tell(telling.line(now.recorder, state))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), TELL_SECONDS)
        except LedgerAway as error:
            log.warning("%s; trying again", error)
            await asyncio.sleep(CONNECT_AGAIN_SECONDS)


if __name__ == "__main__":
    lines = logging.StreamHandler()
    lines.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    on_aws = settings_on_aws()
    if on_aws.log_format == "json":
        set_up(on_aws.log_level, on_aws.log_format)
    asyncio.run(serve(on_aws))
