"""Bounds request bodies, counts answers and adds safe headers, as plain ASGI."""

from collections.abc import Mapping
from time import perf_counter
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flashguard.api.responses.problems import problem
from flashguard.errors import Code
from flashguard.model import Refused
from flashguard.telemetry.metrics import Answers

from .safe_headers import make_safe


class TooLarge(HTTPException):
    """The body is larger than the bound. An HTTPException, the only error that FastAPI passes on while it
    reads a body."""

    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(413, f"The body is larger than {max_body_bytes} bytes.")


def too_large_problem(_: Request, error: Exception) -> Response:
    """Return the problem of a body over the bound."""
    detail = error.detail if isinstance(error, TooLarge) else str(error)
    return problem(Refused(code=Code.INVALID_REQUEST, detail=detail), status=413)


TWO_KEYS: Final = Refused(
    code=Code.INVALID_REQUEST, detail="Idempotency-Key: send one such header, not several"
)


class BodyLimit:
    """Refuses bodies over the bound (413) and several idempotency keys (422); counts answers by route and
    status.

    Parameters:
        larger: bounds of the paths that accept larger bodies, by their last part.
    """

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, answers: Answers, larger: Mapping[str, int]
    ) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.larger = larger
        self.answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        came = perf_counter()
        received = 0
        started = False
        most = self.larger.get(scope["path"].rpartition("/")[2], self.max_body_bytes)

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise TooLarge(most)
            return message

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                route = getattr(scope.get("route"), "path_format", "unmatched")
                self.answers.note(route, message["status"], perf_counter() - came)
                make_safe(message)
            await send(message)

        try:
            keys = 0
            for name, value in scope["headers"]:
                if name == b"content-length" and int(value) > most:
                    raise TooLarge(most)
                keys += name == b"idempotency-key"
            if keys > 1:  # it is undefined which of them counts
                await problem(TWO_KEYS)(scope, receive, counted)
                return
            await self.app(scope, bounded, counted)
        except TooLarge as error:
            if not started:
                await too_large_problem(Request(scope), error)(scope, receive, counted)
