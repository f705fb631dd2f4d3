"""What tests of event streams share: a reader of one stream, and parts of a service of their own."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.support.forked import Flashguard
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, READY_SECONDS, Service, clean_env, stop


@dataclass(frozen=True)
class Event:
    """One event as it came, and when, by the monotonic clock."""

    name: str
    data: Any
    id: str | None
    at: float


class Stream:
    """An open event stream. Pings are passed over unless asked for."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self, *, pings: bool = False, seconds: float = 10.0) -> Event | None:
        """The next event; None when the stream is over."""
        async with asyncio.timeout(seconds):
            while True:
                event = await self._next()
                if event is None or pings or event.name != "ping":
                    return event

    async def until(self, name: str, seconds: float = 10.0) -> Event:
        """The next event of this name; what comes before is passed over."""
        async with asyncio.timeout(seconds):
            while True:
                event = await self._next()
                assert event is not None, f"the stream ended before {name}"
                if event.name == name:
                    return event

    async def rest(self, seconds: float = 30.0) -> list[Event]:
        """All events until the stream ends."""
        events = []
        async with asyncio.timeout(seconds):
            while (event := await self._next()) is not None:
                events.append(event)
        return events

    async def _next(self) -> Event | None:
        fields: dict[str, str] = {}
        async for raw in self.answer.content:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                return Event(fields["event"], json.loads(fields["data"]), fields.get("id"), time.monotonic())
            else:
                fields = {}
        return None


@asynccontextmanager
async def stream(
    service: Service, path: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Stream]:
    """Opens a stream, which must answer 200."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout, read_bufsize=2**20) as http,
        http.get(f"{service.url}{path}", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield Stream(answer)


@asynccontextmanager
async def another_api(
    service: Any, http: aiohttp.ClientSession, *, port: int | None = None, **env: str
) -> AsyncIterator[Service]:
    """One more API process on a running service's servers (or anything with their URLs); `.process` is it."""
    port = port or free_port()
    started = Flashguard(
        "api",
        env=clean_env(
            FLASHGUARD_REDIS_URL=service.redis_url,
            FLASHGUARD_DATABASE_URL=service.database_url,
            FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
            FLASHGUARD_PORT=str(port),
            FLASHGUARD_LOG_LEVEL="warning",
            PYTHONUNBUFFERED="1",
            **env,
        ),
    )
    another = Service(f"http://127.0.0.1:{port}", service, http)
    another.process = started  # type: ignore[attr-defined]
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not (await _alive(another, http)):
                assert started.poll() is None, f"the API ended with {started.returncode}"
                await asyncio.sleep(0.05)
        yield another
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGINT)
        await stop(started)


async def _alive(service: Service, http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get(f"{service.url}/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def metric(service: Service, name: str) -> int:
    """A counter of the service's process."""
    text = (await service.call("GET", "/metrics")).body
    return int(float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1]))
