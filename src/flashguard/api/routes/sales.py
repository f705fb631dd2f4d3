"""Sales, their stock and audit."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Path, Request
from starlette.responses import Response

from flashguard.api.access import Caller, Right
from flashguard.api.admin_log import action_of
from flashguard.api.hot_calls import READ_SALE
from flashguard.api.responses.problems import problem
from flashguard.api.sale_reads import conditions_of
from flashguard.api.schemas.answers import ETAG, NOT_MODIFIED, PageView, problems
from flashguard.api.schemas.audit import SaleAuditView
from flashguard.api.schemas.goods import ItemBody, ItemRestockBody, ItemView, PoolView, RestockBody
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.limits import LimitBody
from flashguard.api.schemas.rooms import room_of
from flashguard.api.schemas.sales import (
    SaleBody,
    SalePatch,
    SaleView,
)
from flashguard.api.schemas.views import (
    decode_cursor,
    encode_cursor,
    item_view,
    json_response,
    page,
    pool_view,
    sale_view,
)
from flashguard.api.security import requires
from flashguard.model import (
    Durability,
    IdentityLimit,
    Item,
    Location,
    LocationStock,
    MinorUnits,
    Pool,
    Refused,
    Sale,
    SaleId,
    Sku,
    Use,
    unknown_sale,
)
from flashguard.model.rules import Rules
from flashguard.shop.new_sale import NewSale

from .dependencies import Cursor, IdempotencyKey, Limit, Reader, SaleParam, guard_of, known, route_of

router = APIRouter(prefix="/v1/sales", tags=["sales"])


def _changed(answer: tuple[Sale, bool] | Refused) -> Response:
    if isinstance(answer, Refused):
        return problem(answer)
    return json_response(sale_view(answer[0]), replayed=answer[1])


def items_of(bodies: Sequence[ItemBody]) -> tuple[Item, ...]:
    """Return the items that valid bodies describe."""
    return tuple(
        Item(
            sku=Sku(item.sku),
            name=item.name,
            price_minor=MinorUnits(item.price_minor),
            currency=item.currency,
            stock=item.stock,
            uses=tuple(Use(Sku(use.pool), use.quantity) for use in item.uses),
            locations=tuple(
                LocationStock(id=location, stock=stock) for location, stock in item.stock_by_location.items()
            ),
            limit_per_customer=item.limit_per_customer,
        )
        for item in bodies
    )


def _limits(bodies: Sequence[LimitBody]) -> tuple[IdentityLimit, ...]:
    return tuple(
        IdentityLimit(
            each.by,
            each.units,
            None if each.skus is None else tuple(map(Sku, each.skus)),
            hold_rules=each.hold_rules,
        )
        for each in bodies
    )


def new_sale(body: SaleBody) -> NewSale:
    """Return the sale that a valid body describes."""
    return NewSale(
        name=body.name,
        items=items_of(body.items),
        id=body.id,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        hold_seconds=body.hold_seconds,
        limit_per_customer=body.limit_per_customer,
        hold_durability=Durability(body.hold_durability),
        rules=Rules(**{name: getattr(body, name) for name in Rules.__struct_fields__}),
        waiting_room=room_of(body.waiting_room),
        room=None if body.room is None else SaleId(body.room),
        spread=body.spread,
        pools=tuple(Pool(id=Sku(pool.id), name=pool.name, stock=pool.stock) for pool in body.pools),
        locations=tuple(Location(id=each.id, name=each.name) for each in body.locations),
        split=body.split,
        limits=_limits(body.limits),
    )


@router.post(
    "",
    status_code=201,
    response_model=SaleView,
    responses=problems(401, 403, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def create_sale(request: Request, body: SaleBody, idempotency_key: IdempotencyKey = None) -> Response:
    """Create a sale as a draft."""
    answer = await guard_of(request).shop.create_sale(new_sale(body), key=valid_key(idempotency_key))
    if isinstance(answer, Refused):
        action_of(request).about(body.id or "")
        return problem(answer)
    action_of(request).about(answer[0].id)
    return json_response(sale_view(answer[0]), 201, replayed=answer[1])


@router.get("", response_model=PageView[SaleView], responses=problems(401, 403, 422, 503))
async def list_sales(request: Request, caller: Reader, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """List sales, newest first. Drafts are listed for API keys only."""
    rows = await guard_of(request).shop.sales(decode_cursor(cursor), limit + 1, drafts=caller.is_shop)
    return json_response(page(rows, limit, lambda sale: encode_cursor(sale.created_at, sale.id), sale_view))


@route_of(
    router,
    READ_SALE,
    response_model=SaleView,
    responses=problems(401, 403, 404, 503) | {200: {"headers": ETAG}, 304: NOT_MODIFIED},
)
async def read_sale(
    request: Request,
    caller: Annotated[Caller, requires(READ_SALE.right)],
    sale: SaleParam,
    if_none_match: Annotated[str | None, Header(description="The `ETag` of the answer that you have")] = None,
) -> Response:
    """Read a sale with its counters, at most 100 ms old. `Cache-Control: no-cache` demands the newest.

    With `If-None-Match`, 304 says that the sale is unchanged. A draft is `unknown-sale` for callers without
    an API key.
    """
    conditions = conditions_of(request.scope["headers"])
    return await READ_SALE.handle(guard_of(request), caller, known(sale), conditions)


@router.patch(
    "/{sale}",
    response_model=SaleView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def change_sale(request: Request, sale: SaleParam, body: SalePatch) -> Response:
    """Change a sale's name, times or rules. Existing holds keep theirs. Only of a draft: its items, and by
    which identities it limits what. Only a draft or a scheduled sale gets a waiting room, or comes into
    another sale's."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    action_of(request).about(sale, fields=sorted(changes))
    if body.items is not None:
        changes["items"] = items_of(body.items)
    if body.limits is not None:
        changes["limits"] = _limits(body.limits)
    if body.waiting_room is not None:
        changes["waiting_room"] = body.waiting_room.model_dump(exclude_unset=True)
    return _changed(await guard_of(request).shop.change(known(sale), "patch", **changes))


