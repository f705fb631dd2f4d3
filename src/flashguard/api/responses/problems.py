"""RFC 9457 problems: the shape of every error answer."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from flashguard.errors import PROBLEMS, Code
from flashguard.model import Refused

from .encoded import Encoded, Head, Header

MEDIA_TYPE: Final = "application/problem+json"
SERVER_AWAY_RETRY_SECONDS: Final = 1.0
MAX_SHOWN: Final = 200
MAX_ERRORS: Final = 50
PATTERNS: Final = {
    "^[A-Z]{3}$": "must be a currency's three capital letters, as in EUR",
    "^[0-9a-f]{24}$": "must be 24 of 0-9 and a-f",
    "^[0-9a-f]{1,64}$": "must be 1 to 64 of 0-9 and a-f",
    "^key_[0-9a-f]{1,64}$": "must be a key's id, as in key_0123456789ab",
}
"""The patterns of the contract, in words."""
IN_WORDS: Final = {
    "extra_forbidden": "is not a known field",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "must be a JSON object"),
}
"""By pydantic's type of error: a sentence that helps a caller more than pydantic's own."""
_encode = msgspec.json.Encoder().encode
_PROBLEM: Final = Head((b"content-type", MEDIA_TYPE.encode()))


class RefusedError(Exception):
    """A refusal on its way to the problem response."""

    def __init__(self, refused: Refused, **more: Any) -> None:
        super().__init__(refused.code)
        self.refused = refused
        self.more = more


def problem(refused: Refused, *, status: int | None = None, **more: Any) -> Encoded:
    """Return the response for a refusal. `more` adds members, for example `errors`."""
    if more or refused.refund is not None:
        return _problem(refused, status, more)
    return _plain_problem(refused, status)


def _detail(refused: Refused, title: str) -> str:
    if refused.code is Code.UNKNOWN_ITEM and refused.sku is not None and not refused.detail:
        return f"The sale has no item {refused.sku!r}."
    return refused.detail or title


def _problem(refused: Refused, status: int | None, more: dict[str, Any]) -> Encoded:
    kind = PROBLEMS[refused.code]
    body: dict[str, Any] = {
        "type": f"urn:flashguard:problem:{refused.code}",
        "title": kind.title,
        "status": status or kind.status,
        "detail": _detail(refused, kind.title),
        "code": refused.code,
    }
    for name in ("sku", "available", "pool", "limit", "used", "by", "retry_after_seconds", "refund"):
        value = getattr(refused, name)
        if value is not None:
            body[name] = value
    body.update(more)
    headers: list[Header] = []
    if refused.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(refused.retry_after_seconds))))
    if refused.code is Code.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b"Bearer"))
    return Encoded(_encode(body), status or kind.status, _PROBLEM, headers)


@lru_cache(maxsize=1024)
def _encoded_problem(refused: Refused, status: int | None) -> tuple[bytes, int, Head, list[Header]]:
    made = _problem(refused, status, {})
    return bytes(made.body), made.status_code, made.head, made.more


def _plain_problem(refused: Refused, status: int | None) -> Encoded:
    """Return a problem that many callers get, for example sold-out: it is encoded once."""
    return Encoded(*_encoded_problem(refused, status))


def shown(text: str) -> str:
    """Return a caller's text as a problem may repeat it: short and valid UTF-8."""
    return text[:MAX_SHOWN].encode("utf-8", "backslashreplace").decode()


def error_text(item: Any) -> str:
    """Return what is wrong with a field, in words."""
    if item["type"] in IN_WORDS:
        return IN_WORDS[item["type"]]
    if item["type"] == "string_pattern_mismatch":
        return PATTERNS.get(item["ctx"]["pattern"], "does not have the form in the reference")
    return shown(item["msg"].removeprefix("Value error, "))


def invalid_body(found: Sequence[Any]) -> RefusedError:
    """Return the refusal of a request in which pydantic found these errors."""
    errors = [
        {"where": ".".join(shown(str(part)) for part in item["loc"]), "what": error_text(item)}
        for item in found[:MAX_ERRORS]
    ]
    detail = "; ".join(f"{item['where']}: {item['what']}" for item in errors[:3])
    return RefusedError(Refused(code=Code.INVALID_REQUEST, detail=detail), errors=errors)


def away_problem(error: Exception) -> Encoded:
    """Return the problem of memory or ledger not answering."""
    return problem(
        Refused(code=Code.RECOVERING, detail=str(error), retry_after_seconds=SERVER_AWAY_RETRY_SECONDS)
    )


def unexpected_problem() -> Encoded:
    """Return the problem of an internal defect; the buyer may retry."""
    refused = Refused(code=Code.RECOVERING, detail="Unexpected error; it was logged.", retry_after_seconds=1)
    return problem(refused, status=500)
