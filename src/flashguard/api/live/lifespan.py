"""The live view's lifetime within the application: it starts with it, and ends its streams before it
stops."""

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
from flashguard.facts import FactFeed
from flashguard.garbage import collect_rarely
from flashguard.guard import FlashGuard
from flashguard.live import Ending, Full, Hub
from flashguard.model import MAX_NAME, Refused
from flashguard.settings import Settings
from flashguard.simulator.desk import Desk, NotStarted, UnknownSimulation
from flashguard.valkey.connect import connect_kernel

from .source import GuardSource
from .tickets import TicketStreams

STREAM_RETRY_SECONDS: Final = 2.0


def hub_of(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


def ticket_streams_of(request: Request) -> TicketStreams:
    streams: TicketStreams = request.app.state.ticket_streams
    return streams


def install(app: FastAPI) -> None:
    """Register the handlers that turn the exceptions of hub and desk into problems."""
    app.add_exception_handler(Full, _full)
    app.add_exception_handler(Ending, _ending)
    app.add_exception_handler(UnknownSimulation, _no_such_simulation)
    app.add_exception_handler(NotStarted, _not_started)


@asynccontextmanager
async def watching(app: FastAPI, guard: FlashGuard, settings: Settings) -> AsyncIterator[None]:
    """Give the app its hub, its streams of tickets, its desk and its feed of facts.

    A server that is asked to stop waits for open responses, so the streams end, and the readers of facts are
    woken, when the signal arrives.
    """
    hub = Hub(GuardSource(guard), sale_view, max_viewers=settings.max_viewers)
    desk = Desk(guard.ledger, connect_kernel(settings.redis_url or "", settings), hub, settings)
    facts = FactFeed(guard.ledger, guard.partitions, guard.watermark.next_announcement)
    tickets = TicketStreams(guard.rooms, hub)
    app.state.hub, app.state.desk, app.state.facts, app.state.ticket_streams = hub, desk, facts, tickets

    def end() -> None:
        hub.end()
        facts.new_facts.end()

    collect_rarely()
    try:
        with on_stop_signal(end):
            yield
    finally:
        await hub.close()
        await tickets.close()
        await facts.new_facts.close()
        await desk.close()


@contextmanager
def on_stop_signal(act: Callable[[], None]) -> Iterator[None]:
    """Call this in the loop on SIGTERM and SIGINT, then the server's own handler."""
    if threading.current_thread() is not threading.main_thread():
        yield  # embedded in another program: its lifespan shutdown ends the streams
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(act)
        previous = before[signal.Signals(number)]
        if callable(previous):
            previous(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        if callable(signal.getsignal(number)):
            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _full(_: Request, __: Exception) -> Response:
    return problem(
        Refused(
            code=Code.OVERLOADED,
            detail="This process has its maximum number of viewers.",
            retry_after_seconds=STREAM_RETRY_SECONDS,
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
        Refused(
            code=Code.RECOVERING, detail="This process is stopping.", retry_after_seconds=STREAM_RETRY_SECONDS
        )
    )
