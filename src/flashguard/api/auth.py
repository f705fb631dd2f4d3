"""Who is calling: one admin key for now, compared in constant time."""

import hmac
from typing import Annotated

from fastapi import Depends, Header, Request

from flashguard.errors import Code
from flashguard.model import Refused
from flashguard.settings import Mode, Settings

from .problems import ProblemError


def check_bearer(settings: Settings, authorization: str | None) -> bool:
    """Whether the caller proved to be the admin; False when no key was sent.

    Raises:
        ProblemError: a key was sent and it is not valid.
    """
    if authorization is None:
        return False
    scheme, _, key = authorization.partition(" ")
    expected = settings.admin_key.get_secret_value() if settings.admin_key else ""
    if (
        scheme.lower() != "bearer"
        or not expected
        or not hmac.compare_digest(key.strip().encode("utf-8", "replace"), expected.encode())
    ):
        raise ProblemError(Refused(code=Code.UNAUTHENTICATED))
    return True


Authorization = Annotated[str | None, Header(description="Bearer and the key")]


def may_buy(settings: Settings, authorization: str | None) -> None:
    """In development a buyer needs no key; one that is sent is checked. In production it is needed.

    Raises:
        ProblemError: the caller may not.
    """
    if not check_bearer(settings, authorization) and settings.mode is Mode.PRODUCTION:
        raise ProblemError(Refused(code=Code.UNAUTHENTICATED))


# Coroutines, although they wait for nothing: the framework sends plain functions to a thread.
async def admin(request: Request, authorization: Authorization = None) -> None:
    """Lets only the admin in."""
    if not check_bearer(request.app.state.settings, authorization):
        raise ProblemError(Refused(code=Code.UNAUTHENTICATED))


async def buyer(request: Request, authorization: Authorization = None) -> None:
    """Lets in whom `may_buy` lets in."""
    may_buy(request.app.state.settings, authorization)


Admin = Depends(admin)
Buyer = Depends(buyer)
