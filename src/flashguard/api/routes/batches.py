"""Batches: many holds or orders of one sale in one call, for gateways, queues and bots of the shop's own."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from flashguard.api.access import Caller
from flashguard.api.hot_calls import BUY_BATCH, RESERVE_BATCH, HotCall
from flashguard.api.middleware.failures import NO_JSON
from flashguard.api.middleware.rate_limit import count_batch
from flashguard.api.middleware.strict_json import NOT_UTF_8, first_repeated, number, repeated
from flashguard.api.responses.encoded import Encoded
from flashguard.api.responses.problems import RefusedError, invalid_body, problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.batches import (
    BatchBody,
    BatchView,
    DetailedRequest,
    PlainRequest,
    batch_schema,
)
from flashguard.api.schemas.bodies import BasketBody, DetailedBasket
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.security import requires
from flashguard.errors import Code
from flashguard.model import Refused

from .dependencies import SaleParam, guard_of, known, route_of

router = APIRouter(prefix="/v1", tags=["reservations"])

DOCUMENT: Final[dict[str, Any]] = {
    "response_model": BatchView,
    "responses": problems(401, 403, 404, 413, 422, 503),
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"application/json": {"schema": batch_schema()}}}
    },
}


@route_of(router, RESERVE_BATCH, **DOCUMENT)
async def reserve_batch(
    request: Request, caller: Annotated[Caller, requires(RESERVE_BATCH.right)], sale: SaleParam
) -> Response:
    """Hold units for up to 1,000 customers: each request has its own key, and its own outcome, in order."""
    return await _answer(request, RESERVE_BATCH, caller, sale)


@route_of(router, BUY_BATCH, **DOCUMENT)
async def buy_batch(
    request: Request, caller: Annotated[Caller, requires(BUY_BATCH.right)], sale: SaleParam
) -> Response:
    """Buy for up to 1,000 customers: each request has its own key, and its own outcome, in order."""
    return await _answer(request, BUY_BATCH, caller, sale)


async def _answer(request: Request, call: HotCall, caller: Caller, sale: str) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return problem(Refused(code=Code.INVALID_REQUEST, detail=NO_JSON))
    guard = guard_of(request)
    requests = read_batch(await request.body())
    counted = await count_batch(request, guard, caller, requests)
    return await call.handle(guard, caller, known(sale), counted)


class _Repeating(dict[str, Any]):
    """A JSON object that repeats a name."""

    name: str


def read_batch(body: bytes) -> list[PlainRequest | Encoded]:
    """Return the requests of a body; in place of one that is not valid, its problem.

    Raises:
        RefusedError: the body is not a batch.
    """
    try:
        batch = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_float=number)
    except (ValueError, RecursionError):
        raise RefusedError(NOT_UTF_8) from None
    if isinstance(batch, _Repeating):
        raise RefusedError(repeated(batch.name))
    try:
        requests = BatchBody.model_validate(batch).requests
    except ValidationError as error:
        raise _invalid(error) from None
    return [_read(each) for each in requests]


def _read(fields: Any) -> PlainRequest | Encoded:
    """Return a request, or the problem that its single call would be answered."""
    try:
        twice = _repeated_in(fields)
        if twice is not None:
            raise RefusedError(repeated(twice))
        key = fields.pop("key", None) if isinstance(fields, dict) else None
        plain = BasketBody.model_validate(fields).plain()
        key = valid_key(key if isinstance(key, str) else "")
        assert key is not None
        if isinstance(plain, DetailedBasket):
            return DetailedRequest(
                plain.customer, plain.items, plain.admission, key=key, reference=plain.reference,
                metadata=plain.metadata, identities=plain.identities,
            )  # fmt: skip
        return PlainRequest(plain.customer, plain.items, plain.admission, key=key)
    except ValidationError as error:
        refused = _invalid(error)
    except RefusedError as error:
        refused = error
    return problem(refused.refused, **refused.more)


def _invalid(error: ValidationError) -> RefusedError:
    return invalid_body([{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_url=False)])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) == len(pairs):
        return names
    repeating = _Repeating(names)
    repeating.name = first_repeated(pairs)
    return repeating


def _repeated_in(value: Any) -> str | None:
    """Return a name that an object in this value repeats; None where there is none."""
    if isinstance(value, _Repeating):
        return value.name
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((name for each in inner if (name := _repeated_in(each)) is not None), None)
