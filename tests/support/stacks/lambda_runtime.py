"""What AWS does around a function, on this machine.

Lambda's runtime API, instances of the real runtime client (`awslambdaric`), each with one request at a time
and frozen in between, and an HTTP API in front of them.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import base64
import contextlib
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from aiohttp import web

HANDLER = "flashguard.aws.handler.handler"
ARN = "arn:aws:lambda:eu-central-1:000000000000:function:flashguard"
START_SECONDS = 60.0
"""How long an instance may take to ask for its first event; on a busy machine, with all the imports."""
MAX_BODY_BYTES = 10 * 1024 * 1024
"""Of an HTTP API's payload."""
MAX_RESULT_BYTES = 6 * 1024 * 1024 + 100 * 1024
TEXTS = ("text/", "application/json", "application/xml", "application/javascript")


class Died(Exception):
    """The instance ended, or was ended, before it answered."""


class FunctionError(Exception):
    """The handler raised."""


class State(Enum):
    STARTING = auto()
    IDLE = auto()
    BUSY = auto()
    DEAD = auto()


class Instance:
    """One process of the runtime client, with a runtime API of its own.

    Parameters:
        freezes: stop the process whenever it has nothing to do, as AWS does.
    """

    def __init__(self, env: Mapping[str, str], *, handler: str = HANDLER, freezes: bool = True) -> None:
        self.state = State.STARTING
        self.invocations = 0
        self.init_error: dict[str, Any] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._env = dict(env)
        self._handler = handler
        self._freezes = freezes
        self._frozen = False
        self._ready = asyncio.Event()
        self._next: asyncio.Future[tuple[str, bytes, int]] | None = None
        self._results: dict[str, asyncio.Future[Any]] = {}
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Returns once the instance asks for its first event.

        Raises:
            Died: it does not get so far; `init_error` says why, where it was told.
        """
        app = web.Application(client_max_size=MAX_RESULT_BYTES)
        root = "/2018-06-01/runtime"
        app.router.add_get(f"{root}/invocation/next", self._on_next)
        app.router.add_post(f"{root}/invocation/{{id}}/response", self._on_response)
        app.router.add_post(f"{root}/invocation/{{id}}/error", self._on_error)
        app.router.add_post(f"{root}/init/error", self._on_init_error)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", self._handler],
            env=self._env
            | {
                "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}",
                "AWS_LAMBDA_FUNCTION_NAME": "flashguard",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
                "AWS_REGION": "eu-central-1",
                "LAMBDA_TASK_ROOT": str(Path.cwd()),
                "_HANDLER": self._handler,
            },
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready.is_set():
            if self.process.poll() is not None or time.monotonic() > deadline:
                await self.stop()
                raise Died(f"the instance did not start: {self.init_error}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), 0.05)

    async def invoke(self, event: Any, timeout_seconds: float) -> Any:
        """The handler's result.

        Raises:
            Died: the process ended meanwhile.
            TimeoutError: it took too long, and was ended for it, as Lambda does.
            FunctionError: the handler raised.
        """
        assert self.state is State.IDLE
        self.state = State.BUSY
        self.invocations += 1
        id_ = str(uuid.uuid4())
        result = self._results[id_] = asyncio.get_running_loop().create_future()
        assert self._next is not None
        self._next.set_result((id_, json.dumps(event).encode(), int((time.time() + timeout_seconds) * 1000)))
        self.thaw()
        deadline = time.monotonic() + timeout_seconds
        try:
            while not result.done():
                if self.process is None or self.process.poll() is not None:
                    await self.stop()
                    raise Died("the instance ended in the middle of an invocation")
                if time.monotonic() > deadline:
                    await self.stop()
                    raise TimeoutError(f"no result within {timeout_seconds} s")
                await asyncio.wait([result], timeout=min(0.1, max(0.0, deadline - time.monotonic())))
            value = result.result()
            async with asyncio.timeout(max(1.0, timeout_seconds)):
                await self._ready.wait()  # only then may it be frozen
            return value
        finally:
            self._results.pop(id_, None)

    def freeze(self) -> None:
        """Stops the process, as AWS does with one that has nothing to do."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        if self._frozen and self.process is not None:
            self.process.send_signal(signal.SIGCONT)
        self._frozen = False

    async def stop(self) -> None:
        """Ends the process without a word, as AWS does."""
        self.state = State.DEAD
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            # Lambda kills; Python writes down what it covered when it is told to end, so tests ask first.
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self.process.wait, 5.0)
            if self.process.poll() is None:
                self.process.kill()
                await asyncio.to_thread(self.process.wait)
        if self._next is not None and not self._next.done():
            self._next.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # The runtime API

    async def _on_next(self, _: web.Request) -> web.Response:
        self._next = asyncio.get_running_loop().create_future()
        self.state = State.IDLE
        self._ready.set()
        if self._freezes:
            self.freeze()
        try:
            id_, body, deadline_ms = await self._next
        except asyncio.CancelledError:
            return web.Response(status=500)
        self._ready.clear()
        return web.Response(
            body=body,
            content_type="application/json",
            headers={
                "Lambda-Runtime-Aws-Request-Id": id_,
                "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": ARN,
                "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
            },
        )

    async def _on_response(self, request: web.Request) -> web.Response:
        body = await request.read()
        result = self._results.get(request.match_info["id"])
        if result is not None and not result.done():
            result.set_result(json.loads(body))
        return web.json_response({"status": "OK"}, status=202)

    async def _on_error(self, request: web.Request) -> web.Response:
        said = json.loads(await request.read())
        result = self._results.get(request.match_info["id"])
        if result is not None and not result.done():
            result.set_exception(FunctionError(said))
        return web.json_response({"status": "OK"}, status=202)

    async def _on_init_error(self, request: web.Request) -> web.Response:
        self.init_error = json.loads(await request.read())
        return web.json_response({"status": "OK"}, status=202)


