"""API keys and the keys that sign tokens: create, list, rotate, revoke."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from flashguard.access.identities import Identities, new_api_key
from flashguard.access.tokens import MAX_TOKEN_SECONDS, SIGNS_AFTER_SECONDS, SLACK_SECONDS, new_signing_key
from flashguard.api.access import Right
from flashguard.api.admin_log import action_of
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.answers import PageView, problems
from flashguard.api.schemas.idempotency import valid_key
from flashguard.api.schemas.keys import (
    KeyBody,
    KeyRotateBody,
    KeyView,
    NewKeyView,
    SigningKeysRotateBody,
    SigningKeysView,
)
from flashguard.api.schemas.views import decode_cursor, encode_cursor, json_response, page, secret_response
from flashguard.api.security import requires
from flashguard.engine.receipts import IdKind
from flashguard.errors import Code
from flashguard.ledger.identities import ALWAYS, ApiKey, IdentityBook, Once
from flashguard.model import Refused
from flashguard.model.fingerprints import fingerprint

from .dependencies import Cursor, IdempotencyKey, Limit, guard_of

router = APIRouter(prefix="/v1", tags=["keys"], dependencies=[requires(Right.MANAGE_KEYS)])

IdParam = Annotated[str, Path(pattern="^key_[0-9a-f]{1,64}$", description="The key's id")]
TOO_MANY: Final = Refused(code=Code.OVERLOADED, detail="Too many live keys; revoke some.")
SIGNING_ID_DIGITS: Final = 16
"""Hex digits of a signing key's id that are derived from an idempotency key. Every token carries the id."""


def _identities(request: Request) -> Identities:
    identities: Identities = request.app.state.identities
    return identities


def _book(request: Request) -> IdentityBook:
    return IdentityBook(guard_of(request).ledger, sealer=request.app.state.sealer)


def _changing(request: Request, target: str, **detail: object) -> IdentityBook:
    """Return the book for a call that changes a key: with the call's line of the admin log."""
    action = action_of(request)
    action.about(target, **detail)
    return IdentityBook(guard_of(request).ledger, action, request.app.state.sealer)


def _view(key: ApiKey) -> dict[str, Any]:
    over = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes,
        "status": "revoked" if key.revoked_at else "expired" if over else "live",
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
        "rotated_to": key.rotated_to,
    }


def _once(what: str, idempotency_key: str | None, *body: object) -> Once:
    key = valid_key(idempotency_key)
    return ALWAYS if key is None else Once(f"{what}:{key}", fingerprint(what, *body))


async def _earlier_answer(request: Request, once: Once) -> Response | None:
    """Return the answer to a request whose idempotency key already made a key; None where it made none."""
    earlier = await _book(request).key_made(once)
    if earlier is None:
        return None
    made, same = earlier
    if not same:
        return problem(Refused(code=Code.IDEMPOTENCY_MISMATCH))
    return secret_response(_view(made) | {"key": None}, replayed=True)


@router.post("/keys", status_code=201, response_model=NewKeyView, responses=problems(401, 403, 422, 503))
async def create_key(request: Request, body: KeyBody, idempotency_key: IdempotencyKey = None) -> Response:
    """Create a key. Only this answer shows it; the ledger keeps a hash.

    The same idempotency key makes no second key: the answer has the same `id` and `key` is null, because
    FlashGuard does not keep the key itself. If the first answer was lost, rotate or revoke that id.
    """
    once = _once("create", idempotency_key, body.name, *body.scopes, body.expires_in_seconds)
    new = new_api_key()
    expires_at = None
    if body.expires_in_seconds is not None:
        expires_at = datetime.now(UTC) + timedelta(seconds=body.expires_in_seconds)
    scopes = list(dict.fromkeys(body.scopes))
    book = _changing(
        request, new.id, name=body.name, scopes=scopes, expires_in_seconds=body.expires_in_seconds
    )
    made = await book.create_key(new.id, body.name, new.hint, new.digest, scopes, expires_at, once)
    if made is None:
        return await _earlier_answer(request, once) or problem(TOO_MANY)
    await _identities(request).reload()
    return secret_response(_view(made) | {"key": new.secret})


