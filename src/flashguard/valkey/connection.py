"""Connections to Valkey/Redis for the hot path: many commands in flight on one socket, none ever sent twice.

A general client spends more time on one command than a script call for a few buyers costs, and it sends a
command again when its answer was lost. Here a command is sent once; a lost answer raises an error.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

import hiredis

from .address import Address
from .errors import (
    AnswerTimeout,
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    LostConnection,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from .replies import shaped

CONNECT_SECONDS: Final = 3.0
SPARE_SECONDS: Final = 2.0
"""How much longer than its own BLOCK a blocking read may take."""
MAX_IN_FLIGHT: Final = 10_000
"""Most commands without an answer on one connection; far more than there are coalescers."""


class Connection(asyncio.Protocol):
    """One socket. Answers come in the order of the commands; any fault ends it and fails all that wait."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(replyError=_error)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._sent = 0
        self.lost: RedisError | None = None
        self.address: Address | None = None

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
        """Close the socket, and fail every command that waits with this error."""
        if self.lost is None:
            self.lost = why
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(why)

    def send(self, command: tuple[Any, ...]) -> "asyncio.Future[Any]":
        """Send a command; the future has its answer.

        Raises:
            RedisError: the connection is lost, or has too many commands in flight.
        """
        if self.lost is not None:
            raise self.lost
        if len(self._waiting) >= MAX_IN_FLIGHT:
            raise LostConnection("too many commands in flight")
        future = self._loop.create_future()
        self._waiting.append(future)
        self._sent += 1
        self.write(command)
        return future

    def write(self, command: tuple[Any, ...]) -> None:
        """Send a command without waiting for an answer."""
        if self._transport is not None:
            self._transport.write(hiredis.pack_command(command))

    def send_first(self, command: tuple[Any, ...]) -> None:
        """Send what the next command needs before it. If it fails, so does the next command."""
        self.send(command).add_done_callback(lambda future: future.cancelled() or future.exception())

    async def ask(self, command: tuple[Any, ...], seconds: float) -> Any:
        """Send a command and return its answer.

        An answer that is later than `seconds` ends the connection, also when its caller has given up.
        """
        future = self.send(command)
        timer = self._loop.call_later(seconds, self._late, self._sent, seconds)
        try:
            answer = await future
        finally:
            del future  # an error knows this frame, which would know the error: a cycle for the collector
        timer.cancel()
        return answer

    def _late(self, number: int, seconds: float) -> None:
        if self._sent - len(self._waiting) < number:
            self.end(AnswerTimeout(f"no answer within {seconds:g} s"))


Made = TypeVar("Made", bound=Connection)


