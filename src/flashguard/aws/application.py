"""The whole application, for calls that are not hot: imported when first needed, then kept."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from flashguard.api.app import create_app
from flashguard.api.middleware.request_ids import RequestIds
from flashguard.api.shared import Shared

from .payload import MAX_ANSWER_BYTES, Headers, HttpRequest


class AnswerTooLargeError(Exception):
    """The answer is larger than Lambda transports."""


class Application:
    """The framework's application in one instance; started by the first request that needs it."""

    def __init__(self, app: ASGIApp, lifespan: Any) -> None:
        self._app = app
        self._lifespan = lifespan

    @classmethod
    async def started(cls, shared: Shared) -> "Application":
        """Return the started application, with the guard of the instance."""
        app = create_app(shared=shared)
        lifespan = app.router.lifespan_context(app)
        await lifespan.__aenter__()
        return cls(RequestIds(app, shared.settings.access_log, shared.traces), lifespan)

    async def answer(self, request: HttpRequest) -> tuple[int, Headers, bytes]:
        """Return the status, the headers and the whole body.

        Raises:
            AnswerTooLargeError: Lambda can't transport it.
        """
        unread = [request.body]
        status, headers, body = 500, list[tuple[bytes, bytes]](), bytearray()

        async def receive() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            await asyncio.Event().wait()  # a client of Lambda never disconnects
            raise AssertionError("unreachable")

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message.get("headers", ()))
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if len(body) > MAX_ANSWER_BYTES:
                    raise AnswerTooLargeError

        await self._app(request.scope(), receive, send)
        return status, headers, bytes(body)
