"""Streams of bytes as a client, a bug or an attacker may send them: requests of HTTP/1.1, some of them bent.

Each comes from a seed alone. The bends are the known shapes of request smuggling: two lengths, a length
beside chunks, odd chunk sizes, odd line ends, odd white space, and bytes that are changed, lost or doubled.
"""

import random
from collections.abc import Callable
from typing import Final

HOT: Final = (
    (b"POST", b"/v1/sales/fuzz/reservations"),
    (b"POST", b"/v1/sales/fuzz/orders"),
    (b"POST", b"/v1/reservations/fuzz.0123456789abcdef01234567/confirm"),
    (b"GET", b"/v1/sales/fuzz"),
)
COLD: Final = (
    (b"GET", b"/healthz"),
    (b"POST", b"/v1/sales"),
    (b"DELETE", b"/v1/sales/fuzz?x=%00"),
    (b"OPTIONS", b"*"),
    (b"GET", b"http://shop.example/v1/sales/fuzz"),
    (b"HEAD", b"/v1/sales/fuzz"),
    (b"get", b"/lower"),
    (b"PATCH", b"/v1/sales/fuzz#fragment"),
    (b"CONNECT", b"shop.example:443"),
    (b"CONNECT", b"/v1/sales/fuzz"),
    (b"GET", b"//v1//sales/fuzz"),
    (b"GET", b"/v1/sales/f uzz"),
    (b"GET", b"/v1/sales/\xff"),
)
VERSIONS: Final = (
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"http/1.1",
    b"HTTP/1.1 ",
    b"HTTP/11",
    b"",
)
LENGTHS: Final = (
    b"+%d", b"-%d", b"0%d", b" %d ", b"\t%d", b"%d, %d", b"%d,%d", b"0x%x", b"%d.0", b"%de0", b"%d_", b"",
    b"\x0b%d", b"9999999999999999999999999", b"18446744073709551616", b"%d\x00", b"%d;",
)  # fmt: skip
ENCODINGS: Final = (
    b"chunked", b"Chunked", b"identity", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked",
    b"chunked;q=1", b"xchunked", b"chunked\x0b", b"\x0bchunked", b"", b",chunked", b"chunked,",
    b"\"chunked\"", b"chunked\x00", b"cow\r\n chunked",
)  # fmt: skip
ODD_HEADERS: Final = (
    b"Content-Length : 5", b" Content-Length: 5", b"Content_Length: 5", b"Content-Length\t: 5",
    b"Content-Length:\r\n 5", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\r\n chunked",
    b"\tTransfer-Encoding: chunked", b": nothing", b"No colon", b"X\x00Y: 1", b"X: a\x00b", b"X: a\rb",
    b"X: a\nb", b"X\xff: 1", b"X: \xff", b"X: " + b"a" * 3000, b"X:", b"Connection: close",
    b"Connection: keep-alive", b"Connection: close, keep-alive", b"Connection: upgrade\r\nUpgrade: h2c",
    b"Upgrade: websocket\r\nConnection: Upgrade", b"Expect: 100-continue", b"Expect: 200-ok",
    b"Host: other.example", b"Proxy-Connection: keep-alive", b"Trailer: Content-Length", b"TE: trailers",
    b"Content-Encoding: gzip", b"X: \x80\x1b[31m", b"HTTP/1.1 200 OK", b"GET / HTTP/1.1",
)  # fmt: skip
SIZES: Final = (
    b"%x;a=b", b"%x ", b" %x", b"0x%x", b"+%x", b"-%x", b"0%x", b"%x\t", b"%x;\x00", b"%x;a=\"\r\n\"",
    b"fffffffffffffffff", b"%X", b"", b"%xg", b"%x;" + b"e" * 300, b"%x\r",
)  # fmt: skip
ENDS: Final = (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b" \r\n", b"\x85", b"")
BODIES: Final = (
    b"", b"{}", b'{"customer":"a","items":[{"sku":"unit","quantity":1}]}', b"0\r\n\r\n", b"\r\n\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 40, b"5\r\nhello\r\n0\r\n\r\n", b"x" * 5000,
)  # fmt: skip
MAX_REQUESTS: Final = 4


def stream(seed: int) -> bytes:
    """Return the bytes of one connection, of one to four requests."""
    rng = random.Random(seed)
    odd = rng.choice((0.0, 0.03, 0.1, 0.3))
    parts = [_request(rng, odd) for _ in range(rng.randint(1, MAX_REQUESTS))]
    whole = rng.choice((b"", b"", b"", b"\r\n", b"\n", b"\r")).join(parts)
    if rng.random() < odd * 2:
        whole = damaged(rng, whole)
    return whole


