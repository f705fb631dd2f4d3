"""Converts HTTP API payloads, version 2.0, of API Gateway and function URLs to requests, and answers back.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from starlette.types import Scope

from flashguard.api.middleware.safe_headers import SAFE

DEFAULT_STAGE: Final = "$default"
TEXTS: Final = (b"text/", b"application/json", b"application/problem+json", b"application/javascript")
"""Prefixes of the content types whose bodies are sent as text; others are sent in base64."""
MAX_ANSWER_BYTES: Final = 5 * 1024 * 1024
"""Lambda transports answers of up to 6 MiB as JSON, where quotes and line ends take two bytes."""
Headers = list[tuple[bytes, bytes]]


class NotHttp(ValueError):
    """The event is not an HTTP request of payload version 2.0."""


class HttpRequest(NamedTuple):
    """A request as it was sent.

    Parameters:
        path: as sent, percent-encoded.
        headers: names in lower case; API Gateway joins several of one name by a comma.
        peer: the client's address as API Gateway saw it; not taken from a header.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    peer: str

    @property
    def url(self) -> bytes:
        """The path and the query."""
        return f"{self.path}?{self.query}".encode() if self.query else self.path.encode()

    def scope(self) -> Scope:
        """Return the request as the scope of an ASGI application."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "https",
            "path": unquote(self.path),
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "root_path": "",
            "headers": self.headers,
            "client": (self.peer, 0),
            "server": (next((v.decode("latin-1") for n, v in self.headers if n == b"host"), "lambda"), 443),
            "state": {},
        }


def request_of(event: Any) -> HttpRequest:
    """Return the request in an event.

    Raises:
        NotHttp: the event does not hold one.
    """
    try:
        about = event["requestContext"]
        http = about["http"]
        path: str = event["rawPath"]
        stage = about.get("stage", DEFAULT_STAGE)
        if stage != DEFAULT_STAGE and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
            path = path[len(stage) + 1 :] or "/"
        headers = [
            (name.lower().encode("latin-1"), value.encode("utf-8"))
            for name, value in (event.get("headers") or {}).items()
        ]
        if event.get("cookies"):
            headers.append((b"cookie", "; ".join(event["cookies"]).encode("utf-8")))
        body = event.get("body") or ""
        return HttpRequest(
            method=http["method"],
            path=path,
            query=event.get("rawQueryString") or "",
            headers=headers,
            body=base64.b64decode(body) if event.get("isBase64Encoded") else body.encode(),
            peer=http["sourceIp"],
        )
    except (KeyError, TypeError, AttributeError, UnicodeError, binascii.Error) as error:
        raise NotHttp(f"not an HTTP request of payload version 2.0: {error!r}") from error


def answer_of(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> dict[str, Any]:
    """Return an answer in Lambda's form, with the safe headers of every answer."""
    joined: dict[str, str] = {}
    cookies: list[str] = []
    kind = b""
    for name, value in headers:
        if name == b"content-type":
            kind = value
        text = value.decode("latin-1")
        if name == b"set-cookie":
            cookies.append(text)
        elif name != b"content-length":  # the gateway sets it
            title = name.decode("latin-1").lower()
            joined[title] = f"{joined[title]}, {text}" if title in joined else text
    for name, value in SAFE:
        joined.setdefault(name.decode(), value.decode())
    answer: dict[str, Any] = {"statusCode": status, "headers": joined, "isBase64Encoded": False}
    if cookies:
        answer["cookies"] = cookies
    try:
        answer["body"] = body.decode() if kind.startswith(TEXTS) or not body else None
    except UnicodeDecodeError:
        answer["body"] = None
    if answer["body"] is None:
        answer["body"], answer["isBase64Encoded"] = base64.b64encode(body).decode(), True
    return answer
