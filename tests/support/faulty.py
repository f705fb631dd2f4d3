"""A line to the real service that fails on demand: for the clients' tests, whatever language they speak.

What is in the queue befalls the next requests, one each; then all is well again. It is filled by
`POST /_faults` with a JSON list of names.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from aiohttp import web

STATUS: Final = {"503": ("overloaded", "1"), "429": ("rate-limited", "1"), "409": ("request-in-flight", "1")}
"""What the line answers in place of the service, and the Retry-After it sends along."""
SHORT: Final = {f"{status}-now": (int(status), code, "0") for status, (code, _) in STATUS.items()}
LONG: Final = {f"{status}-later": (int(status), code, "3600") for status, (code, _) in STATUS.items()}
PASSED_ON: Final = ("authorization", "content-type", "idempotency-key", "x-request-id", "accept")


class FaultyLine:
    """`url` is where the line begins; `seen` are the requests that came: method, path, idempotency key."""

    def __init__(self, service: str) -> None:
        self.url = ""
        self.seen: list[tuple[str, str, str | None]] = []
        self._service = service
        self._faults: deque[str] = deque()
        self._closes = asyncio.Event()

    def next_requests_meet(self, *faults: str) -> None:
        """502, 503-now, 503-later, 429-…, 409-… (in flight), cut-before or cut-after the service did it, or
        silent: no answer while the line is open."""
        self.seen.clear()
        self._faults = deque(faults)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FaultyLine"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        async with aiohttp.ClientSession(auto_decompress=False) as self._http:
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield self
            finally:
                self._closes.set()
                await runner.cleanup()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/_faults":
            self.next_requests_meet(*await request.json())
            return web.json_response([])
        if request.path == "/_seen":
            return web.json_response(self.seen)
        self.seen.append((request.method, request.path, request.headers.get("Idempotency-Key")))
        fault = self._faults.popleft() if self._faults else ""
        if fault in SHORT or fault in LONG:
            return _problem(*(SHORT | LONG)[fault])
        if fault == "502":
            return web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html")
        if fault == "silent":
            await self._closes.wait()
        if fault in ("cut-before", "silent"):
            return _cut(request)
        answer = await self._ask(request)
        return _cut(request) if fault == "cut-after" else answer

    async def _ask(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() in PASSED_ON}
        async with self._http.request(
            request.method, f"{self._service}{request.path_qs}", headers=headers, data=await request.read()
        ) as answer:
            hop = ("transfer-encoding", "connection", "content-length")
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in hop}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


def _problem(status: int, code: str, retry_after: str) -> web.Response:
    body: dict[str, Any] = {"code": code, "status": status, "title": code, "detail": "a fault", "type": code}
    return web.Response(
        status=status,
        body=json.dumps(body),
        headers={"Retry-After": retry_after, "Content-Type": "application/problem+json"},
    )


def _cut(request: web.Request) -> web.Response:
    transport = request.transport
    assert isinstance(transport, asyncio.Transport)
    transport.abort()
    return web.Response(status=499)
