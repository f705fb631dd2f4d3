"""Refuses a JSON object that says a name twice, and takes a whole number written as `2575.0` for what it is.

Parsers differ in which of the two they take. A proxy or a shop that checked the first, while we act on the
second, has checked nothing (RFC 8259 calls the outcome unpredictable).
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import Depends, Request

from flashguard.api.responses.problems import ProblemError, shown
from flashguard.errors import Code
from flashguard.model import Refused


class _Doubled(ValueError):
    pass


def number(text: str) -> int | float:
    """Return the number that JSON writes with a point or an exponent; an integer where it is whole.

    One that only rounding makes whole, `1.99999999999999999`, stays a float, which no integer field takes.
    """
    value = float(text)
    try:
        return int(value) if value.is_integer() and Decimal(text) == int(value) else value
    except InvalidOperation:  # an exponent of more digits than Decimal takes
        return value


def _put_integers(value: Any, into: Any) -> None:
    """Put whole numbers in the place of the framework's floats, in the body that it has read already."""
    if isinstance(value, dict) and isinstance(into, dict):
        into.update(value)
    elif isinstance(value, list) and isinstance(into, list):
        into[:] = value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        seen: set[str] = set()
        raise _Doubled(next(name for name, _ in pairs if name in seen or seen.add(name)))  # type: ignore[func-returns-value]
    return names


async def said_once(request: Request) -> None:
    """Check the body of a call that takes one, before the framework validates it.

    A body with whole floats never passes the express lane's validation, so that both lanes take them here.

    Raises:
        ProblemError: an object in it says a name twice, or it is not in UTF-8.
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
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_once, parse_float=read)
    except _Doubled as doubled:
        detail = f"body: the name {shown(str(doubled))} is there twice"
    except (ValueError, RecursionError):
        detail = "body: no JSON in UTF-8"  # Python's parser takes UTF-16 too
    else:
        if floats:
            _put_integers(value, await request.json())
        return
    raise ProblemError(Refused(code=Code.INVALID_REQUEST, detail=detail))


SaidOnce = Depends(said_once)
