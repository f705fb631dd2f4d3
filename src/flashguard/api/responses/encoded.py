"""Responses whose body and headers are already bytes."""

from typing import Final

from starlette.responses import Response


class Encoded(Response):
    """A response that skips Starlette's encoding of text."""

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), *headers]


REVALIDATE: Final = (b"cache-control", b"no-cache")
"""A cache that keeps the answer asks each time whether it is still the newest."""


class Revalidated(Encoded):
    """A JSON response that its reader may keep, and must compare by its entity tag before each use."""

    def __init__(self, body: bytes, etag: bytes) -> None:
        super().__init__(body, 200, [(b"content-type", b"application/json"), REVALIDATE, (b"etag", etag)])


class NotModified(Revalidated):
    """The response to a reader who has the newest answer."""

    def __init__(self, etag: bytes) -> None:
        self.status_code = 304
        self.background = None
        self.body = b""
        self.raw_headers = [REVALIDATE, (b"etag", etag)]
