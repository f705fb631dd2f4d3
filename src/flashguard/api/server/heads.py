"""What a request's head may say: versions, transfer codings, offers of another protocol; and trailers."""

from typing import Final

import httptools

from flashguard.api.responses.encoded import Header

VERSIONS: Final = ("1.1", "1.0")
OFFERS: Final = frozenset((b"upgrade", b"http2-settings"))
"""Headers with which a client offers another protocol (RFC 9110, 7.8); `Connection` names them."""


class Unheeded(list[Header]):
    """Where the fields go that come after a chunked body, in its trailer. No proxy filtered them as headers,
    so they must not become headers (RFC 9110, 6.5.1)."""

    def append(self, _: Header) -> None:
        """Drop the field."""


NO_HEADERS: Final = Unheeded()


def has_other_coding(headers: list[Header]) -> bool:
    """Return whether a body is coded in another way than in chunks (RFC 9112, 6.1)."""
    return any(name == b"transfer-encoding" and value.lower() != b"chunked" for name, value in headers)


def head_without_offer(parser: httptools.HttpRequestParser, url: bytes, headers: list[Header]) -> bytes:
    """Return the head of a request without the offer of another protocol."""
    lines = [b"%b %b HTTP/%b" % (parser.get_method(), url, parser.get_http_version().encode())]
    for name, value in headers:
        if name == b"connection":
            words = (word.strip() for word in value.lower().split(b","))
            value = b", ".join(word for word in words if word not in OFFERS)
        if name not in OFFERS:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join((*lines, b"", b""))
