"""A token counts for what it was signed for, for as long as it may, and for nothing else."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest

from flashguard.access import tokens
from flashguard.access.tokens import MAX_TOKEN_SECONDS, MOST_REMEMBERED, Claims, KeyRing, TokenKind
from flashguard.errors import Code
from flashguard.ledger.identities import SigningKey
from flashguard.model import Refused, SaleId

SECRET = b"s" * 32
SALE = SaleId("drop")


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(clock: Clock) -> KeyRing:
    ring = KeyRing(clock)
    ring.replace([key("one")])
    return ring


def key(id_: str, *, signs_from: float = 0.0, ends_at: float | None = None) -> SigningKey:
    return SigningKey(id_, id_.encode().ljust(32, b"."), signs_from, ends_at)


def buyer(ring: KeyRing, seconds: float = 60.0) -> bytes:
    return ring.sign(TokenKind.BUYER, "ann", SALE, seconds).token.encode()


def good(ring: KeyRing, token: bytes, kind: TokenKind = TokenKind.BUYER) -> Claims:
    answer = ring.verify(kind, token)
    assert isinstance(answer, Claims), answer
    return answer


def refused(ring: KeyRing, token: bytes, kind: TokenKind = TokenKind.BUYER) -> Refused:
    answer = ring.verify(kind, token)
    assert isinstance(answer, Refused), answer
    assert answer.code is Code.UNAUTHENTICATED
    return answer


def forged(claims: dict[str, Any], header: dict[str, Any], secret: bytes = b"one".ljust(32, b".")) -> bytes:
    """A token with any claims and any header, signed with HS256 whatever it says of itself."""
    parts = [_text(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)]

    signature = hmac.digest(secret, ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, _text(signature)]).encode()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    said = {"aud": "buyer", "sub": "ann", "sale": SALE, "jti": "x", "iat": now, "exp": now + 60} | more
    return {name: value for name, value in said.items() if value is not None}


HEADER = {"alg": "HS256", "kid": "one", "typ": "JWT"}


def test_a_token_says_who_it_speaks_for_and_where(ring: KeyRing) -> None:
    said = good(
        ring, ring.sign(TokenKind.ADMISSION, "ann", SALE, 60, {"turn": 7}).token.encode(), TokenKind.ADMISSION
    )
    assert (said.subject, said.sale, said.more, said.key) == ("ann", SALE, {"turn": 7}, "one")


def test_a_good_token_made_by_hand_is_good(ring: KeyRing) -> None:
    assert good(ring, forged(claims(), HEADER)).subject == "ann"


@pytest.mark.parametrize(
    ("said", "header"),
    [
        (claims(), HEADER | {"alg": "none"}),
        (claims(), HEADER | {"alg": "HS512"}),
        (claims(), HEADER | {"alg": "RS256"}),
        (claims(), {"alg": "HS256"}),
        (claims(), HEADER | {"kid": 7}),
        (claims(), HEADER | {"kid": "two"}),
        (claims(), HEADER | {"crit": ["exp"], "exp": 1}),
        (claims(exp=None), HEADER),
        (claims(sub=None), HEADER),
        (claims(sub=7), HEADER),
        (claims(jti=None), HEADER),
        (claims(iat=None), HEADER),
        (claims(aud=None), HEADER),
        (claims(exp="soon"), HEADER),
        (claims(exp=int(time.time()) - 100), HEADER),
        (claims(nbf=int(time.time()) + 100), HEADER),
        (claims(iat=int(time.time()) + 100), HEADER),
        (claims(aud="admission"), HEADER),
    ],
)
def test_a_token_that_is_wrong_in_one_thing_is_refused(
    ring: KeyRing, said: dict[str, Any], header: dict[str, Any]
) -> None:
    refused(ring, forged(said, header))


def test_a_token_without_a_signature_is_refused(ring: KeyRing) -> None:
    for algorithm in ("none", "None", "NONE", "HS256"):
        head, body, _ = forged(claims(), HEADER | {"alg": algorithm}).split(b".")
        refused(ring, head + b"." + body + b".")
        refused(ring, head + b"." + body)


def test_a_token_signed_with_another_secret_is_refused(ring: KeyRing) -> None:
    refused(ring, forged(claims(), HEADER, b"?" * 32))
    refused(ring, forged(claims(), HEADER, b""))


def test_what_is_no_token_is_refused(ring: KeyRing) -> None:
    for text in (b"", b".", b"..", b"a.b.c", b"\xff.\xff.\xff", b"e30.e30.", b"[" * 4000, b"x" * 1_000_000):
        refused(ring, text)


def test_a_token_of_one_kind_is_no_token_of_another_also_once_it_was_verified(ring: KeyRing) -> None:
    token = buyer(ring)
    good(ring, token)
    assert "admission" in (refused(ring, token, TokenKind.ADMISSION).detail or "")


def test_a_verified_token_ends_at_its_time(ring: KeyRing, clock: Clock) -> None:
    token = buyer(ring, 60)
    good(ring, token)
    clock.now += 61
    assert "expired" in (refused(ring, token).detail or "")


def test_a_verified_token_ends_with_its_key(ring: KeyRing) -> None:
    token = buyer(ring)
    good(ring, token)
    ring.replace([key("two")])
    refused(ring, token)
    ring.replace([key("one", ends_at=1.0), key("two")])
    refused(ring, token)


def test_a_verified_token_ends_when_it_is_revoked(ring: KeyRing) -> None:
    token = buyer(ring)
    said = good(ring, token)
    ring.replace([key("one")], {said.id: said.expires_at})
    assert "revoked" in (refused(ring, token).detail or "")


def test_a_rotated_key_verifies_what_it_signed_and_signs_no_more(ring: KeyRing, clock: Clock) -> None:
    token = buyer(ring)
    after = [key("one", ends_at=clock.now + MAX_TOKEN_SECONDS + 60), key("two", signs_from=clock.now + 2)]
    ring.replace(after)
    assert good(ring, buyer(ring)).key == "one"  # the new one may not be known everywhere yet
    clock.now += 3  # within the leeway of the library, which has a clock of its own
    assert good(ring, buyer(ring)).key == "two"
    assert good(ring, token).key == "one"


def test_a_revoked_key_signs_nothing_more(ring: KeyRing, clock: Clock) -> None:
    ring.replace([key("one", ends_at=clock.now), key("two", signs_from=clock.now + 5)])
    assert good(ring, buyer(ring)).key == "two"


def test_no_token_lives_longer_than_a_key_is_kept(ring: KeyRing) -> None:
    with pytest.raises(ValueError, match="valid for at most"):
        ring.sign(TokenKind.BUYER, "ann", SALE, MAX_TOKEN_SECONDS + 1)


def test_no_claim_of_a_kind_overrides_a_tokens_own(ring: KeyRing) -> None:
    with pytest.raises(ValueError, match="reserved claims"):
        ring.sign(TokenKind.BUYER, "ann", SALE, 60, {"sub": "bob"})


def test_a_ring_without_keys_signs_nothing() -> None:
    with pytest.raises(LookupError):
        KeyRing().sign(TokenKind.BUYER, "ann", SALE, 60)


def test_the_longest_customer_id_makes_a_token_that_is_short_enough(ring: KeyRing) -> None:
    token = ring.sign(TokenKind.BUYER, "\U0001f525" * 128, SaleId("s" * 64), 60).token.encode()
    assert good(ring, token).subject == "\U0001f525" * 128


def test_what_a_ring_remembers_is_bounded(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_REMEMBERED", 100)
    for _ in range(350):
        good(ring, buyer(ring))
    assert ring.remembered <= 100 < MOST_REMEMBERED


def test_to_see_a_token_again_costs_a_fraction_of_verifying_it(ring: KeyRing) -> None:
    many = [buyer(ring) for _ in range(500)]
    fresh, again = _seconds(ring, many), min(_seconds(ring, many) for _ in range(5))
    assert again < fresh / 2


def _seconds(ring: KeyRing, many: list[bytes]) -> float:
    started = time.process_time()
    for token in many:
        ring.verify(TokenKind.BUYER, token)
    return time.process_time() - started


def test_our_tokens_are_plain_jwts_that_any_library_reads(ring: KeyRing) -> None:
    said = jwt.decode(buyer(ring), b"one".ljust(32, b"."), algorithms=["HS256"], audience="buyer")
    assert (said["sub"], said["sale"]) == ("ann", "drop")


ODD = [
    claims(),
    claims(more={"deep": [1, 2.5, None, "\u00e9"]}),
    claims(sale=None),
    claims(nbf=int(time.time()) - 100),
    claims(nbf=int(time.time()) + 100),
    claims(exp=float(time.time()) + 60),
    claims(exp=int(time.time()) - 1),
    claims(exp=int(time.time()) - 100),
    claims(exp="1"),
    claims(exp=True),
    claims(iat=int(time.time()) + 3),
    claims(iat=int(time.time()) + 100),
    claims(iat="x"),
    claims(aud=["buyer", "admission"]),
    claims(aud="admission"),
    claims(aud=None),
    claims(sub=7),
    claims(sub=None),
    claims(jti=[]),
    claims(jti=None),
]


def test_our_own_reading_of_a_token_is_the_librarys(ring: KeyRing) -> None:
    for said in ODD:
        token = forged(said, HEADER)
        assert token.partition(b".")[0] == buyer(ring).partition(b".")[0]
        theirs = ring._decode_by_library(TokenKind.BUYER, token)
        if isinstance(theirs, Claims) and theirs.expires_at <= time.time():  # within the leeway
            assert isinstance(ring.verify(TokenKind.BUYER, token), Refused)
        else:
            assert ring.verify(TokenKind.BUYER, token) == theirs, said
    head, body, signature = buyer(ring).split(b".")
    for broken in (
        b".".join((head, body, signature[:-1])),
        b".".join((head, body, signature + b"=")),
        b".".join((head, body[:-1], signature)),
        b".".join((head, body, signature, b"x")),
        b".".join((head, body, b"")),
        head + b"..",
        head,
    ):
        assert ring.verify(TokenKind.BUYER, broken) == ring._decode_by_library(TokenKind.BUYER, broken)
    for payload in (b"", b"[]", b"null", b"{", b"\xff", b'{"exp": 1e999}'):
        text = head + b"." + _text(payload).encode()
        token = text + b"." + _text(hmac.digest(b"one".ljust(32, b"."), text, "sha256")).encode()
        assert ring.verify(TokenKind.BUYER, token) == ring._decode_by_library(TokenKind.BUYER, token)
