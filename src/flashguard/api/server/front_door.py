"""The server's front door: the application, and the lane that `Wire` takes for hot calls."""

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from flashguard.api.middleware.request_ids import RequestIds
from flashguard.api.shared import Shared

from .bounds import Bounds
from .lane import Lane


class FrontDoor(Lane):
    """The ASGI application that the server runs; `Wire` calls its lane directly.

    Parameters:
        app: the framework's application.
        shared: what the application and the lane share.
    """

    def __init__(self, app: FastAPI, shared: Shared) -> None:
        super().__init__(shared)
        self.app = app
        self.shared = shared
        self._with_ids = RequestIds(app, shared.settings.access_log, shared.traces)
        self.bounds = Bounds(shared.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._with_ids(scope, receive, send)
