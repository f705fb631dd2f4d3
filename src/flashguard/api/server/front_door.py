"""The server's front door: the application, and the lane that `Wire` takes for hot calls."""

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from flashguard.api.middleware.request_ids import RequestIds
from flashguard.settings import Settings

from .bounds import Bounds
from .lane import Lane


class FrontDoor(Lane):
    """The ASGI application that the server runs; `Wire` calls its lane directly.

    Parameters:
        app: the framework's application; the lane shares its settings, guard and meters.
    """

    def __init__(self, app: FastAPI) -> None:
        super().__init__(app.state)
        self.app = app
        settings: Settings = app.state.settings
        self._with_ids = RequestIds(app, settings.access_log, self._traces)
        self.bounds = Bounds(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._with_ids(scope, receive, send)
