"""Responses whose body and headers are already bytes."""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

Header = tuple[bytes, bytes]


class Head:
    """Headers that many answers share: as pairs, and as the lines that a server writes.

    Parameters:
        kept: they say themselves whether a cache may keep the answer.
    """

    def __init__(self, *pairs: Header, kept: bool = False) -> None:
        self.pairs = pairs
        self.lines = b"".join(b"%b: %b\r\n" % pair for pair in pairs)
        self.kept = kept


REVALIDATE: Final = (b"cache-control", b"no-cache")
"""A cache that keeps the answer asks each time whether it is still the newest."""
_REVALIDATED: Final = Head((b"content-type", b"application/json"), REVALIDATE, kept=True)
_NOT_MODIFIED: Final = Head(REVALIDATE, kept=True)


class Encoded(Response):
    """A response that skips Starlette's encoding of text.

    Parameters:
        more: headers of this answer alone, after those of the head.
    """

    body: bytes

    def __init__(self, body: bytes, status: int, head: Head, more: Sequence[Header] = ()) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.head = head
        self.more = list(more)

    @property
    def headers(self) -> Headers:  # type: ignore[override]
        """All headers, to read; add others to `more`."""
        return Headers(raw=self.raw_headers)

    @property
    def raw_headers(self) -> list[Header]:  # type: ignore[override]
        """All headers, as ASGI has them."""
        length = [] if self.status_code == 304 else [(b"content-length", b"%d" % len(self.body))]
        return [*length, *self.head.pairs, *self.more]


def revalidated(body: bytes, etag: bytes) -> Encoded:
    """Return a JSON response that its reader may keep, and must compare by its entity tag before each use."""
    return Encoded(body, 200, _REVALIDATED, [(b"etag", etag)])


def not_modified(etag: bytes) -> Encoded:
    """Return the response to a reader who has the newest answer."""
    return Encoded(b"", 304, _NOT_MODIFIED, [(b"etag", etag)])