@router.delete(
    "/{sale}",
    status_code=204,
    response_model=None,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def delete_sale(request: Request, sale: SaleParam) -> Response:
    """Delete a draft; its id can be used again. A sale that was opened or closed stays."""
    refused = await guard_of(request).shop.delete_sale(known(sale))
    return Response(status_code=204) if refused is None else problem(refused)


@router.post(
    "/{sale}/open",
    response_model=SaleView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def open_sale(request: Request, sale: SaleParam, idempotency_key: IdempotencyKey = None) -> Response:
    """Open a sale now, or at its `starts_at`."""
    key = valid_key(idempotency_key)
    return _changed(await guard_of(request).shop.change(known(sale), "open", key=key))


@router.post(
    "/{sale}/pause",
    response_model=SaleView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def pause_sale(request: Request, sale: SaleParam, idempotency_key: IdempotencyKey = None) -> Response:
    """Pause a sale: no new holds; live ones can still be confirmed."""
    key = valid_key(idempotency_key)
    return _changed(await guard_of(request).shop.change(known(sale), "pause", key=key))


@router.post(
    "/{sale}/close",
    response_model=SaleView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def close_sale(request: Request, sale: SaleParam, idempotency_key: IdempotencyKey = None) -> Response:
    """Close a sale permanently; live holds can still be confirmed."""
    key = valid_key(idempotency_key)
    return _changed(await guard_of(request).shop.change(known(sale), "close", key=key))


@router.post(
    "/{sale}/items/{sku:path}/restock",  # a sku may contain a slash, sent as %2F
    response_model=ItemView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def restock(
    request: Request,
    sale: SaleParam,
    sku: Annotated[str, Path(max_length=128)],
    body: ItemRestockBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Change an item's stock by `delta`, or to the `stock` that was counted; never below held + sold."""
    action_of(request).about(sale, **body.model_dump(exclude_unset=True))
    answer = await guard_of(request).shop.restock(
        known(sale), sku, body.delta, body.reason,
        stock=body.stock, location=body.location, key=valid_key(idempotency_key),
    )  # fmt: skip
    if isinstance(answer, Refused):
        return problem(answer)
    return json_response(item_view(answer[0]), replayed=answer[1])


@router.post(
    "/{sale}/pools/{pool:path}/restock",
    response_model=PoolView,
    responses=problems(401, 403, 404, 409, 422, 503),
    dependencies=[requires(Right.MANAGE_SALES)],
)
async def restock_pool(
    request: Request,
    sale: SaleParam,
    pool: Annotated[str, Path(max_length=128)],
    body: RestockBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Change a pool's stock by `delta`, or to the `stock` that was counted; never below held + sold."""
    action_of(request).about(sale, **body.model_dump(exclude_unset=True))
    answer = await guard_of(request).shop.restock_pool(
        known(sale), pool, body.delta, body.reason, stock=body.stock, key=valid_key(idempotency_key)
    )
    if isinstance(answer, Refused):
        return problem(answer)
    return json_response(pool_view(answer[0]), replayed=answer[1])


@router.get(
    "/{sale}/audit",
    response_model=SaleAuditView,
    responses=problems(401, 403, 404, 503),
    dependencies=[requires(Right.READ_AUDIT)],
)
async def audit(request: Request, sale: SaleParam) -> Response:
    """Check stock = available + held + sold across memory, the journal's tail and the ledger."""
    report = await guard_of(request).shop.audit(known(sale))
    if report is None:
        return problem(unknown_sale(sale))
    return json_response(msgspec.to_builtins(report))