@router.get("/keys", response_model=PageView[KeyView], responses=problems(401, 403, 422, 503))
async def list_keys(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """List keys, newest first, including expired and revoked ones; never the keys themselves."""
    rows = await _book(request).keys(decode_cursor(cursor), limit + 1)
    return json_response(page(rows, limit, lambda key: encode_cursor(key.created_at, key.id), _view))


def _no_such_key(id_: str) -> Response:
    return problem(Refused(code=Code.INVALID_REQUEST, detail=f"There is no live key {id_!r}."), status=404)


@router.post("/keys/{id}/revoke", response_model=KeyView, responses=problems(401, 403, 404, 422, 503))
async def revoke_key(request: Request, id: IdParam) -> Response:
    """Revoke a key: immediately in this process, within seconds in every other."""
    ended = await _changing(request, id).revoke_key(id)
    if ended is None:
        return _no_such_key(id)
    await _identities(request).reload()
    return json_response(_view(ended))


@router.post(
    "/keys/{id}/rotate",
    status_code=201,
    response_model=NewKeyView,
    responses=problems(401, 403, 404, 422, 503),
)
async def rotate_key(
    request: Request, id: IdParam, body: KeyRotateBody | None = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a key with the same name and scopes; the old one expires after the grace period.

    The same idempotency key makes no second key, as when a key is created.
    """
    new = new_api_key()
    grace_seconds = (body or KeyRotateBody()).grace_seconds
    once = _once(f"rotate:{id}", idempotency_key, grace_seconds)
    book = _changing(request, id, rotated_to=new.id, grace_seconds=grace_seconds)
    made = await book.rotate_key(id, new.id, new.hint, new.digest, grace_seconds, once)
    if made is None:
        return await _earlier_answer(request, once) or _no_such_key(id)
    await _identities(request).reload()
    return secret_response(_view(made) | {"key": new.secret})


@router.get("/signing-keys", response_model=SigningKeysView, responses=problems(401, 403, 503))
async def list_signing_keys(request: Request) -> Response:
    """List the signing keys whose tokens may still be valid, newest first; never their secrets."""
    return await _signing_keys(request)


@router.post("/signing-keys/rotate", response_model=SigningKeysView, responses=problems(401, 403, 422, 503))
async def rotate_signing_keys(
    request: Request, body: SigningKeysRotateBody | None = None, idempotency_key: IdempotencyKey = None
) -> Response:
    """Sign with a new key from now on. Tokens of the old keys stay valid until they expire.

    With `revoke`, for use after a leak, all tokens of the old keys become invalid in every process within
    seconds. The same idempotency key rotates once.
    """
    revoke = body is not None and body.revoke
    id_, secret = new_signing_key()
    key = valid_key(idempotency_key)
    if key is not None:
        made = guard_of(request).signer.id_of_key(IdKind.SIGNING_KEY, key)[:SIGNING_ID_DIGITS]
        id_, of_other_body = (f"{made}{flag}" for flag in (("1", "0") if revoke else ("0", "1")))
        if await _book(request).has_signing_key(of_other_body):
            return problem(Refused(code=Code.IDEMPOTENCY_MISMATCH))
    rotated = await _changing(request, id_, revoke=revoke).rotate_signing_keys(
        id_,
        secret,
        signs_in_seconds=0 if revoke else SIGNS_AFTER_SECONDS,
        old_end_in_seconds=0 if revoke else SIGNS_AFTER_SECONDS + MAX_TOKEN_SECONDS + SLACK_SECONDS,
    )
    await _identities(request).reload()
    return await _signing_keys(request, replayed=not rotated)


async def _signing_keys(request: Request, *, replayed: bool = False) -> Response:
    rows = [
        {
            "id": key.id,
            "signs_from": datetime.fromtimestamp(key.signs_from, UTC),
            "ends_at": None if key.ends_at is None else datetime.fromtimestamp(key.ends_at, UTC),
        }
        for key in await _book(request).signing_keys()
    ]
    return json_response({"data": rows, "next_cursor": None}, replayed=replayed)