def cuts(seed: int, whole: bytes) -> list[bytes]:
    """Return the same bytes in pieces: many small ones, a few, or pieces that end beside line ends."""
    rng = random.Random(seed ^ 0xC075)
    kind = rng.randrange(3)
    if kind == 0 and len(whole) < 1500:
        at = list(range(1, len(whole)))
    elif kind == 1:
        at = sorted({rng.randrange(1, len(whole) + 1) for _ in range(rng.randint(1, 6))})
    else:
        ends = [
            i + rng.randint(0, 2) for i in range(len(whole)) if whole[i] in b"\r\n" and rng.random() < 0.5
        ]
        at = sorted({i for i in ends if 0 < i < len(whole)})[:200]
    return [whole[i:j] for i, j in zip([0, *at], [*at, len(whole)], strict=True) if i < j]


def _request(rng: random.Random, odd: float) -> bytes:
    def bent() -> bool:
        return rng.random() < odd

    method, target = rng.choice(HOT if rng.random() < 0.6 else COLD)
    version = rng.choice(VERSIONS) if bent() else b"HTTP/1.1"
    gap = rng.choice((b"  ", b"\t", b"", b" \x0b")) if bent() else b" "
    lines = [method + gap + target + b" " + version]
    if not bent():
        lines.append(b"Host: shop.example")
    body = rng.choice(BODIES) if method in (b"POST", b"PATCH") or bent() else b""
    sent = body
    framing: list[bytes] = []
    chunked = rng.random() < 0.3
    if chunked:
        sent = _chunks(rng, body, bent)
        framing.append(b"Transfer-Encoding: " + (rng.choice(ENCODINGS) if bent() else b"chunked"))
    if (body and not chunked) or bent():
        length = len(body) + (rng.choice((-1, 1, 7, -5)) if bent() else 0)
        text = rng.choice(LENGTHS) if bent() else b"%d"
        framing.append(
            b"Content-Length: " + text.replace(b"%d", b"%d" % length).replace(b"%x", b"%x" % max(length, 0))
        )
        if bent():
            framing.append(b"Content-Length: %d" % (length + rng.choice((0, 1))))
    lines += framing
    if rng.random() < 0.5:
        lines.append(b"Content-Type: application/json")
    while bent():
        lines.append(rng.choice(ODD_HEADERS))
    if bent():
        rest = lines[1:]
        rng.shuffle(rest)
        lines = [lines[0], *rest]
    end = rng.choice(ENDS) if bent() else b"\r\n"
    if bent():  # one odd line end among right ones
        at = rng.randrange(len(lines))
        return b"\r\n".join(lines[: at + 1]) + end + b"\r\n".join([*lines[at + 1 :], b"", b""]) + sent
    return end.join([*lines, b"", b""]) + sent


def _chunks(rng: random.Random, body: bytes, bent: Callable[[], bool]) -> bytes:
    out, at = b"", 0
    while at < len(body):
        size = rng.randint(1, len(body) - at)
        text = (
            (rng.choice(SIZES) if bent() else b"%x").replace(b"%x", b"%x" % size).replace(b"%X", b"%X" % size)
        )
        out += text + (rng.choice(ENDS) if bent() else b"\r\n") + body[at : at + size]
        out += rng.choice(ENDS) if bent() else b"\r\n"
        at += size
    last = rng.choice((b"0", b"00", b"0;x", b"", b"-0", b"0 ")) if bent() else b"0"
    trailer = (
        rng.choice((b"Content-Length: 5\r\n", b"X: 1\r\n", b"bad\r\n", b"X: 1\n", b" X: 1\r\n"))
        if bent()
        else b""
    )
    return out + last + b"\r\n" + trailer + (rng.choice(ENDS) if bent() else b"\r\n")


def damaged(rng: random.Random, whole: bytes) -> bytes:
    """Return the bytes with some changed, lost or doubled; never none."""
    raw = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        if not raw:
            break
        at, kind = rng.randrange(len(raw)), rng.randrange(4)
        if kind == 0:
            raw[at] = rng.randrange(256)
        elif kind == 1:
            del raw[at : at + rng.randint(1, 8)]
        elif kind == 2:
            raw[at:at] = raw[at : at + rng.randint(1, 40)]
        else:
            del raw[at:]
    return bytes(raw) or b"\r"