@dataclass
class Function:
    """A function: instances as they are needed, up to a bound.

    Parameters:
        most: instances at once, as reserved concurrency.
        patience_seconds: how long a request waits for an instance; AWS refuses at once.
        timeout_seconds: the function's own.
    """

    env: Mapping[str, str]
    most: int = 4
    patience_seconds: float = 0.0
    timeout_seconds: float = 15.0
    freezes: bool = True
    handler: str = HANDLER
    instances: list[Instance] = field(default_factory=list)
    _freed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _idle: list[Instance] = field(default_factory=list)

    async def invoke(self, event: Any) -> Any:
        """Has an instance answer; None: throttled."""
        instance = await self._take()
        if instance is None:
            return None
        try:
            return await instance.invoke(event, self.timeout_seconds)
        finally:
            async with self._freed:
                if instance.state is State.IDLE:
                    self._idle.append(instance)
                else:
                    await instance.stop()
                    self.instances.remove(instance)
                self._freed.notify()

    async def _take(self) -> Instance | None:
        deadline = time.monotonic() + self.patience_seconds
        async with self._freed:
            while not self._idle and len(self.instances) >= self.most:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), left)
            if self._idle:
                return self._idle.pop()
            instance = Instance(self.env, handler=self.handler, freezes=self.freezes)
            self.instances.append(instance)
        try:
            await instance.start()
        except BaseException:
            self.instances.remove(instance)
            raise
        return instance

    async def warm(self, count: int) -> None:
        """Starts so many instances, at once."""
        started = [Instance(self.env, handler=self.handler, freezes=self.freezes) for _ in range(count)]
        self.instances += started
        await asyncio.gather(*(each.start() for each in started))
        self._idle += started

    async def stop(self) -> None:
        await asyncio.gather(*(instance.stop() for instance in self.instances))
        self.instances.clear()
        self._idle.clear()


def event_of(request: web.Request, body: bytes) -> dict[str, Any]:
    """The event that an HTTP API makes of a request."""
    path, _, query = request.raw_path.partition("?")
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known},{value}"
    cookies = headers.pop("cookie", None)
    peer = request.remote or "127.0.0.1"
    headers["x-forwarded-for"] = ", ".join(filter(None, (headers.get("x-forwarded-for"), peer)))
    headers |= {"x-forwarded-proto": "https", "x-amzn-trace-id": f"Root=1-{uuid.uuid4().hex[:8]}"}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": headers.get("host", ""),
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": peer,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": uuid.uuid4().hex[:15] + "=",
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies is not None:
        event["cookies"] = [each.strip() for each in cookies.split(";")]
    if body:
        textual = headers.get("content-type", "").startswith(TEXTS)
        try:
            event["body"] = body.decode() if textual else base64.b64encode(body).decode()
            event["isBase64Encoded"] = not textual
        except UnicodeDecodeError:
            event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True
    return event


def response_of(answer: Any) -> web.Response:
    """The response that an HTTP API makes of a function's answer."""
    body = answer.get("body", "")
    response = web.Response(
        status=answer["statusCode"],
        body=base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode(),
        headers=answer.get("headers", {}),
    )
    for cookie in answer.get("cookies", ()):
        response.headers.add("Set-Cookie", cookie)
    return response


@asynccontextmanager
async def http_api(function: Function) -> AsyncIterator[str]:
    """An HTTP API in front of a function; its address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            event = event_of(request, await request.read())
            result = await function.invoke(event)
        except (Died, FunctionError):
            return web.json_response({"message": "Internal Server Error"}, status=500)
        except TimeoutError:
            return web.json_response({"message": "Service Unavailable"}, status=503)
        if result is None:
            return web.json_response({"message": "Too Many Requests"}, status=429)
        return response_of(result)

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await function.stop()
