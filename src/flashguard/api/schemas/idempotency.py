"""The `Idempotency-Key` header (IETF draft-ietf-httpapi-idempotency-key-header)."""

from flashguard.api.responses.problems import RefusedError
from flashguard.errors import Code
from flashguard.model import MAX_KEY, Refused


def valid_key(key: str | None) -> str | None:
    """Return the key as sent, without the quotes of a structured-field string.

    Raises:
        RefusedError: the key is empty, too long or not printable ASCII.
    """
    if key is None:
        return None
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        raise RefusedError(
            Refused(
                code=Code.INVALID_REQUEST,
                detail=f"Idempotency-Key: must be 1 to {MAX_KEY} printable ASCII characters",
            )
        )
    return key
