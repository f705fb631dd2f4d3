"""One more API on the servers of the session, with settings of its own."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from conftest import ADMIN_KEY, READY_SECONDS, Service, clean_env, free_port, stop


@asynccontextmanager
async def own_service(service: Service, **settings: str) -> AsyncIterator[Service]:
    """Starts it beside `service`, whose recorder it shares; ends it in the end."""
    port = free_port()
    env = clean_env(
        FLASHGUARD_REDIS_URL=service.redis_url,
        FLASHGUARD_DATABASE_URL=service.database_url,
        FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
        FLASHGUARD_PORT=str(port),
        FLASHGUARD_LOG_LEVEL="warning",
        **{f"FLASHGUARD_{name.upper()}": value for name, value in settings.items()},
    )
    other = Service.__new__(Service)
    other.__dict__ |= service.__dict__ | {"url": f"http://127.0.0.1:{port}"}
    child = subprocess.Popen([sys.executable, "-m", "flashguard", "api"], env=env)
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await other.ready():
                assert child.poll() is None
                await asyncio.sleep(0.05)
        yield other
    finally:
        child.send_signal(signal.SIGINT)
        await stop(child)
