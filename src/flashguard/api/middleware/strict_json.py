"""Refuses a JSON object that repeats a name, and accepts a whole number written as `2575.0`.

Parsers differ in which of two equal names they use (RFC 8259 calls it unpredictable). If a proxy checked the
first and FlashGuard acted on the second, the check would be worthless.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from fastapi import Depends, Request

from flashguard.api.responses.problems import RefusedError, shown
from flashguard.errors import Code
from flashguard.model import Refused

NOT_UTF_8: Final = Refused(code=Code.INVALID_REQUEST, detail="body: is not JSON in UTF-8")


class _Repeated(ValueError):
    pass


def repeated(name: str) -> Refused:
    """Return the refusal of a body that repeats a name."""
    return Refused(code=Code.INVALID_REQUEST, detail=f"body: the name {shown(name)} appears twice")


def number(text: str) -> int | float:
    """Return a number written with a point or an exponent; an integer where it is whole.

    A number that only rounding makes whole, `1.99999999999999999`, stays a float, which integer fields
    refuse.
    """
    value = float(text)
    try:
        return int(value) if value.is_integer() and Decimal(text) == int(value) else value
    except InvalidOperation:  # the exponent has more digits than Decimal accepts
        return value


def _put_integers(value: Any, into: Any) -> None:
    """Replace floats by whole numbers in the body that the framework has already parsed."""
    if isinstance(value, dict) and isinstance(into, dict):
        into.update(value)
    elif isinstance(value, list) and isinstance(into, list):
        into[:] = value


def first_repeated(pairs: list[tuple[str, Any]]) -> str:
    """Return the first name that a JSON object repeats."""
    seen: set[str] = set()
    return next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise _Repeated(first_repeated(pairs))
    return names


async def check_json(request: Request) -> None:
    """Check the JSON of a request before the framework validates it.

    The lane's validation refuses whole floats, so these requests reach this check too.

    Raises:
        RefusedError: an object repeats a name, or the body is not UTF-8.
    """
    if getattr(request.scope.get("route"), "body_field", None) is None:
        return
    body = await request.body()
    if not body:
        return
    floats = False

    def read(text: str) -> int | float:
        nonlocal floats
        floats = True
        return number(text)

    try:
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_unique_names, parse_float=read)
    except _Repeated as found:
        raise RefusedError(repeated(str(found))) from None
    except (ValueError, RecursionError):
        raise RefusedError(NOT_UTF_8) from None  # Python's parser would accept UTF-16
    if floats:
        _put_integers(value, await request.json())


StrictJson = Depends(check_json)
