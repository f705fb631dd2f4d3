"""Tracing of the framework's requests: a span per request, named by its route once that is known."""

from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces

UNTRACED: Final = ("/healthz", "/readyz", "/metrics", "/events")
"""Paths without spans: those that are polled all the time, and streams, which last until the client
leaves."""


class Traced:
    """Answers each request in its span."""

    def __init__(self, app: ASGIApp, traces: "Traces") -> None:
        self.app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].endswith(UNTRACED):
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        with self._traces.request(method, scope["headers"]) as span:

            async def send_traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path_format", "unmatched")
                    span.update_name(f"{method} {route}")
                    self._traces.answered(span, method, route, message["status"])
                await send(message)

            await self.app(scope, receive, send_traced)
