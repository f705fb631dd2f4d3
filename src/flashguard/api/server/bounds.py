"""The limits of one process on its connections, and how it refuses a request that breaks one."""

import contextlib
import resource
from typing import Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from flashguard.api.middleware.safe_headers import SAFE_BYTES, SAFE_BYTES_OF_KEPT
from flashguard.api.responses.encoded import Header
from flashguard.errors import Code
from flashguard.settings import Settings

SPARE_FILES: Final = 256
"""Maximum number of files that a process keeps open besides its connections."""


class Bounds:
    """The limits of one process, and the number of its connections that are being closed to make room."""

    def __init__(self, settings: Settings) -> None:
        self.head_bytes = settings.max_head_bytes
        self.head_seconds = settings.head_timeout_seconds
        self.body_seconds = settings.body_timeout_seconds
        self.connections = min(settings.max_connections, _files() - SPARE_FILES)
        self.leaving = 0
        self._default_headers: list[Header] | None = None
        self._first_lines: dict[tuple[int, bool], bytes] = {}

    def first_lines(self, status: int, kept: bool, default_headers: list[Header]) -> bytes:
        """Return what an answer begins with, in uvicorn's order.

        Parameters:
            kept: the answer says itself how it may be kept.
            default_headers: uvicorn's; it makes a new list each second.
        """
        if default_headers is not self._default_headers:
            self._default_headers, self._first_lines = default_headers, {}
        lines = self._first_lines.get((status, kept))
        if lines is None:
            more = b"".join(b"%b: %b\r\n" % pair for pair in default_headers)
            lines = STATUS_LINE[status] + more + (SAFE_BYTES_OF_KEPT if kept else SAFE_BYTES)
            self._first_lines[status, kept] = lines
        return lines


def _files() -> int:
    """Raise the limit of open files as far as allowed, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # the hard limit can be more than the system allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else 1 << 30


class Cut(NamedTuple):
    """Why a connection is closed: the status, detail and code of the problem."""

    status: int
    detail: str
    code: Code = Code.INVALID_REQUEST


SLOW: Final = Cut(408, "The request did not arrive completely in time.")
LARGE_HEAD: Final = Cut(431, "The request's headers are too large or too many.")
OTHER_VERSION: Final = Cut(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
NO_TUNNEL: Final = Cut(501, "This server is no proxy.")
OTHER_CODING: Final = Cut(501, "The only transfer coding here is chunked.")
LARGE_FRAMING: Final = Cut(400, "The request's chunks or trailers are too large.")
LONG_URL: Final = Cut(414, "The request's address is too long.")
NO_HTTP: Final = Cut(400, "This is not a valid HTTP request.")
FULL: Final = Cut(503, "This process has its maximum number of connections.", Code.OVERLOADED)
