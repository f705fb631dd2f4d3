"""The only HTTP client of the harness: it speaks to this machine's loopback and follows no redirect."""

import ipaddress
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from tests.campaign.targets.loopback import RefusedTargetError, require_loopback

PATIENCE_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Reply:
    """An answer of HTTP. `status` 0: none came. Times are seconds of one clock."""

    status: int
    body: Any
    headers: Mapping[str, str]
    started: float
    ended: float

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class CallError(Exception):
    """A call that prepares or reads a shop was not answered as it must be."""


class _OnlyLoopback(AbstractResolver):
    """Looks a name up at each connection, and refuses what lies elsewhere by then."""

    def __init__(self) -> None:
        self._threads = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._threads.resolve(host, port, family)
        for each in found:
            if not ipaddress.ip_address(each["host"].partition("%")[0]).is_loopback:
                raise RefusedTargetError(f"{host} is {each['host']} now")
        return found

    async def close(self) -> None:
        await self._threads.close()


class Web:
    """Calls of one shop, each buyer with a connection of its own."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = require_loopback(url)
        self._session = aiohttp.ClientSession(
            # Forget idle connections before a server closes them (Node and uvicorn: after 5 s).
            connector=aiohttp.TCPConnector(limit=0, resolver=_OnlyLoopback(), keepalive_timeout=2),
            timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Make one call. A connection that breaks, or no answer in time, is a reply with the status 0."""
        if not path.startswith("/"):
            raise RefusedTargetError(f"{path} is not a path")
        started = time.monotonic()
        try:
            async with self._session.request(
                method, self.url + path, json=body, headers=headers, allow_redirects=False
            ) as answer:
                raw = await answer.read()
                return Reply(answer.status, _read(raw), answer.headers, started, time.monotonic())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = f"{type(error).__name__}: {error}".removesuffix(": ")
            return Reply(0, why, {}, started, time.monotonic())

    async def must(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Make a call that prepares or reads a shop; return the answer's body.

        Raises:
            CallError: it was refused, or not answered.
        """
        reply = await self.call(method, path, body, headers)
        if not reply.ok:
            what = f"answered {reply.status}" if reply.status else "not answered:"
            raise CallError(f"{method} {self.url}{path} {what} {str(reply.body)[:600]}")
        return reply.body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
