"""The server understands a stream of bytes as another parser does, or refuses it; in one piece or in many.

Where two servers in a row understand one stream differently, an attacker can hide a request from the first
(request smuggling, RFC 9112, 11.2). So nothing may be understood that the reference refuses or reads
otherwise, and the lane and the application must read alike. `make fuzz SEEDS=100000` tries more streams.
"""

import os
import re
from pathlib import Path
from typing import Final

import pytest

from .echo import EchoServer, Heard, Understood, echo_server
from .reference import Reading, read
from .streams import cuts, stream

FIRST: Final = int(os.environ.get("SEED", "0"))
SEEDS: Final = int(os.environ.get("SEEDS", "2500"))
CORPUS: Final = sorted((Path(__file__).parent / "corpus").glob("*.http"))
"""Streams that were once understood wrongly."""
OFFERS: Final = ("connection", "upgrade", "http2-settings")
"""The server drops these where they offer a protocol that it does not speak."""
TWO_SPACES: Final = re.compile(rb"[A-Za-z] {2,}[/*h]| {2,}HTTP/")
"""Beyond the reference, the server accepts more than one space in a request's first line (RFC 9112, 3)."""


def normal(request: Understood) -> Understood:
    """Return a request without what may differ: white space around values, and the offer of a protocol."""
    headers = [(name, value.strip(" \t")) for name, value in request.headers if name not in OFFERS]
    return request._replace(
        headers=tuple((n, value.lower() if n == "transfer-encoding" else value) for n, value in headers)
    )


def explained(heard: Heard, reading: Reading, whole: bytes) -> bool:
    """Return whether the reference refuses less than the server, but for what is known and harmless: a
    request without a `Host`, which this server never reads, and spaces in a first line."""
    beyond = heard.requests[len(reading.requests) :]
    if not beyond:
        return True
    hosts = sum(name == "host" for name, _ in beyond[0].headers)
    return reading.ends == "invalid" and (hosts != 1 or bool(TWO_SPACES.search(whole)))


def check(whole: bytes, heard: Heard, reading: Reading) -> None:
    """Compare what the server understood with what the reference did."""
    for ours, theirs in zip(heard.requests, reading.requests, strict=False):
        if ours.method != "HEAD":  # its answer has no body to tell what was understood
            assert normal(ours) == normal(theirs)
    assert explained(heard, reading, whole), f"only we accept {heard.requests[len(reading.requests)]}"
    if len(heard.requests) < len(reading.requests):
        assert heard.closed, f"we wait for more of {reading.requests[len(heard.requests)]}"


async def compare(lane: EchoServer, app: EchoServer, whole: bytes, pieces: list[bytes]) -> Heard:
    """Send a stream three times, and check that each is understood as it should be."""
    heard, by_app, in_pieces = await lane.hear([whole]), await app.hear([whole]), await lane.hear(pieces)
    assert (heard.requests, heard.closed) == (by_app.requests, by_app.closed), "the lane reads otherwise"
    assert (heard.requests, heard.closed) == (in_pieces.requests, in_pieces.closed), "pieces read otherwise"
    check(whole, heard, read(whole))
    return heard


@pytest.mark.timeout(60 + SEEDS // 50)
async def test_thousands_of_bent_streams_are_understood_as_another_parser_does():
    by_lane = answered = refused = 0
    async with echo_server(has_lane=True) as lane, echo_server(has_lane=False) as app:
        for seed in range(FIRST, FIRST + SEEDS):
            whole = stream(seed)
            try:
                heard = await compare(lane, app, whole, cuts(seed, whole))
            except Exception as error:
                raise AssertionError(f"stream {seed}: {whole!r}") from error
            by_lane += heard.by_lane
            answered += len(heard.requests)
            refused += bool(heard.refusal)
    assert min(by_lane, answered - by_lane, refused) > SEEDS / 10  # all three ways are taken often


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
async def test_a_stream_that_was_once_understood_wrongly_is_not_again(file: Path):
    whole = file.read_bytes()
    async with echo_server(has_lane=True) as lane, echo_server(has_lane=False) as app:
        await compare(lane, app, whole, [whole[i : i + 1] for i in range(len(whole))])


POST: Final = b"POST /v1/sales/fuzz/orders HTTP/1.1\r\nHost: a\r\n"
GET: Final = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN: Final = POST + b"Content-Length: 2\r\n\r\n{}"


async def heard_of(*pieces: bytes) -> Heard:
    async with echo_server(has_lane=True) as lane:
        return await lane.hear(list(pieces))


async def test_a_field_after_a_body_never_becomes_a_header():
    trailer = b"Authorization: Bearer x\r\nExpect: 100-continue\r\n\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + trailer
    for first_line in (b"POST /v1/sales/fuzz/orders", b"POST /v1/sales"):
        heard = await heard_of(first_line + b" HTTP/1.1\r\nHost: a\r\n" + chunked, GET)
        assert heard.requests[0].headers == (("host", "a"), ("transfer-encoding", "chunked"))
        assert len(heard.requests) == 2


async def test_trailers_and_chunk_extensions_without_end_are_refused():
    begins = POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    for endless in (b"0\r\n" + b"x: y\r\n" * 20_000, b"0\r\nx: " + b"y" * 100_000, b"1;" + b"x" * 100_000):
        sent = begins + endless
        heard = await heard_of(*(sent[i : i + 8192] for i in range(0, len(sent), 8192)))
        assert (heard.requests, heard.refusal, heard.closed) == ((), 400, True)
    small = b"".join(b"1\r\nx\r\n" for _ in range(20_000)) + b"0\r\n\r\n"
    sent = begins + small
    heard = await heard_of(*(sent[i : i + 8192] for i in range(0, len(sent), 8192)))
    assert len(heard.requests[0].body) == 20_001


OFFERED: Final = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\nUpgrade: h2c\r\n",
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
}


@pytest.mark.parametrize("offer", OFFERED.values(), ids=OFFERED)
async def test_the_body_of_a_request_that_offers_another_protocol_is_read(offer: bytes):
    whole = POST + offer + b"Content-Length: 2\r\n\r\n{}" + GET
    for pieces in ([whole], [whole[i : i + 1] for i in range(len(whole))]):
        heard = await heard_of(*pieces)
        assert [request.body for request in heard.requests] == ["{}", ""]
        assert not heard.closed
    ends = whole.replace(b"Connection: Upgrade", b"Connection: close, Upgrade")
    assert (await heard_of(ends)).closed


BROKEN: Final = {
    "an address": b"GET /f uzz HTTP/1.1\r\nHost: a\r\n\r\n",
    "a body": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a version": b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n",
    "a tunnel": b"CONNECT /v1/sales/fuzz HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_requests_before_a_broken_one_still_get_their_answers(broken: bytes):
    for earlier in ([], [PLAIN], [GET], [PLAIN, PLAIN], [GET, PLAIN, GET]):
        heard = await heard_of(b"".join(earlier) + broken)
        assert (len(heard.requests), heard.closed) == (len(earlier), True)
        assert bool(heard.refusal) is (not earlier)


async def test_a_version_a_coding_and_a_tunnel_that_are_not_served_are_named_as_such():
    assert (await heard_of(BROKEN["a version"])).refusal == 505
    assert (await heard_of(BROKEN["a coding"])).refusal == 501
    assert (await heard_of(BROKEN["a tunnel"])).refusal == 501
