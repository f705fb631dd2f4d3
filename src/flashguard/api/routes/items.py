"""The items of a sale that exists."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.responses import Response

from flashguard.api.access import Right
from flashguard.api.admin_log import action_of
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.goods import ItemBody, ItemView
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.items import ItemPatch
from flashguard.api.schemas.views import item_view, json_response
from flashguard.api.security import requires
from flashguard.model import Refused

from .dependencies import IdempotencyKey, SaleParam, guard_of, known
from .sales import items_of

router = APIRouter(prefix="/v1/sales", tags=["sales"])


class _Sku(PathConvertor):
    """An item's sku, which may contain a slash, sent as %2F; `{sku}/restock` is another path."""

    regex = ".*(?<!/restock)"


register_url_convertor("sku", _Sku())

SkuParam = Annotated[str, Path(max_length=128)]


@router.post(
    "/{sale}/items",
    status_code=201,
    response_model=ItemView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def add_item(
    request: Request, sale: SaleParam, body: ItemBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Add an item to a sale in any status but `closed`, also one that draws from the sale's pools."""
    [item] = items_of([body])
    action_of(request).about(sale, sku=body.sku, price_minor=body.price_minor, stock=body.stock)
    answer = await guard_of(request).shop.items.add(known(sale), item, key=valid_key(idempotency_key))
    if isinstance(answer, Refused):
        return problem(answer)
    return json_response(item_view(answer[0]), 201, replayed=answer[1])


@router.patch(
    "/{sale}/items/{sku:sku}",
    response_model=ItemView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def change_item(
    request: Request,
    sale: SaleParam,
    sku: SkuParam,
    body: ItemPatch,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Change an item's name, price or limit, or take it off sale. What is held or sold keeps its price."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    action_of(request).about(sale, **changes)
    answer = await guard_of(request).shop.items.change(
        known(sale), sku, key=valid_key(idempotency_key), **changes
    )
    if isinstance(answer, Refused):
        return problem(answer)
    return json_response(item_view(answer[0]), replayed=answer[1])


@router.delete(
    "/{sale}/items/{sku:sku}",
    status_code=204,
    response_model=None,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def remove_item(
    request: Request, sale: SaleParam, sku: SkuParam, idempotency_key: IdempotencyKey = None
) -> Response:
    """Remove an item of which nothing was ever held or sold, and for which no one waits."""
    answer = await guard_of(request).shop.items.remove(known(sale), sku, key=valid_key(idempotency_key))
    if isinstance(answer, Refused):
        return problem(answer)
    return Response(status_code=204, headers={"Idempotent-Replayed": "true"} if answer else None)
