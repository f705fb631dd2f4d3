"""The lines of the admin log that calls of the API make: begun when the caller is known, completed by the
route, written before the answer.

Changes that are in the ledger carry their line in their own transaction (`action_of` hands it to the book).
The others, decided in memory, have it written right after the decision. While the ledger is away, lines wait
in this process.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.admin_log import MAX_AGENT, AdminAction, AdminLogBook, new_action, plain
from flashguard.telemetry.logs import REQUEST_ID

if TYPE_CHECKING:
    from starlette.requests import Request

log = logging.getLogger("flashguard")

WRITE_SECONDS: Final = 1.0
"""Maximum time that an answer waits for its line: a sale can be paused while the ledger is away."""
RETRY_SECONDS: Final = 2.0
MAX_WAITING: Final = 1_000
"""Lines that wait for the ledger; beyond this the oldest are dropped, and only the process's log has them."""
MAX_FORBIDDEN: Final = 60
"""Calls without the right that a process writes down per minute: a leaked key must not fill the ledger."""
MINUTE: Final = 60.0


def begin_action(request: "Request", key: str) -> None:
    """Begin the line of this call. The caller is known, and nothing is decided yet."""
    scope: Any = request.scope
    route = getattr(scope.get("route"), "path_format", "")
    peer = request.client.host if request.client else None
    named = {name: str(value) for name, value in request.path_params.items()}
    action = new_action(
        key,
        f"{request.method} {route}",
        address=plain(request.app.state.limits.addresses.client(peer, scope["headers"])),
        agent=plain(request.headers.get("user-agent", ""), MAX_AGENT) or None,
        request_id=(REQUEST_ID.get() or b"").decode() or None,
    )
    target = named.pop(next(iter(named)), "") if named else ""
    action.about(target, **named)
    request.state.action = action


def action_of(request: "Request") -> AdminAction:
    """Return the line of this call, for a route whose right is logged."""
    action: AdminAction = request.state.action
    return action


class AdminLogWriter:
    """Writes lines; keeps those that the ledger did not take, and tries them again."""

    def __init__(self) -> None:
        self._waiting: deque[AdminAction] = deque()
        self._book: AdminLogBook | None = None
        self._writing = asyncio.Lock()
        self._minute, self._forbidden = 0.0, 0

    @asynccontextmanager
    async def written_to(self, ledger: Ledger) -> AsyncIterator[None]:
        """Write to this ledger until the context ends, and what waits by then once more."""
        self._book = AdminLogBook(ledger)
        task = asyncio.create_task(self._retry())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self._write_waiting()
            if self._waiting:
                log.error(
                    "%d lines of the admin log are lost: the ledger did not take them", len(self._waiting)
                )

    def takes_forbidden(self) -> bool:
        """Return whether another call without the right may be written down in this minute."""
        now = time.monotonic()
        if now - self._minute > MINUTE:
            self._minute, self._forbidden = now, 0
        self._forbidden += 1
        return self._forbidden <= MAX_FORBIDDEN

    async def write(self, action: AdminAction) -> None:
        """Write a line, after those that wait; return when it is written, or waits too."""
        self._waiting.append(action)
        await self._write_waiting()
        if action in self._waiting:
            log.warning(
                "the ledger does not take the admin log's line, which waits: %s by %s on %r: %s",
                action.operation, action.actor, action.target, action.outcome,
            )  # fmt: skip
        while len(self._waiting) > MAX_WAITING:
            dropped = self._waiting.popleft()
            log.error("too many lines of the admin log wait for the ledger; lost: %s", dropped.id)

    async def _write_waiting(self) -> None:
        with contextlib.suppress(TimeoutError, LedgerAway, asyncpg.PostgresError):
            async with asyncio.timeout(WRITE_SECONDS), self._writing:
                actions = list(self._waiting)
                if actions and self._book is not None:
                    await self._book.note(actions)
                    written = {action.id for action in actions}
                    self._waiting = deque(each for each in self._waiting if each.id not in written)

    async def _retry(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if self._waiting:
                await self._write_waiting()
