"""The live view's life within the application: it starts with it, and ends its streams before it ends."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from flashguard.api.responses.problems import problem
from flashguard.api.schemas.views import sale_view
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.live import Ending, Full, Hub
from flashguard.model import MAX_NAME, Refused
from flashguard.settings import Settings
from flashguard.simulator.desk import Desk, NotStarted, Unknown
from flashguard.valkey.connect import connect_kernel

from .garbage import spare_the_process
from .source import GuardSource

RETRY_SECONDS: Final = 2.0


def hub_of(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


def install(app: FastAPI) -> None:
    """Makes what the hub raises problems."""
    app.add_exception_handler(Full, _full)
    app.add_exception_handler(Ending, _ending)
    app.add_exception_handler(Unknown, _no_such_simulation)
    app.add_exception_handler(NotStarted, _not_started)


@asynccontextmanager
async def watching(app: FastAPI, guard: FlashGuard, settings: Settings) -> AsyncIterator[None]:
    """Gives the app its hub and its desk.

    A server that is told to end waits for open responses: it is at that word that we end the streams.
    """
    hub = Hub(GuardSource(guard), sale_view, max_viewers=settings.max_viewers)
    desk = Desk(guard.ledger, connect_kernel(settings.redis_url or "", settings), hub, settings)
    app.state.hub, app.state.desk = hub, desk
    spare_the_process()
    try:
        with at_the_first_word(hub.end):
            yield
    finally:
        await hub.close()
        await desk.close()


@contextmanager
def at_the_first_word(act: Callable[[], None]) -> Iterator[None]:
    """Has SIGTERM and SIGINT also call this, in the loop, before the server's own handler goes on."""
    if threading.current_thread() is not threading.main_thread():
        yield  # somebody else's program: its lifespan shutdown must do
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(act)
        theirs = before[signal.Signals(number)]
        if callable(theirs):
            theirs(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        if callable(signal.getsignal(number)):
            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, theirs in before.items():
            signal.signal(number, theirs)


def _full(_: Request, __: Exception) -> Response:
    return problem(
        Refused(
            code=Code.OVERLOADED,
            detail="This process has its most viewers.",
            retry_after_seconds=RETRY_SECONDS,
        )
    )


def _no_such_simulation(request: Request, _: Exception) -> Response:
    id_ = str(request.path_params.get("id", ""))[:MAX_NAME]
    return problem(Refused(code=Code.INVALID_REQUEST, detail=f"There is no simulation {id_!r}."), status=404)


def _not_started(_: Request, error: Exception) -> Response:
    assert isinstance(error, NotStarted)
    return problem(error.refused)


def _ending(_: Request, __: Exception) -> Response:
    return problem(
        Refused(code=Code.RECOVERING, detail="This process ends.", retry_after_seconds=RETRY_SECONDS)
    )
