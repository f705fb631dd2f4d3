"""A bound on request bodies, and counts of answers, as plain ASGI."""

from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flashguard.errors import Code
from flashguard.model import Refused

from .problems import problem


class TooLarge(Exception):
    """The body is larger than the bound."""


class Front:
    """Refuses bodies beyond the bound with 413 and counts answers by route and status."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, counts: "Counter[tuple[str, int]]") -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0
        started = False

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise TooLarge
            return message

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                route = getattr(scope.get("route"), "path", "unmatched")
                self.counts[route, message["status"]] += 1
            await send(message)

        try:
            for name, value in scope["headers"]:
                if name == b"content-length" and int(value) > self.max_body_bytes:
                    raise TooLarge
            await self.app(scope, bounded, counted)
        except TooLarge:
            if not started:
                refusal = Refused(
                    code=Code.INVALID_REQUEST, detail=f"The body is larger than {self.max_body_bytes} bytes."
                )
                await problem(refusal, status=413)(scope, receive, counted)
