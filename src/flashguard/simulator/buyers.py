"""Real HTTP buyers, each with its own TCP connection, who all buy at the same moment.

A small `asyncio.Protocol` on httptools' parser, because 10,000 connections of a full HTTP client would cost
more CPU than the service under test.
"""

import asyncio
import resource
import time
import uuid
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httptools
import msgspec

from flashguard.errors import ConfigurationError

from .tally import Tally

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
CONNECTS_AT_ONCE: Final = 200
MAX_ATTEMPTS: Final = 20
"""Maximum attempts of a buyer after 503 or a broken connection, always with the same idempotency key."""
BUYER_RETRY_SECONDS: Final = 1.0
SPARE_FILES: Final = 200
MAX_BODY_BYTES: Final = 4096


class BuyTarget(msgspec.Struct, frozen=True):
    """The call that buyers make. `body_of(number)` returns the JSON of one buyer."""

    url: str
    path: str
    body_of: Callable[[int], bytes]
    headers: tuple[tuple[str, str], ...] = ()


def only_loopback(url: str, *, operated: bool) -> None:
    """Check that the target is this machine or a FlashGuard that the user operates.

    Raises:
        ConfigurationError: the address is another machine's, without an admin key for it.
    """
    host = urlsplit(url).hostname
    if host not in LOOPBACK and not operated:
        raise ConfigurationError(
            f"The simulator sends requests only to 127.0.0.1, or to a FlashGuard that you operate: use --url "
            f"and its --admin-key ({host} is neither)."
        )


def connections_possible() -> int:
    """Raise the soft limit of open files to the hard one; return how many connections this process may
    open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - SPARE_FILES


class Buyer(asyncio.Protocol):
    """One connection with one request, which is repeated until it gets an answer."""

    def __init__(self, number: int, target: BuyTarget, tally: Tally, done: Callable[[], None]) -> None:
        self._number = number
        self._target = target
        self._tally = tally
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._request = self._bytes()
        self._pressed_at = 0.0
        self._attempts = 0
        self._body = b""
        self._retry_after = BUYER_RETRY_SECONDS
        self.finished = False

    def _bytes(self) -> bytes:
        body = self._target.body_of(self._number)
        host = urlsplit(self._target.url).netloc
        headers = "".join(f"{name}: {value}\r\n" for name, value in self._target.headers)
        return (
            f"POST {self._target.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: {uuid.uuid4().hex}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._parser = httptools.HttpResponseParser(self)
        if self._pressed_at and not self.finished:
            self._send()

    def press(self) -> None:
        """Send the request; latency counts from here."""
        self._pressed_at = time.perf_counter()
        self._send()

    def _send(self) -> None:
        self._attempts += 1
        if self._transport is None or self._transport.is_closing():
            self._reconnect()
        else:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            if self._parser is not None:
                self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._finish(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after" and value.isdigit():
            self._retry_after = float(value)

    def on_body(self, body: bytes) -> None:
        self._body = (self._body + body)[:MAX_BODY_BYTES]

    def on_message_complete(self) -> None:
        assert self._parser is not None
        status, body, self._body = self._parser.get_status_code(), self._body, b""
        self._parser = httptools.HttpResponseParser(self)
        if status == 201:
            self._finish(True)
        elif status == 409 and b'"sold-out"' in body:
            self._finish(False)
        elif (status == 503 or b'"request-in-flight"' in body) and self._attempts < MAX_ATTEMPTS:
            self._tally.retries += 1
            asyncio.get_running_loop().call_later(self._retry_after, self._send)
        else:
            self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._pressed_at and not self.finished:
            if self._attempts < MAX_ATTEMPTS:
                self._tally.retries += 1
                asyncio.get_running_loop().call_later(BUYER_RETRY_SECONDS / 4, self._send)
            else:
                self._finish(None)

    def _reconnect(self) -> None:
        task = asyncio.get_running_loop().create_task(self.connect())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    async def connect(self) -> None:
        address = urlsplit(self._target.url)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self, address.hostname or "127.0.0.1", address.port or 80
            )
        except OSError as error:
            self.connection_lost(error)

    def _finish(self, granted: bool | None) -> None:
        if self.finished:
            return
        self.finished = True
        if granted is None:
            self._tally.failed()
        else:
            self._tally.answered(granted, (time.perf_counter() - self._pressed_at) * 1000)
        self._done()

    def close(self) -> None:
        self.finished = True
        if self._transport is not None:
            self._transport.close()


_tasks: set[asyncio.Task[None]] = set()


async def press_together(
    target: BuyTarget,
    buyers: int,
    tally: Tally,
    *,
    seconds: float,
    stop: asyncio.Event,
    released: Callable[[int], None] = lambda _: None,
) -> float:
    """Connect all buyers, then let them buy at once; in waves if there are not enough files.

    Parameters:
        seconds: after this time, buyers of a wave without an answer count as errors.
        released: called with the size of each wave when it starts.

    Returns:
        the seconds from the first request to the last answer, over all waves.
    """
    wave_size = min(buyers, connections_possible())
    if wave_size < 1:
        raise ConfigurationError("This process may open too few files: raise `ulimit -n`.")
    total = 0.0
    for start in range(0, buyers, wave_size):
        total += await _wave(
            target, range(start, min(start + wave_size, buyers)), tally, seconds, stop, released
        )
    return total


async def _wave(
    target: BuyTarget,
    numbers: range,
    tally: Tally,
    seconds: float,
    stop: asyncio.Event,
    released: Callable[[int], None],
) -> float:
    left = len(numbers)
    finished = asyncio.Event()

    def done() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finished.set()

    buyers = [Buyer(number, target, tally, done) for number in numbers]
    for at in range(0, len(buyers), CONNECTS_AT_ONCE):
        if stop.is_set():
            break
        await asyncio.gather(*(buyer.connect() for buyer in buyers[at : at + CONNECTS_AT_ONCE]))
    started = time.perf_counter()
    if not stop.is_set():
        released(len(buyers))
        for buyer in buyers:
            buyer.press()
        waits = [asyncio.ensure_future(finished.wait()), asyncio.ensure_future(stop.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    took = time.perf_counter() - started
    for buyer in buyers:
        if not buyer.finished and not stop.is_set():
            tally.failed()
        buyer.close()
    return took
