"""A response whose body and headers are already bytes."""

from starlette.responses import Response


class Encoded(Response):
    """A response that skips Starlette's encoding of text."""

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), *headers]
