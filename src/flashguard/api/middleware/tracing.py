"""The framework's lane, traced: a span per request, named by its route once that is known."""

from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from flashguard.telemetry.tracing.otel import Traces

UNTRACED: Final = ("/healthz", "/readyz", "/metrics", "/events")
"""What is asked all the time, and streams, which last as long as somebody looks."""


class Traced:
    """Answers each request within its span."""

    def __init__(self, app: ASGIApp, traces: "Traces") -> None:
        self.app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].endswith(UNTRACED):
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        with self._traces.request(method, scope["headers"]) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path_format", "unmatched")
                    span.update_name(f"{method} {route}")
                    self._traces.told(span, method, route, message["status"])
                await send(message)

            await self.app(scope, receive, told)
