"""Connections to Valkey/Redis for the hot path: many commands in flight on one socket, none ever sent twice.

A general client spends more on one command than a script call of a few buyers costs, and sends a command
again when its answer was lost. Here a command is sent once; when its answer does not come, that is said.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar, cast

import hiredis
from redis.asyncio.connection import parse_url
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as NoAnswer

CONNECT_SECONDS: Final = 3.0
SPARE_SECONDS: Final = 2.0
"""How much longer than it blocks by itself a blocking read may take."""
MAX_IN_FLIGHT: Final = 10_000
"""Commands that wait for their answer on one connection; far more than there are coalescers."""


class Commands(Protocol):
    """What the kernel needs of a client. Without an answer it raises `RedisError` or `OSError`."""

    async def execute_command(self, *command: Any) -> Any:
        """Sends one command and returns its answer."""

    async def evalsha(self, sha: str, count: int, *keys_and_args: Any) -> Any:
        """Runs a script that the server has."""

    async def eval(self, source: str, count: int, *keys_and_args: Any) -> Any:
        """Runs a script; the server keeps it."""

    async def script_load(self, source: str) -> Any:
        """Has the server keep a script."""


class Address:
    """Where a server is, and how to log in, from a `redis://`, `rediss://` or `unix://` URL.

    Raises:
        ValueError: the URL is none of these.
    """

    def __init__(self, url: str) -> None:
        parts: dict[str, Any] = dict(parse_url(url))
        self.path: str | None = parts.get("path")
        self.host: str = parts.get("host", "localhost")
        self.port: int = parts.get("port", 6379)
        self.tls = _tls(parts) if url.startswith("rediss:") else None
        self.greeting: list[tuple[Any, ...]] = []
        if parts.get("password"):
            login = (parts["username"], parts["password"]) if parts.get("username") else (parts["password"],)
            self.greeting.append(("AUTH", *login))
        if parts.get("db"):
            self.greeting.append(("SELECT", parts["db"]))


def _tls(parts: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if parts.get("ssl_certfile"):
        context.load_cert_chain(parts["ssl_certfile"], parts.get("ssl_keyfile"))
    return context


class Connection(asyncio.Protocol):
    """One socket. Answers come in the order of the commands; any fault fails all that wait, and ends it."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(replyError=_error)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._sent = 0
        self.lost: RedisError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self._waiting
        reader.feed(data)
        try:
            while (answer := reader.gets()) is not False:
                future = waiting.popleft()
                if not future.done():
                    if isinstance(answer, RedisError):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        except (hiredis.ProtocolError, IndexError) as error:
            self.end(LostConnection(f"not the protocol of Valkey/Redis: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self.end(
            LostConnection(f"the connection was closed: {error}" if error else "the connection was closed")
        )

    def end(self, why: RedisError) -> None:
        """Closes the socket; all that wait are told why."""
        if self.lost is None:
            self.lost = why
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(why)

    def send(self, command: tuple[Any, ...]) -> "asyncio.Future[Any]":
        """Sends a command; the future has its answer.

        Raises:
            RedisError: the connection is lost, or has too many commands in flight.
        """
        if self.lost is not None:
            raise self.lost
        if len(self._waiting) >= MAX_IN_FLIGHT:
            raise LostConnection("too many commands wait for their answers")
        future = self._loop.create_future()
        self._waiting.append(future)
        self._sent += 1
        self.write(command)
        return future

    def write(self, command: tuple[Any, ...]) -> None:
        """Sends a command whose answer nobody waits for."""
        if self._transport is not None:
            self._transport.write(hiredis.pack_command(command))

    async def ask(self, command: tuple[Any, ...], seconds: float) -> Any:
        """Sends a command and returns its answer.

        An answer that does not come within `seconds` ends the connection, also when its caller left before.
        """
        future = self.send(command)
        timer = self._loop.call_later(seconds, self._late, self._sent, seconds)
        answer = await future
        timer.cancel()
        return answer

    def _late(self, number: int, seconds: float) -> None:
        if self._sent - len(self._waiting) < number:
            self.end(NoAnswer(f"no answer within {seconds:g} s"))


Made = TypeVar("Made", bound=Connection)


async def connect(address: Address, factory: Callable[[], Made]) -> Made:
    """A connection that has logged in.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: it can't be made.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_SECONDS):
        if address.path is not None:
            _, connection = await loop.create_unix_connection(factory, address.path)
        else:
            _, connection = await loop.create_connection(factory, address.host, address.port, ssl=address.tls)
    try:
        for command in address.greeting:
            await connection.ask(command, CONNECT_SECONDS)
    except BaseException:
        connection.end(LostConnection("the greeting failed"))
        raise
    return connection


ERRORS: Final[dict[str, type[RedisError]]] = {
    "NOSCRIPT": NoScriptError,
    "NOAUTH": AuthenticationError,
    "WRONGPASS": AuthenticationError,
    "READONLY": ReadOnlyError,
    "LOADING": BusyLoadingError,
}


def _error(text: str) -> RedisError:
    return ERRORS.get(text.partition(" ")[0], ResponseError)(text)


class Client:
    """Commands to one server: one connection for all that answer at once, one more for each blocked read.

    Connects when first needed, and again after a fault; a command is never sent again.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._address = Address(url)
        self._timeout_seconds = timeout_seconds
        self._main: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._idle: list[Connection] = []
        self._closed = False

    async def execute_command(self, *command: Any) -> Any:
        """One command and its answer, in redis-py's shapes for those that the kernel uses.

        Raises:
            redis.exceptions.RedisError: there is no answer, or it is an error.
            OSError: no connection can be made.
        """
        if "BLOCK" in command:
            answer = await self._ask_blocking(command)
        else:
            answer = await self._ask(command)
        shape = SHAPES.get(command[0])
        return shape(answer) if shape is not None else answer

    async def evalsha(self, sha: str, count: int, *keys_and_args: Any) -> Any:
        return await self._ask(("EVALSHA", sha, count, *keys_and_args))

    async def eval(self, source: str, count: int, *keys_and_args: Any) -> Any:
        return await self._ask(("EVAL", source, count, *keys_and_args))

    async def script_load(self, source: str) -> Any:
        return await self._ask(("SCRIPT", "LOAD", source))

    async def _ask(self, command: tuple[Any, ...]) -> Any:
        main = self._main
        if main is None or main.lost is not None:
            main = await self._connected()
        try:
            return await main.ask(command, self._timeout_seconds)
        except ReadOnlyError as error:  # a primary that was demoted: its address may lead to the new one
            main.end(LostConnection(str(error)))
            raise

    async def _connected(self) -> Connection:
        """The main connection; however many ask for it at once, one is made."""
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add_done_callback(self._made)
        return await asyncio.shield(self._connecting)

    def _made(self, task: "asyncio.Task[Connection]") -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._main = task.result()

    async def _connect(self) -> Connection:
        if self._closed:
            raise LostConnection("the client is closed")
        return await connect(self._address, Connection)

    async def _ask_blocking(self, command: tuple[Any, ...]) -> Any:
        block_seconds = command[command.index("BLOCK") + 1] / 1000
        connection = self._idle.pop() if self._idle else await self._connect()
        if connection.lost is not None:
            connection = await self._connect()
        try:
            answer = await connection.ask(command, block_seconds + SPARE_SECONDS)
        except BaseException:
            connection.end(LostConnection("a blocked read was given up"))
            raise
        self._idle.append(connection)
        return answer

    async def aclose(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in (self._main, *self._idle):
            if connection is not None:
                connection.end(LostConnection("the client is closed"))


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _entries(raw: list[Any] | None) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(id_, _pairs(fields)) for id_, fields in raw or ()]


def _streams(raw: list[Any] | None) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    return [(name, _entries(entries)) for name, entries in raw or ()]


def _info(raw: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in raw.decode().splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


SHAPES: Final[dict[str, Callable[[Any], Any]]] = {
    "HGETALL": _pairs,
    "SMEMBERS": set,
    "XRANGE": _entries,
    "XREAD": _streams,
    "INFO": _info,
}
"""The answers that redis-py gives another shape than the protocol does."""