async def connect(address: Address, factory: Callable[[], Made]) -> Made:
    """Return a connection that has logged in.

    Raises:
        RedisError, OSError, TimeoutError: there is none.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if address.path is not None:
                _, connection = await loop.create_unix_connection(factory, address.path)
            else:
                _, connection = await loop.create_connection(
                    factory, address.host, address.port, ssl=address.tls
                )
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason or str(error)
        raise LostConnection(f"no TLS with {address.name}: {why}") from error
    connection.address = address
    try:
        for command in address.greeting:
            await connection.ask(command, CONNECT_SECONDS)
    except BaseException:
        connection.end(LostConnection("the login failed"))
        raise
    return connection


@asynccontextmanager
async def visiting(address: Address) -> AsyncIterator[Connection]:
    """Open a connection for a few commands, and close it."""
    connection = await connect(address, Connection)
    try:
        yield connection
    finally:
        connection.end(LostConnection("the visit is over"))


ERRORS: Final[dict[str, type[RedisError]]] = {
    "NOSCRIPT": NoScriptError,
    "NOAUTH": AuthenticationError,
    "WRONGPASS": AuthenticationError,
    "READONLY": ReadOnlyError,
    "LOADING": BusyLoadingError,
    "TRYAGAIN": TryAgainError,
    "CLUSTERDOWN": ClusterDownError,
}
ELSEWHERE: Final[dict[str, type[AskError]]] = {"MOVED": MovedError, "ASK": AskError}


def _error(text: str) -> RedisError:
    code, _, rest = text.partition(" ")
    elsewhere = ELSEWHERE.get(code)
    return ERRORS.get(code, ResponseError)(text) if elsewhere is None else elsewhere(rest)


class ServerClient:
    """Sends commands to one server: all on one connection, except that each blocking read has its own.

    Connects when first needed, and again after a fault; a command is never sent again.
    """

    sharded = False

    def __init__(self, address: Address, *, timeout_seconds: float) -> None:
        self.address = address
        self._timeout_seconds = timeout_seconds
        self._main: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._idle: list[Connection] = []
        self._reading: set[Connection] = set()
        self._closed = False

    async def execute_command(self, *command: Any) -> Any:
        """Send one command and return its answer, shaped as redis-py shapes it.

        Raises:
            RedisError: there is no answer, or the answer is an error.
            OSError: no connection can be made.
        """
        answer = await (self.ask_blocking(command) if "BLOCK" in command else self._ask(command))
        return shaped(command, answer)

    async def evalsha(self, sha: str, count: int, *keys_and_args: Any) -> Any:
        return await self._ask(("EVALSHA", sha, count, *keys_and_args))

    async def eval(self, source: str, count: int, *keys_and_args: Any) -> Any:
        return await self._ask(("EVAL", source, count, *keys_and_args))

    async def script_load(self, source: str) -> Any:
        return await self._ask(("SCRIPT", "LOAD", source))

    async def _ask(self, command: tuple[Any, ...]) -> Any:
        main = self._main
        if main is None or main.lost is not None:
            main = await self.connected()
        try:
            return await main.ask(command, self._timeout_seconds)
        except ReadOnlyError as error:  # a primary that was demoted: its address may lead to the new one
            if self._main is main:
                self.drop(LostConnection(str(error)))
            raise

    def link(self, key: str = "") -> Connection | None:
        """Return the connection on which a command about this key is sent now; None while there is none."""
        main = self._main
        return None if main is None or main.lost is not None else main

    def node_of(self, key: str) -> str:
        """Return the name of the server."""
        return self.address.name

    def nodes(self) -> dict[str, "ServerClient"]:
        """Return this client, by the name of its server."""
        return {self.address.name: self}

    async def homes(self, channels: Sequence[str]) -> list[tuple[Address, tuple[str, ...]]]:
        """Return which server to subscribe to for which channels."""
        link = self.link() or await self.connected()
        return [(link.address or self.address, tuple(channels))]

    async def connected(self) -> Connection:
        """Return the main connection; concurrent callers share one attempt to connect."""
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add_done_callback(self._made)
        return await asyncio.shield(self._connecting)

    def _made(self, task: "asyncio.Task[Connection]") -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._main = task.result()

    async def beside(self, key: str = "") -> Connection:
        """Open another connection to the same server, for a command that blocks."""
        if self._closed:
            raise LostConnection("the client is closed")
        link = self.link()
        address = link.address if link is not None else None
        return await connect(address or await self._where(), Connection)

    async def _connect(self) -> Connection:
        if self._closed:
            raise LostConnection("the client is closed")
        return await connect(await self._where(), Connection)

    async def _where(self) -> Address:
        """Return the server's address; called before each connection."""
        return self.address

    async def ask_blocking(self, command: tuple[Any, ...], *, asking: bool = False) -> Any:
        """Send a command that blocks in the server, and return its answer.

        Parameters:
            asking: the server is only importing the slot of the key.
        """
        block_seconds = command[command.index("BLOCK") + 1] / 1000
        while self._idle and self._idle[-1].lost is not None:
            self._idle.pop()
        connection = self._idle.pop() if self._idle else await self.beside()
        self._reading.add(connection)
        try:
            if asking:
                connection.send_first(("ASKING",))
            answer = await connection.ask(command, block_seconds + SPARE_SECONDS)
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.end(LostConnection("a blocked read was given up"))
            raise
        finally:
            self._reading.discard(connection)
        self._idle.append(connection)
        return answer

    async def aclose(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        self.drop(LostConnection("the client is closed"))

    def drop(self, why: RedisError) -> None:
        """End every connection; the next command connects again."""
        for connection in (self._main, *self._idle, *self._reading):
            if connection is not None:
                connection.end(why)
        self._idle.clear()
