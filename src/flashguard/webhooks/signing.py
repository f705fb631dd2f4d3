"""Secrets and signatures of the Standard Webhooks specification (standardwebhooks.com), version 1."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from flashguard.model.whole import whole_number

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
"""The specification asks for 24 to 64."""
TOLERANCE_SECONDS: Final = 300
"""How far the time of a message may be from ours: an older one may be a replay by a stranger."""

ANY: Final = "surrogatepass"
"""Some servers hand on a header's odd bytes as lone surrogates: no secret signs these."""


def new_secret() -> str:
    """Return a new secret, as a receiver gets it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(id_: str, at_seconds: int, body: bytes, signers: Iterable[str]) -> dict[str, str]:
    """Return the three headers of a message.

    Parameters:
        signers: every secret that is valid now; a receiver verifies with any of them.
    """
    content = b"%s.%d.%s" % (id_.encode(), at_seconds, body)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in signers),
    }


def is_signed(headers: Mapping[str, str], body: bytes, secret: str, now_seconds: float) -> bool:
    """Return whether a message was signed with this secret, and not long ago.

    Parameters:
        headers: by their names in lower case.
    """
    id_, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed_at = whole_number(at)
    if not id_ or signed_at is None or abs(now_seconds - signed_at) > TOLERANCE_SECONDS:
        return False
    expected = f"v1,{_signature(secret, b'%s.%d.%s' % (id_.encode(errors=ANY), signed_at, body))}".encode()
    given = headers.get("webhook-signature", "").encode(errors=ANY).split()
    return any(hmac.compare_digest(expected, each) for each in given)


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
