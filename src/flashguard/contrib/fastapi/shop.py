"""What a shop's FastAPI application uses: a lifespan that connects, and the dependencies of its endpoints."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, HTTPException
from fastapi.requests import HTTPConnection

from flashguard.client import AsyncClient, NoAnswer, Outcome, Refused, Reservation, Retry, Shadow
from flashguard.errors import OUTCOMES

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]

RETRY_AFTER_SECONDS: Final = 2
CLIENT: Final = "flashguard_client"
SHADOW: Final = "flashguard_shadow"
"""Names in the application's state."""


def lifespan(
    url: str,
    key: str | None = None,
    *,
    shadow: str | None = None,
    most_seconds: float = 10.0,
    around: Lifespan | None = None,
) -> Lifespan:
    """Return a lifespan that connects to FlashGuard, for `FastAPI(lifespan=…)`.

    Parameters:
        url: FlashGuard's address.
        key: an API key of the scope `shop`; without one, only what development allows.
        shadow: the id of a shadow sale, for `OwnStock`.
        most_seconds: maximum seconds that a call may take, with its retries.
        around: the application's own lifespan, which starts once FlashGuard's client is there: its
            background tasks get it by `client_of(app)`.

    Raises:
        ClientError: `url` is not a full address.
    """

    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            retry = Retry(most_seconds=most_seconds)
            client = AsyncClient(url, key, retry=retry, timeout_seconds=most_seconds)
            setattr(app.state, CLIENT, await stack.enter_async_context(client))
            if shadow is not None:
                reporter = Shadow(url, key, shadow)
                stack.push_async_callback(asyncio.to_thread, reporter.close)
                setattr(app.state, SHADOW, reporter)
            yield None if around is None else await stack.enter_async_context(around(app))

    return connected


def client_of(app: FastAPI) -> AsyncClient:
    """Return the application's connection, for its background tasks.

    Raises:
        RuntimeError: the application has no FlashGuard lifespan, or has not started.
    """
    found = getattr(app.state, CLIENT, None)
    if not isinstance(found, AsyncClient):
        raise RuntimeError("FlashGuard is not connected: FastAPI(lifespan=lifespan(URL, KEY))")
    return found


async def _stock(connection: HTTPConnection) -> AsyncIterator[AsyncClient]:
    """Yield the connection. An endpoint that got no answer answers 503: the outcome is unknown, and the buyer
    may try again with the same key."""
    try:
        yield client_of(connection.app)
    except NoAnswer as error:
        raise HTTPException(
            503,
            {"code": "no-answer", "detail": "The stock does not answer; retry shortly.", "key": error.key},
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        ) from error


def _own_stock(connection: HTTPConnection) -> Shadow:
    found = getattr(connection.app.state, SHADOW, None)
    if not isinstance(found, Shadow):
        raise RuntimeError("There is no shadow: FastAPI(lifespan=lifespan(URL, KEY, shadow=SALE))")
    return found


Stock = Annotated[AsyncClient, Depends(_stock)]
"""FlashGuard, in an endpoint: its calls are those of `AsyncClient`."""
OwnStock = Annotated[Shadow, Depends(_own_stock)]
"""Reports what the shop's own stock decides; `tell` never waits and never raises."""


def granted(outcome: Outcome) -> Reservation:
    """Return the reservation of a granted outcome.

    Raises:
        HTTPException: the outcome is a refusal: with the status of its problem, and as `detail` its `code`,
            its sentence, and what else it says.
    """
    if isinstance(outcome, Refused):
        said = {"code": str(outcome.code), "detail": outcome.detail or OUTCOMES[outcome.code].title}
        for name in ("sku", "pool", "available", "limit", "used", "by"):
            value = getattr(outcome, name)
            if value is not None:
                said[name] = value
        raise HTTPException(OUTCOMES[outcome.code].status, said)
    return outcome.reservation
