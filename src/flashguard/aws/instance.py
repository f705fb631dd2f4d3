"""One Lambda instance: an event loop and connections that outlive its invocations.

Lambda runs one request at a time in an instance and freezes the process in between, possibly for hours:
nothing runs in the background, and sockets may be closed meanwhile. So nothing here needs a background task:
connections are checked before use, keys are read again when they are old, and a buy subscribes to commits
only while one is pending. See docs/decisions/0012.
"""

import asyncio
import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final

from flashguard.api.hot_calls import match
from flashguard.api.middleware.request_ids import renew as renew_request_ids
from flashguard.api.responses.problems import away_problem, problem, unexpected_problem
from flashguard.api.server.hot_request import HotRequest
from flashguard.api.server.lane import Lane
from flashguard.api.shared import Shared
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import Refused
from flashguard.settings import Settings

from .payload import MAX_ANSWER_BYTES, HttpRequest, answer_of, request_of

if TYPE_CHECKING:
    from .application import Application

log = logging.getLogger("flashguard")

SPARE_SECONDS: Final = 0.3
"""Time before Lambda stops an invocation, in which it is answered with `LATE`."""
LEAST_SECONDS: Final = 0.05
CONNECT_SECONDS: Final = 5.0
"""Time to connect before the first request; Lambda allows 10 s for the whole start."""
GAP_SECONDS: Final = 1.0
"""After a longer time without requests, connections are checked before use."""
CHECK_SECONDS: Final = 0.25
"""Time that a check may take; on one network it takes a millisecond."""
TURNS: Final = 3
"""Turns of the event loop in which it notices every connection that was closed meanwhile."""
NO_EVENTS: Final = Refused(
    code=Code.INVALID_REQUEST,
    detail="Live events are not available here: poll the sale every few seconds.",
)
LATE: Final = Refused(
    code=Code.OVERLOADED,
    detail="Not answered in time. Retry with the same idempotency key to get the outcome.",
    retry_after_seconds=1.0,
)
TOO_LARGE: Final = Refused(
    code=Code.INVALID_REQUEST,
    detail=f"The answer is larger than {MAX_ANSWER_BYTES} bytes: request it in pages.",
)


class Instance:
    """Answers events, one after the other.

    Raises:
        ConfigurationError: production mode with a secret that is missing or easy to guess.
    """

    def __init__(self, settings: Settings) -> None:
        self._shared = Shared(settings)
        self._lane = Lane(self._shared)
        self._loop = asyncio.new_event_loop()
        self._app: Application | None = None
        self._left_at = time.time()
        self._checking: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Connect while Lambda still starts the instance. A server that is away does not make the start fail.

        Raises:
            ConfigurationError: a server is not configured, or the ledger is not migrated.
        """
        try:
            self._loop.run_until_complete(self._connect(CONNECT_SECONDS))
        except (MemoryAway, LedgerAway, TimeoutError) as error:
            log.warning(
                "cannot connect at start: %s; the first request tries again", error or "no answer in time"
            )

    def before_snapshot(self) -> None:
        """Get ready to be copied (SnapStart): import what any request may need, and close all connections,
        because a copy can't use them."""
        from . import application  # noqa: F401

        guard, self._shared.guard = self._shared.guard, None
        if guard is not None:
            self._loop.run_until_complete(guard.close())

    def after_restore(self) -> None:
        """Go on as a copy: connect, and make new what must differ between copies."""
        renew_request_ids()
        random.seed()
        self.start()

    def answer(self, event: Any, remaining_ms: int) -> dict[str, Any]:
        """Return the answer to an event.

        Parameters:
            remaining_ms: milliseconds until Lambda stops the invocation.

        Raises:
            NotHttp: the event is not an HTTP request.
        """
        request = request_of(event)
        seconds = max(LEAST_SECONDS, remaining_ms / 1000 - SPARE_SECONDS)
        try:
            return self._loop.run_until_complete(self._answer(request, seconds))
        finally:
            self._left_at = time.time()

    async def _answer(self, request: HttpRequest, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                await self._be_ready(seconds)
                hot = self._hot(request)
                if hot is not None:
                    response = await hot.answer(request.headers)
                elif request.method == "GET" and request.path.endswith("/events"):
                    response = problem(NO_EVENTS, status=501)
                else:
                    return await self._whole(request)
        except TimeoutError:
            response = problem(LATE)
        except (MemoryAway, LedgerAway) as error:
            response = away_problem(error)
        except Exception:
            log.exception("unexpected error in a %s request", request.method)
            response = unexpected_problem()
        return answer_of(response.status_code, response.raw_headers, bytes(response.body))

    def _hot(self, request: HttpRequest) -> HotRequest | None:
        hot = match(request.method.encode(), request.url)
        if hot is None or len(request.body) > self._lane.most_bytes(hot):
            return None
        return self._lane.plan(hot, request.headers, request.body, (request.peer, 0))

    async def _whole(self, request: HttpRequest) -> dict[str, Any]:
        from .application import AnswerTooLargeError, Application

        if self._app is None:
            self._app = await Application.started(self._shared)
        try:
            return answer_of(*await self._app.answer(request))
        except AnswerTooLargeError:
            response = problem(TOO_LARGE, status=500)
            return answer_of(response.status_code, response.raw_headers, bytes(response.body))

    # Connections

    async def _be_ready(self, seconds: float) -> None:
        """Make sure that there is a connection, that it is alive, and that keys are recent.

        Raises:
            MemoryAway, LedgerAway, TimeoutError: there is no connection, and connecting fails.
        """
        guard = self._shared.guard
        if guard is None:
            await self._connect(min(seconds, CONNECT_SECONDS))
            return
        for _ in range(TURNS):
            await asyncio.sleep(0)
        waits = [self._shared.identities.refresh(guard.ledger)]
        if time.time() - self._left_at > GAP_SECONDS:
            waits.append(guard.renew(CHECK_SECONDS))
        tasks = {self._loop.create_task(wait) for wait in waits}
        self._checking |= tasks
        await asyncio.wait(tasks, timeout=CHECK_SECONDS)
        self._checking = {task for task in self._checking if not task.done()}

    async def _connect(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            guard = await FlashGuard.connect(
                self._shared.settings,
                lone=True,
                ring=self._shared.identities.ring,
                traces=self._shared.traces,
            )
            with contextlib.suppress(TimeoutError):
                await self._shared.identities.refresh(guard.ledger)
        self._shared.guard = guard
