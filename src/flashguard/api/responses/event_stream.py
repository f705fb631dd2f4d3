"""A Server-Sent Events stream as a response, with as little work as possible per viewer and event."""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flashguard.live import Viewer


class EventStream(Response):
    """Sends a viewer its events until it disconnects or the channel ends, then leaves the channel."""

    media_type = "text/event-stream"

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(
            headers={
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # a buffering proxy would delay events
                "X-Content-Type-Options": "nosniff",
            }
        )
        del self.headers["content-length"]
        self._viewer = viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        viewer = self._viewer
        clock = asyncio.get_running_loop().time
        viewer.task = asyncio.current_task()
        gone = asyncio.create_task(_leave_when_gone(receive, viewer))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (events := await viewer.next()) is not None:
                viewer.sending_since = clock()
                await send({"type": "http.response.body", "body": events, "more_body": True})
                viewer.sending_since = None
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            viewer.leave()


async def _leave_when_gone(receive: Receive, viewer: Viewer) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.leave()
