"""One attempt to deliver one message, in bounded time and memory whatever the receiver does."""

import asyncio
import functools
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from msgspec import Struct
from yarl import URL

from flashguard.model.whole import whole_number

from .addresses import wrong_url
from .messages import Message
from .resolver import CheckedResolver, ForbiddenAddress
from .signing import signed_headers

MAX_ANSWER: Final = 16 * 1024
"""Bytes of an answer's body that are read; the rest is cut off."""
MAX_RECEIVED: Final = 64 * 1024
"""Bytes of one answer that are parsed: interim answers, head and body together; what follows is not read."""
MAX_INTERIM: Final = 16
"""Interim answers (1xx) that may stand before the final one."""
PIECE: Final = 2048
"""Bytes given to the parser at a time: bounds the 1xx answers that are parsed before they are counted."""
CONNECT_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 15.0
ERROR_LENGTH: Final = 300
MAX_RETRY_AFTER: Final = 24 * 3600.0
GONE: Final = 410


class Attempt(Struct, frozen=True, kw_only=True):
    """The outcome of one attempt. `error` says what went wrong; None: delivered."""

    status: int | None = None
    error: str | None = None
    took_ms: int = 0
    retry_after: float = 0.0


class OversizedAnswer(aiohttp.ClientError):
    """The receiver sent more than an answer needs; the connection is closed."""


class BoundedAnswer(ResponseHandler):
    """A connection that ends when an answer passes its bounds, before or after its status.

    aiohttp alone queues interim answers without a bound, also on an idle connection.
    """

    _received = 0
    _answers = 0

    def set_response_params(self, **params: Any) -> None:  # called once per request
        self._received = self._answers = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if not data:  # aiohttp resumes a paused parser with it
            super().data_received(data)
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._received += len(piece)
            if self._received > MAX_RECEIVED:
                self._refuse(f"sent more than {MAX_RECEIVED} bytes")
                return
            super().data_received(piece)
            if self._answers > MAX_INTERIM + 1:
                self._refuse(f"sent more than {MAX_INTERIM} interim answers (1xx)")
                return

    def feed_data(self, data: Any, size: int = 0) -> None:
        self._answers += 1
        super().feed_data(data, size)

    def _refuse(self, what: str) -> None:
        error = OversizedAnswer(f"the receiver {what}")
        payload, transport = self._payload, self.transport
        self.set_exception(error)
        if payload is not None and not payload.is_eof():
            payload.set_exception(error)
        if transport is not None:
            transport.abort()


class _Connector(aiohttp.TCPConnector):
    """Makes bounded connections. The factory is not part of aiohttp's public API: pyproject.toml bounds the
    version with which this was tested."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Any = functools.partial(BoundedAnswer, loop=self._loop)


class Sender:
    """Sends to one endpoint, through connections that no other endpoint shares.

    Parameters:
        private: addresses of our own network, and plain http, are allowed.
    """

    def __init__(self, *, private: bool, at_once: int, timeout_seconds: float) -> None:
        self._private = private
        self._timeout = timeout_seconds
        resolver = CheckedResolver(private=private)
        self._resolver = resolver
        self._http = aiohttp.ClientSession(
            connector=_Connector(
                resolver=resolver, use_dns_cache=False, limit=at_once, keepalive_timeout=IDLE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,  # a small answer may be a huge one in disguise
            headers={"User-Agent": "FlashGuard", "Content-Type": "application/json"},
        )

    async def close(self) -> None:
        await self._http.close()
        await self._resolver.close()

    async def send(self, url: str, message: Message, signers: list[str]) -> Attempt:
        """Send a message, signed with the current time."""
        started = time.monotonic()
        attempt = await self._send(url, message, signers)
        took_ms = round((time.monotonic() - started) * 1000)
        return Attempt(
            status=attempt.status, error=attempt.error, took_ms=took_ms, retry_after=attempt.retry_after
        )

    async def _send(self, url: str, message: Message, signers: list[str]) -> Attempt:
        wrong = wrong_url(url, private=self._private)  # aiohttp asks the resolver only for names
        if wrong:
            return Attempt(error=f"not sent: the URL {wrong}")
        headers = signed_headers(message.id, int(time.time()), message.body, signers)
        status = None
        try:
            async with self._http.post(
                URL(url), data=message.body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
                whole = await _read_some(answer)
                if not whole:
                    answer.close()
                if 200 <= status < 300:
                    return Attempt(status=status)
                if 300 <= status < 400:
                    return Attempt(status=status, error=f"answered {status}: redirects are not followed")
                retry_after = _retry_after(answer.headers.get("Retry-After"))
                return Attempt(status=status, error=f"answered {status}", retry_after=retry_after)
        except TimeoutError:
            return Attempt(status=status, error=f"no answer within {self._timeout:g} s")
        except ForbiddenAddress as error:
            return Attempt(error=f"not sent: {error}")
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            forbidden = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
            if isinstance(forbidden, ForbiddenAddress):
                return Attempt(error=f"not sent: {forbidden}")
            return Attempt(status=status, error=(str(error) or type(error).__name__)[:ERROR_LENGTH])


async def _read_some(answer: aiohttp.ClientResponse) -> bool:
    """Read an answer up to the bound; return False when there was more. An answer that breaks off raises."""
    read = 0
    try:
        async for chunk in answer.content.iter_any():
            read += len(chunk)
            if read > MAX_ANSWER:
                return False
    except OversizedAnswer:
        return False
    return True


def _retry_after(text: str | None) -> float:
    """Return the header in seconds; 0 when it is missing or unreadable."""
    if text is None:
        return 0.0
    try:
        seconds: float | None = whole_number(text.strip())
        if seconds is None:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
