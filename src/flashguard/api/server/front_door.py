"""The server's front door: the application, and the express lane past it that `Wire` takes."""

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from flashguard.api.middleware.request_ids import Named
from flashguard.settings import Settings

from .bounds import Bounds
from .lane import Lane


class Express(Lane):
    """The server's front door: the application, and the lane past it that `Wire` takes.

    Parameters:
        app: the framework's lane; its settings, guard and meters are shared.
    """

    def __init__(self, app: FastAPI) -> None:
        super().__init__(app.state)
        self.app = app
        settings: Settings = app.state.settings
        self._named = Named(app, settings.access_log, self._traces)
        self.bounds = Bounds(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._named(scope, receive, send)
