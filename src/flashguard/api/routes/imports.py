"""Imports: several sales from one file, all or none."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from flashguard.api.access import Right
from flashguard.api.admin_log import action_of
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires
from flashguard.errors import Code
from flashguard.model import Refused, SaleId
from flashguard.shop.imports import import_sales
from flashguard.shop.sales import NOT_IN_MEMORY

from .dependencies import IdempotencyKey, guard_of
from .import_files import InvalidFile, SaleInFile, read_csv, read_json
from .sales import new_sale

PATH: Final = "/v1/imports"
router = APIRouter(tags=["imports"], dependencies=[requires(Right.MANAGE_SALES)])

BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object", "required": ["sales"], "additionalProperties": False,
                    "properties": {
                        "sales": {
                            "type": "array", "minItems": 1, "maxItems": 100,
                            "items": {
                                "allOf": [{"$ref": "#/components/schemas/SaleBody"}], "required": ["id"],
                            },
                            "description": "Sales as `POST /v1/sales` takes them, each with an `id`",
                        }
                    },
                },
            },
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}  # fmt: skip


class ImportedSaleView(BaseModel):
    id: str
    items: int


class ImportView(BaseModel):
    dry_run: bool
    sales: list[ImportedSaleView]


@router.post(
    PATH,
    status_code=201,
    response_model=ImportView,
    responses=problems(401, 403, 409, 413, 422, 503),
    openapi_extra=BODY,
)
async def import_file(
    request: Request,
    dry_run: Annotated[bool, Query(description="Only check the file")] = False,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Create the sales of a CSV or JSON file as drafts: all of them, or none and the errors by line."""
    key = valid_key(idempotency_key)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    read = {"text/csv": read_csv, "application/json": read_json}.get(kind)
    if read is None:
        detail = "Content-Type: must be text/csv or application/json"
        return problem(Refused(code=Code.INVALID_REQUEST, detail=detail))
    try:
        text = (await request.body()).decode("utf-8-sig")
        sales = await asyncio.to_thread(read, text)  # in a thread, because a long file would delay buyers
    except UnicodeDecodeError as error:
        return problem(Refused(code=Code.INVALID_REQUEST, detail=f"not UTF-8 at byte {error.start}"))
    except InvalidFile as error:
        return _wrong(error)
    guard = guard_of(request)
    action_of(request).about(
        "", dry_run=dry_run, sales=[sale.body.id for sale in sales if sale.body is not None]
    )
    unfit = [(sale, guard.shop.unfit(new_sale(sale.body))) for sale in sales if sale.body is not None]
    if any(why for _, why in unfit):
        return _wrong(InvalidFile(_place(sale, why) for sale, why in unfit if why))
    done = await import_sales(guard.ledger, guard.shop, _named(sales), key=key, dry_run=dry_run)
    if done.refused:
        return _wrong(InvalidFile(_place(sales[at], why) for at, why in done.refused))
    if done.mismatch:
        return problem(Refused(code=Code.IDEMPOTENCY_MISMATCH))
    if done.taken:
        return _wrong(
            InvalidFile((f"{sales[at].where}: id", "a sale with this id exists") for at in done.taken)
        )
    if not done.in_memory:
        return problem(NOT_IN_MEMORY)
    created = [{"id": id_, "items": len(new.items)} for id_, new in _named(sales)]
    return json_response({"dry_run": dry_run, "sales": created}, 201, replayed=done.replayed)


def _named(sales: list[SaleInFile]) -> list[tuple[SaleId, Any]]:
    return [
        (SaleId(s.body.id), new_sale(s.body)) for s in sales if s.body is not None and s.body.id is not None
    ]


def _place(sale: SaleInFile, why: Refused) -> tuple[str, str]:
    """Return where a sale of a file is wrong, with the field that the refusal names first, and what is."""
    detail = why.detail or ""
    field, colon, what = detail.partition(": ")
    return (f"{sale.where}: {field}", what) if colon and field.isidentifier() else (sale.where, detail)


def _wrong(error: InvalidFile) -> Response:
    detail = "Nothing was imported. " + "; ".join(f"{e['where']}: {e['what']}" for e in error.errors[:3])
    return problem(Refused(code=Code.INVALID_REQUEST, detail=detail), errors=error.errors)
