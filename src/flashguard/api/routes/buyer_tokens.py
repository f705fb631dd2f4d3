"""Buyers' tokens: the shop's server mints them so that browsers can call FlashGuard directly."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flashguard.access.identities import Identities
from flashguard.access.tokens import MAX_TOKEN_SECONDS, TokenKind
from flashguard.api.access import Right
from flashguard.api.admin_log import action_of
from flashguard.api.responses.problems import RefusedError, problem
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.keys import BuyerTokenBody, BuyerTokenView, RevokedTokenView
from flashguard.api.schemas.views import json_response, secret_response
from flashguard.api.security import requires
from flashguard.engine.customers import WHAT_IT_IS
from flashguard.errors import Code
from flashguard.ledger.identities import IdentityBook
from flashguard.model import Refused, SaleId, unknown_sale
from flashguard.settings import Settings

from .dependencies import SaleParam, TokenKey, guard_of, known

router = APIRouter(prefix="/v1", tags=["keys"])

MAX_KNOWN_SALES: Final = 10_000
"""Sale ids that a process remembers as existing."""
SIGNING_KEY_RETRY_SECONDS: Final = 2.0


class KnownSales:
    """Sales that are known to exist. Sales are never deleted."""

    def __init__(self) -> None:
        self._known: set[SaleId] = set()

    async def check(self, request: Request, sale: SaleId) -> None:
        """Check that a sale exists; ask the ledger the first time.

        Raises:
            RefusedError: there is no such sale.
        """
        if sale in self._known:
            return
        if await guard_of(request).ledger.sales.get(sale) is None:
            raise RefusedError(unknown_sale(sale))
        if len(self._known) >= MAX_KNOWN_SALES:
            self._known.clear()
        self._known.add(sale)


@router.post(
    "/sales/{sale}/buyer-tokens",
    status_code=201,
    response_model=BuyerTokenView,
    responses=problems(401, 403, 404, 422, 503),
    dependencies=[requires(Right.MINT_TOKENS)],
)
async def mint(
    request: Request, sale: SaleParam, body: BuyerTokenBody, idempotency_key: TokenKey = None
) -> Response:
    """Mint a token with which a browser may act as one customer in one sale, and nothing else.

    Minting stores nothing. The same request with the same idempotency key gets a token of the same `id` with
    a fresh lifetime; revoking the id ends all of them.
    """
    key = valid_key(idempotency_key)
    settings: Settings = request.app.state.settings
    identities: Identities = request.app.state.identities
    sale_id = known(sale)
    seconds = body.expires_in_seconds or settings.buyer_token_seconds
    if seconds > settings.buyer_token_seconds:
        detail = f"expires_in_seconds: at most {settings.buyer_token_seconds}"
        return problem(Refused(code=Code.INVALID_REQUEST, detail=detail))
    customer = guard_of(request).customer_of(body.customer)
    if customer is None:
        return problem(Refused(code=Code.INVALID_REQUEST, detail=WHAT_IT_IS))
    await request.app.state.known_sales.check(request, sale_id)
    signer = guard_of(request).signer
    more = None
    if body.identities is not None:
        more = {"identities": {by: signer.identity(by, text) for by, text in sorted(body.identities.items())}}
    try:
        id_ = None if key is None else signer.token_id(sale_id, customer, seconds, key, more)
        signed = identities.ring.sign(TokenKind.BUYER, customer, sale_id, seconds, more, id_=id_)
    except LookupError as error:
        detail = f"Cannot sign tokens: {error}."
        return problem(
            Refused(code=Code.RECOVERING, detail=detail, retry_after_seconds=SIGNING_KEY_RETRY_SECONDS)
        )
    return secret_response(
        {
            "id": signed.id,
            "token": signed.token,
            "sale_id": sale_id,
            "customer": customer,
            "expires_at": datetime.fromtimestamp(signed.expires_at, UTC),
        }
    )


@router.post(
    "/buyer-tokens/{id}/revoke",
    response_model=RevokedTokenView,
    responses=problems(401, 403, 422, 503),
    dependencies=[requires(Right.REVOKE_TOKENS)],
)
async def revoke(
    request: Request, id: Annotated[str, Path(pattern="^[0-9a-f]{24}$", description="The token's id")]
) -> Response:
    """Revoke a token: immediately in this process, within seconds in every other."""
    identities: Identities = request.app.state.identities
    if not await IdentityBook(guard_of(request).ledger, action_of(request)).revoke_token(
        id, MAX_TOKEN_SECONDS
    ):
        detail = "Too many revoked tokens; rotate the signing keys instead."
        return problem(Refused(code=Code.OVERLOADED, detail=detail))
    await identities.reload()
    return json_response({"id": id, "revoked": True})
