"""The ASGI application."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from flashguard import __version__
from flashguard.api.middleware.admin_log import AdminLog
from flashguard.api.middleware.body_limit import BodyLimit, TooLarge, too_large_problem
from flashguard.api.middleware.rate_limit import RateLimit
from flashguard.api.middleware.strict_json import StrictJson
from flashguard.guard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.settings import Settings

from . import components
from .admin_log import AdminLogWriter
from .live.lifespan import install as install_live
from .live.lifespan import watching
from .middleware import failures
from .openapi import contract
from .pages.serve import install as install_pages
from .responses import problems
from .routes import (
    admin_log,
    batches,
    buyer_tokens,
    caller,
    events,
    facts,
    health,
    imports,
    items,
    keys,
    metrics,
    orders,
    payments,
    reservation_lists,
    reservations,
    sales,
    shadow,
    simulations,
    system,
    waiting_list,
    waiting_room,
    webhooks,
)
from .shared import Shared

if TYPE_CHECKING:
    from flashguard.api.server.front_door import FrontDoor
    from flashguard.telemetry.tracing.otel import Traces

log = logging.getLogger("flashguard")

CONNECT_RETRY_SECONDS: Final = 0.2
CONNECT_SECONDS: Final = 60.0


def _must_stop() -> bool:
    """Return whether the process was asked to stop: uvicorn notes it, and reads its note only when the
    application has started."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True


async def _connect(shared: Shared) -> FlashGuard:
    """Return a connected guard. Retries while a server is away, because uvicorn stops all workers when one
    fails to start; not once the process must stop, so that the next one gets its port."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return await FlashGuard.connect(
                shared.settings, ring=shared.identities.ring, traces=shared.traces
            )
        except (MemoryAway, LedgerAway) as error:
            if time.monotonic() > deadline or _must_stop():
                raise
            log.warning("cannot connect: %s; retrying for up to %g s", error, CONNECT_SECONDS)
            await asyncio.sleep(CONNECT_RETRY_SECONDS)


@asynccontextmanager
async def _connected(shared: Shared) -> AsyncIterator[FlashGuard]:
    """Yield the guard that the process already has, or a new one, and keep identities up to date
    meanwhile."""
    if shared.guard is not None:
        yield shared.guard
        return
    async with await _connect(shared) as guard, shared.identities.following(guard.ledger):
        shared.guard = guard
        try:
            yield guard
        finally:
            shared.guard = None


def create_app(
    settings: Settings | None = None, traces: "Traces | None" = None, shared: Shared | None = None
) -> FastAPI:
    """Return the application. It connects to Valkey/Redis and PostgreSQL when it starts.

    Parameters:
        shared: what the process already has, in place of settings and traces.

    Raises:
        ConfigurationError: production mode with a secret that is missing or easy to guess.
    """
    shared = shared or Shared(settings or Settings(), traces)
    settings, answers, traces, limits = shared.settings, shared.answers, shared.traces, shared.limits
    actions = AdminLogWriter()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _connected(shared) as guard, watching(app, guard, settings):
            app.state.guard = guard
            async with (
                actions.written_to(guard.ledger),
                metrics.counting(app, settings),
                payments.offered(app, guard, settings),
            ):
                yield
        if traces is not None:
            traces.shutdown()

    app = FastAPI(
        title="FlashGuard",
        version=__version__,
        summary="Never oversells, never loses an order that it confirmed.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[StrictJson],
    )
    app.state.settings = settings
    app.state.answers = answers
    app.state.traces = traces
    app.state.identities = shared.identities
    app.state.sealer = shared.sealer
    app.state.known_sales = buyer_tokens.KnownSales()
    app.state.callers = shared.callers
    app.state.limits = limits
    app.state.journal_watch = components.JournalWatch()
    failures.install(app)
    contract.install(app)
    app.add_exception_handler(TooLarge, too_large_problem)
    install_live(app)
    app.include_router(sales.router)
    app.include_router(items.router)
    app.include_router(orders.router)
    app.include_router(imports.router)
    app.include_router(reservations.router)
    app.include_router(reservation_lists.router)
    app.include_router(payments.router)
    app.include_router(batches.router)
    app.include_router(waiting_room.router)
    app.include_router(waiting_list.router)
    app.include_router(events.router)
    app.include_router(webhooks.router)
    app.include_router(facts.router)
    app.include_router(shadow.router)
    app.include_router(simulations.router)
    app.include_router(keys.router)
    app.include_router(buyer_tokens.router)
    app.include_router(admin_log.router)
    app.include_router(caller.router)
    app.include_router(system.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    install_pages(app, settings)
    app.add_middleware(AdminLog, writer=actions)
    if limits.on:
        app.add_middleware(RateLimit, limits=limits, callers=app.state.callers)
    app.add_middleware(
        BodyLimit, max_body_bytes=settings.max_body_bytes, answers=answers,
        larger={
            "imports": settings.max_import_bytes,
            "reservations:batch": settings.max_batch_bytes,
            "orders:batch": settings.max_batch_bytes,
        },
    )  # fmt: skip
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Cache-Control",
                "Content-Type",
                "Idempotency-Key",
                "If-None-Match",
                "Last-Event-ID",
                "X-Request-Id",
                "traceparent",
                "tracestate",
            ],
            expose_headers=[
                "ETag",
                "Idempotent-Replayed",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "X-Request-Id",
            ],
        )

    @app.exception_handler(500)
    def internal_error(_: Request, __: Exception) -> Response:
        return problems.unexpected_problem()

    return app


def create_front_door(settings: Settings | None = None, traces: "Traces | None" = None) -> "FrontDoor":
    """Return what the server runs: the application behind its lane for hot calls.

    Raises:
        ConfigurationError: production mode with a secret that is missing or easy to guess.
    """
    from flashguard.api.server.front_door import FrontDoor  # imports uvicorn, which AWS Lambda does not have

    shared = Shared(settings or Settings(), traces)
    return FrontDoor(create_app(shared=shared), shared)
