"""How another parser understands a stream: h11, written from RFC 9112 by other people, in plain Python."""

from typing import NamedTuple

import h11

from .echo import Understood

MAX_HEAD = 1 << 20


class Reading(NamedTuple):
    """What the reference understood of a stream.

    Parameters:
        requests: in order, each complete.
        ends: why no more: "invalid", "incomplete", "all" or "close".
    """

    requests: tuple[Understood, ...]
    ends: str


def read(whole: bytes) -> Reading:
    """Return how the reference understands a stream. Empty lines before a request are
    skipped (RFC 9112, 2.2)."""
    requests: list[Understood] = []
    rest = whole.lstrip(b"\r\n")
    while rest:
        server = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        request, body = None, b""
        try:
            server.receive_data(rest)
            while not isinstance(event := server.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    return Reading(tuple(requests), "incomplete")
            assert request is not None
            requests.append(_understood(request, body))
            server.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
            server.send(h11.EndOfMessage())
            if (server.our_state, server.their_state) != (h11.DONE, h11.DONE):
                return Reading(tuple(requests), "close")
        except h11.RemoteProtocolError:
            return Reading(tuple(requests), "invalid")
        rest = server.trailing_data[0].lstrip(b"\r\n")
    return Reading(tuple(requests), "all")


def _understood(request: h11.Request, body: bytes) -> Understood:
    target = request.target.decode("latin-1").partition("#")[0]
    if target.startswith("http://"):
        target = "/" + target.removeprefix("http://").partition("/")[2]
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
    return Understood(request.method.decode("latin-1"), target, headers, body.decode("latin-1"))
