"""Signed tokens (JWT, HS256) for buyers, admissions and waiting-room tickets, and the keys that sign them.

A token names its kind (`aud`), so that no kind passes for another, and its key (`kid`), so that keys can be
rotated: a new key signs, the old keys verify until their last token has ended. HS256 is the only accepted
algorithm; a token that names another one is refused.
"""

import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from flashguard.errors import Code
from flashguard.ledger.identities import SigningKey
from flashguard.model import Refused, SaleId

ALGORITHM: Final = "HS256"
MAX_TOKEN: Final = 4096
"""Most characters of a token; enough for a customer id of 128 characters from any Unicode plane."""
MAX_TOKEN_SECONDS: Final = 86_400
"""Longest lifetime of a token, and so the time for which a rotated key must still verify."""
SIGNS_AFTER_SECONDS: Final = 10.0
"""Delay before a new key signs: by then every process has loaded it."""
SLACK_SECONDS: Final = 60.0
"""Time for which an old key verifies beyond the longest token: a process may load the new key late."""
LEEWAY_SECONDS: Final = 5
"""Greatest difference between the clocks of two hosts at which a new token is still accepted."""
MOST_REMEMBERED: Final = 20_000
"""Most verified tokens that a process remembers, in two generations of half that number."""
SECRET_BYTES: Final = 32
"""RFC 7518, 3.2: at least the length of the hash."""
REQUIRED: Final = ["aud", "exp", "iat", "jti", "sub"]
RESERVED: Final = frozenset((*REQUIRED, "nbf", "sale"))


class TokenKind(StrEnum):
    """The purpose of a token: its `aud`."""

    BUYER = "buyer"
    ADMISSION = "admission"
    TICKET = "ticket"


class Claims(Struct, frozen=True):
    """The claims of a valid token.

    Parameters:
        key: the id of the key that signed it.
        subject: `sub`, the customer.
        expires_at: `exp`, in seconds since the Unix epoch.
        more: further claims, which depend on the kind.
    """

    kind: TokenKind
    key: str
    id: str
    subject: str
    sale: SaleId | None
    expires_at: float
    more: Mapping[str, Any]


class Signed(Struct, frozen=True):
    """A signed token, with the id that revokes it and its end in seconds since the Unix epoch."""

    token: str
    id: str
    expires_at: float


def _refused(detail: str) -> Refused:
    return Refused(code=Code.UNAUTHENTICATED, detail=detail)


INVALID: Final = _refused("The token is not valid.")
UNKNOWN_KEY: Final = _refused("Unknown or retired signing key.")
EXPIRED: Final = _refused("The token has expired.")
NOT_YET: Final = _refused("The token is not valid yet.")
REVOKED: Final = _refused("The token was revoked.")
WRONG_KIND: Final = {kind: _refused(f"The token is not of the kind {kind.value!r}.") for kind in TokenKind}


