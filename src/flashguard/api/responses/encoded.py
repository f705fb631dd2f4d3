"""A response whose body and headers are bytes already."""

from starlette.responses import Response


class Encoded(Response):
    """What Starlette does for text, it need not do here."""

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), *headers]
