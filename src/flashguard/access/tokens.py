"""Signed tokens (JWT, HS256) for buyers, for admission to a sale, for places in a queue; and their keys.

A token names its kind (`aud`), so that none passes for another, and its key (`kid`), so that keys can be
rotated: a new one signs, the old ones verify until their last token has ended. The algorithm is ours to
choose, never the token's.
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
"""Characters; a customer id of 128 characters from any plane stays below."""
MAX_TOKEN_SECONDS: Final = 86_400
"""No token lives longer, so that a rotated key is needed no longer."""
SIGNS_AFTER_SECONDS: Final = 10.0
"""A new key signs after so long: by then every process knows it."""
SLACK_SECONDS: Final = 60.0
"""How much longer than the longest token an old key verifies: a process may learn late of the new one."""
LEEWAY_SECONDS: Final = 5
"""How far the clocks of two hosts may be apart before a fresh token looks like one of the future."""
MOST_REMEMBERED: Final = 20_000
"""Verified tokens that a process remembers, in two generations of half as many."""
SECRET_BYTES: Final = 32
"""RFC 7518, 3.2: as long as the hash."""
REQUIRED: Final = ["aud", "exp", "iat", "jti", "sub"]
OURS: Final = frozenset((*REQUIRED, "nbf", "sale"))


class Kind(StrEnum):
    """What a token is for: its `aud`."""

    BUYER = "buyer"
    ADMISSION = "admission"
    TICKET = "ticket"


class Claims(Struct, frozen=True):
    """What a good token says.

    Parameters:
        subject: `sub`, the customer.
        expires_at: `exp`, in seconds since the Unix epoch.
        more: claims that belong to its kind.
    """

    kind: Kind
    key: str
    id: str
    subject: str
    sale: SaleId | None
    expires_at: float
    more: Mapping[str, Any]


class Signed(Struct, frozen=True):
    """A token as it is handed out."""

    token: str
    id: str
    expires_at: float


def _refused(detail: str) -> Refused:
    return Refused(code=Code.UNAUTHENTICATED, detail=detail)


INVALID: Final = _refused("The token is not valid.")
UNKNOWN_KEY: Final = _refused("The token's signing key is not known, or not any more.")
EXPIRED: Final = _refused("The token has expired.")
NOT_YET: Final = _refused("The token is not valid yet.")
REVOKED: Final = _refused("The token was revoked.")
WRONG_KIND: Final = {kind: _refused(f"This is no {kind} token.") for kind in Kind}


class KeyRing:
    """The signing keys that this process knows, and the tokens that it has verified with them.

    Parameters:
        clock: seconds since the Unix epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._heads: dict[bytes, SigningKey] = {}
        self._revoked: Mapping[str, float] = {}
        self._young: dict[bytes, Claims] = {}
        self._old: dict[bytes, Claims] = {}

    @property
    def remembered(self) -> int:
        """Tokens that need no second verification."""
        return len(self._young) + len(self._old)

    def replace(self, keys: Sequence[SigningKey], revoked: Mapping[str, float] | None = None) -> None:
        """Takes what the ledger has: all keys whose tokens may still count, and the tokens that don't."""
        if list(self._keys.values()) != list(keys):
            self._keys = {key.id: key for key in keys}
            self._heads = {}  # made when first needed
        self._revoked = revoked or {}

    def forget(self) -> None:
        """Has every token verified anew."""
        self._young, self._old = {}, {}

    def sign(
        self,
        kind: Kind,
        subject: str,
        sale: SaleId | None,
        seconds: float,
        more: Mapping[str, Any] | None = None,
        *,
        id_: str | None = None,
    ) -> Signed:
        """A token that counts for so many seconds.

        Parameters:
            id_: its id, which revokes it; made at random where none is given.

        Raises:
            LookupError: no key is known yet.
            ValueError: longer than any token may live, or a claim of `more` is one of a token's own.
        """
        if not 0 < seconds <= MAX_TOKEN_SECONDS:
            raise ValueError(f"a token lives at most {MAX_TOKEN_SECONDS} s")
        if more and not OURS.isdisjoint(more):
            raise ValueError("a token's own claims are not to be given")
        now = self._clock()
        id_, expires_at = id_ or secrets.token_hex(12), int(now + seconds)
        key = self._signing_key(expires_at, now)
        claims: dict[str, Any] = {
            "aud": kind, "sub": subject, "jti": id_, "iat": int(now), "exp": expires_at, **(more or {})
        }  # fmt: skip
        if sale is not None:
            claims["sale"] = sale
        import jwt  # here and below: its imports take long, and many a process never sees a token

        token = jwt.encode(claims, key.secret, ALGORITHM, headers={"kid": key.id})
        return Signed(token, id_, expires_at)

    def _signing_key(self, expires_at: float, now: float) -> SigningKey:
        """The newest key that everybody knows by now and that counts for as long as the token does."""
        able = [key for key in self._keys.values() if key.ends_at is None or key.ends_at >= expires_at]
        able = [key for key in able if key.signs_from <= now] or able
        if not able:
            raise LookupError("no signing key is known yet")
        return max(able, key=lambda key: key.signs_from)

    def verify(self, kind: Kind, token: bytes, digest: bytes | None = None) -> Claims | Refused:
        """What the token says; refused unless it is of this kind, ours, in its time, and not revoked.

        Parameters:
            digest: its SHA-256, where the caller has that already.
        """
        if len(token) > MAX_TOKEN:
            return INVALID
        digest = digest or hashlib.sha256(token).digest()
        claims = self._young.get(digest) or self._remember_again(digest)
        if claims is None:
            answer = self._decode(kind, token)
            if isinstance(answer, Refused):
                return answer
            claims = answer
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

    def _decode(self, kind: Kind, token: bytes) -> Claims | Refused:
        """A token with the very head that we write is read here, in a few microseconds.

        Anything else, and what is wrong with a token, is the library's to say; a test compares the two.
        """
        head, _, rest = token.partition(b".")
        if not self._heads:
            self._heads = {_head(key): key for key in self._keys.values()}
        key = self._heads.get(head)
        if key is not None:
            body, _, signature = rest.partition(b".")
            wanted = hmac.digest(key.secret, token[: len(head) + 1 + len(body)], "sha256")
            if hmac.compare_digest(_encoded(wanted), signature):
                claims = self._plain(kind, key, body)
                if claims is not None:
                    return claims
        return self._by_library(kind, token)

    def _plain(self, kind: Kind, key: SigningKey, body: bytes) -> Claims | None:
        """What one of our signed bodies says, where nothing is unusual about it."""
        try:
            said = _said(_decoded(body))
        except (ValueError, msgspec.MsgspecError):
            return None
        now = self._clock()
        if (
            said.get("aud") != kind
            or "nbf" in said
            or {str} != {type(said.get("sub")), type(said.get("jti"))}
            or {int} != {type(said.get("iat")), type(said.get("exp"))}
            or not (said["iat"] <= now + LEEWAY_SECONDS and now < said["exp"])
        ):
            return None
        return _claims(kind, key, said)

    def _by_library(self, kind: Kind, token: bytes) -> Claims | Refused:
        import jwt

        try:
            name = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(name) if isinstance(name, str) else None
            if key is None:
                return UNKNOWN_KEY if isinstance(name, str) else INVALID
            said = jwt.decode(
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
        return _claims(kind, key, said)

    def _remember_again(self, digest: bytes) -> Claims | None:
        claims = self._old.get(digest)
        if claims is not None:
            self._remember(digest, claims)
        return claims

    def _remember(self, digest: bytes, claims: Claims) -> None:
        if len(self._young) >= MOST_REMEMBERED // 2:
            self._old, self._young = self._young, {}
        self._young[digest] = claims


def _claims(kind: Kind, key: SigningKey, said: dict[str, Any]) -> Claims:
    more = {name: value for name, value in said.items() if name not in OURS}
    return Claims(kind, key.id, said["jti"], said["sub"], said.get("sale"), float(said["exp"]), more)


_said: Final = msgspec.json.Decoder(dict[str, Any]).decode
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


def _encoded(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    return binascii.a2b_base64(text.translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4))


def _head(key: SigningKey) -> bytes:
    """How the library writes the head of a token of this key."""
    import jwt

    return jwt.encode({}, key.secret, ALGORITHM, headers={"kid": key.id}).partition(".")[0].encode()


def new_signing_key() -> tuple[str, bytes]:
    """The id and the secret of a new signing key."""
    return secrets.token_hex(6), secrets.token_bytes(SECRET_BYTES)