class KeyRing:
    """The signing keys that this process knows, and the tokens that it has already verified.

    Parameters:
        clock: seconds since the Unix epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._headers: dict[bytes, SigningKey] = {}
        self._revoked: Mapping[str, float] = {}
        self._young: dict[bytes, Claims] = {}
        self._old: dict[bytes, Claims] = {}

    @property
    def remembered(self) -> int:
        """The number of tokens that need no second verification."""
        return len(self._young) + len(self._old)

    def replace(self, keys: Sequence[SigningKey], revoked: Mapping[str, float] | None = None) -> None:
        """Replace the keys that may still verify a token, and the ids of revoked tokens."""
        if list(self._keys.values()) != list(keys):
            self._keys = {key.id: key for key in keys}
            self._headers = {}  # made when first needed
        self._revoked = revoked or {}

    def forget(self) -> None:
        """Forget every verified token, so that each is verified again."""
        self._young, self._old = {}, {}

    def sign(
        self,
        kind: TokenKind,
        subject: str,
        sale: SaleId | None,
        seconds: float,
        more: Mapping[str, Any] | None = None,
        *,
        id_: str | None = None,
    ) -> Signed:
        """Return a signed token that is valid for this number of seconds.

        Parameters:
            more: further claims of the kind.
            id_: the token's id, by which it can be revoked; random by default.

        Raises:
            LookupError: no signing key is loaded yet.
            ValueError: the lifetime is longer than allowed, or `more` has a reserved claim.
        """
        if not 0 < seconds <= MAX_TOKEN_SECONDS:
            raise ValueError(f"a token is valid for at most {MAX_TOKEN_SECONDS} s")
        if more and not RESERVED.isdisjoint(more):
            raise ValueError(f"reserved claims can't be given: {', '.join(sorted(RESERVED & more.keys()))}")
        now = self._clock()
        id_, expires_at = id_ or secrets.token_hex(12), int(now + seconds)
        key = self._signing_key(expires_at, now)
        claims: dict[str, Any] = {
            "aud": kind, "sub": subject, "jti": id_, "iat": int(now), "exp": expires_at, **(more or {})
        }  # fmt: skip
        if sale is not None:
            claims["sale"] = sale
        import jwt  # here and below: slow to import, and many processes never see a token

        token = jwt.encode(claims, key.secret, ALGORITHM, headers={"kid": key.id})
        return Signed(token, id_, expires_at)

    def _signing_key(self, expires_at: float, now: float) -> SigningKey:
        """Return the newest key that every process has loaded, or else the newest key; it lives as long as
        the token."""
        lasting = [key for key in self._keys.values() if key.ends_at is None or key.ends_at >= expires_at]
        usable = [key for key in lasting if key.signs_from <= now] or lasting
        if not usable:
            raise LookupError("no signing key is loaded, or none can be decrypted")
        return max(usable, key=lambda key: key.signs_from)

    def verify(self, kind: TokenKind, token: bytes, digest: bytes | None = None) -> Claims | Refused:
        """Return the token's claims; a refusal unless we signed it, for this kind, and it is neither expired
        nor revoked.

        Parameters:
            digest: the token's SHA-256, if the caller has computed it.
        """
        if len(token) > MAX_TOKEN:
            return INVALID
        digest = digest or hashlib.sha256(token).digest()
        claims = self._young.get(digest) or self._remember_again(digest)
        if claims is None:
            decoded = self._decode(kind, token)
            if isinstance(decoded, Refused):
                return decoded
            claims = decoded
            self._remember(digest, claims)
        now = self._clock()
        key = self._keys.get(claims.key)
        if key is None or (key.ends_at is not None and key.ends_at <= now):
            return UNKNOWN_KEY
        if claims.expires_at <= now:
            return EXPIRED
        if claims.kind is not kind:
            return WRONG_KIND[kind]
        if claims.id in self._revoked:
            return REVOKED
        return claims

    def _decode(self, kind: TokenKind, token: bytes) -> Claims | Refused:
        """Return the token's claims. A token with exactly the header that we write takes a few microseconds.

        The library reads every other token, and names the fault of a bad one; a test compares the two.
        """
        header, _, rest = token.partition(b".")
        if not self._headers:
            self._headers = {_header(key): key for key in self._keys.values()}
        key = self._headers.get(header)
        if key is not None:
            body, _, signature = rest.partition(b".")
            expected = hmac.digest(key.secret, token[: len(header) + 1 + len(body)], "sha256")
            if hmac.compare_digest(_encode_base64(expected), signature):
                claims = self._decode_plain(kind, key, body)
                if claims is not None:
                    return claims
        return self._decode_by_library(kind, token)

    def _decode_plain(self, kind: TokenKind, key: SigningKey, body: bytes) -> Claims | None:
        """Return the claims of a body whose signature is valid; None when anything about it is unusual."""
        try:
            claims = _parse_claims(_decode_base64(body))
        except (ValueError, msgspec.MsgspecError):
            return None
        now = self._clock()
        if (
            claims.get("aud") != kind
            or "nbf" in claims
            or {str} != {type(claims.get("sub")), type(claims.get("jti"))}
            or {int} != {type(claims.get("iat")), type(claims.get("exp"))}
            or not (claims["iat"] <= now + LEEWAY_SECONDS and now < claims["exp"])
        ):
            return None
        return _claims(kind, key, claims)

    def _decode_by_library(self, kind: TokenKind, token: bytes) -> Claims | Refused:
        import jwt

        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(key_id) if isinstance(key_id, str) else None
            if key is None:
                return UNKNOWN_KEY if isinstance(key_id, str) else INVALID
            claims = jwt.decode(
                token,
                key.secret,
                algorithms=[ALGORITHM],
                audience=kind,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            return EXPIRED
        except jwt.ImmatureSignatureError:
            return NOT_YET
        except jwt.InvalidAudienceError:
            return WRONG_KIND[kind]
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            return INVALID
        return _claims(kind, key, claims)

    def _remember_again(self, digest: bytes) -> Claims | None:
        claims = self._old.get(digest)
        if claims is not None:
            self._remember(digest, claims)
        return claims

    def _remember(self, digest: bytes, claims: Claims) -> None:
        if len(self._young) >= MOST_REMEMBERED // 2:
            self._old, self._young = self._young, {}
        self._young[digest] = claims


def _claims(kind: TokenKind, key: SigningKey, claims: dict[str, Any]) -> Claims:
    more = {name: value for name, value in claims.items() if name not in RESERVED}
    return Claims(kind, key.id, claims["jti"], claims["sub"], claims.get("sale"), float(claims["exp"]), more)


_parse_claims: Final = msgspec.json.Decoder(dict[str, Any]).decode
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


def _encode_base64(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=")


def _decode_base64(text: bytes) -> bytes:
    return binascii.a2b_base64(text.translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4))


def _header(key: SigningKey) -> bytes:
    """Return the header that the library writes into a token of this key."""
    import jwt

    return jwt.encode({}, key.secret, ALGORITHM, headers={"kid": key.id}).partition(".")[0].encode()


def new_signing_key() -> tuple[str, bytes]:
    """Return the id and the secret of a new signing key."""
    return secrets.token_hex(6), secrets.token_bytes(SECRET_BYTES)
