"""The whole application, for whatever is not a hot call: imported when first needed, and then kept."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from flashguard.api.app import create_app
from flashguard.api.middleware.request_ids import RequestIds
from flashguard.api.shared import Shared

from .payload import MAX_ANSWER_BYTES, Headers, HttpRequest


class AnswerTooLarge(Exception):
    """The answer is larger than Lambda carries."""


class Application:
    """The framework's lane of one instance; begins with the first request that needs it."""

    def __init__(self, app: ASGIApp, lifespan: Any) -> None:
        self._app = app
        self._lifespan = lifespan

    @classmethod
    async def started(cls, shared: Shared) -> "Application":
        """The application, over the guard that the instance has."""
        app = create_app(shared=shared)
        lifespan = app.router.lifespan_context(app)
        await lifespan.__aenter__()
        return cls(RequestIds(app, shared.settings.access_log, shared.traces), lifespan)

    async def answer(self, request: HttpRequest) -> tuple[int, Headers, bytes]:
        """Status, headers and the whole body.

        Raises:
            AnswerTooLarge: it can't be given.
        """
        unread = [request.body]
        status, headers, body = 500, list[tuple[bytes, bytes]](), bytearray()

        async def receive() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            await asyncio.Event().wait()  # nobody hangs up on a Lambda
            raise AssertionError("unreachable")

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message.get("headers", ()))
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if len(body) > MAX_ANSWER_BYTES:
                    raise AnswerTooLarge

        await self._app(request.scope(), receive, send)
        return status, headers, bytes(body)
