"""One trace from the click to the commit.

Many clicks share a script call, and many journal entries share a transaction. The span of a script call
belongs to the trace of its first click and links to the other clicks, which link back. The token of the
journal entry carries the trace to the recorder, another process: a traced call's token ends in its trace and
span ids. The recorder's span is the child of its first traced entry and links to the others.
"""

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.responses import Response

T = TypeVar("T")
Answer = TypeVar("Answer", bound=Response)
MAX_LINKS: Final = 127
"""OpenTelemetry allows 128 links per span."""
CARRIED: Final = (b"traceparent", b"tracestate")
_read: Final = TraceContextTextMapPropagator().extract
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Asked(Protocol):
    """A request that waits for a script call."""

    span: Span | None


class ScriptCall:
    """The span of one script call."""

    def __init__(self, span: Span, token: str) -> None:
        context = span.get_span_context()
        self.span = span
        self.token = f"{token}-{context.trace_id:032x}-{context.span_id:016x}"

    def answered(self, epoch: int, seq: int, status: str) -> None:
        """Note the journal entry that the call wrote; the newest entry when it wrote none."""
        self.span.set_attribute("flashguard.journal_entry", f"{epoch}-{seq}")
        if status:
            self.span.set_status(Status(StatusCode.ERROR, status))

    def end(self) -> None:
        self.span.end()


class Traces:
    """Makes the spans of one process."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("flashguard")

    def shutdown(self) -> None:
        """Send the remaining spans."""
        self._provider.shutdown()

    @contextmanager
    def request(self, name: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Span]:
        """Yield the span of an HTTP request, in the caller's trace if it sent one (W3C `traceparent`)."""
        carrier = {key.decode(): value.decode("latin-1") for key, value in headers if key in CARRIED}
        context = _read(carrier)
        with self._tracer.start_as_current_span(name, context=context, kind=SpanKind.SERVER) as span:
            yield span

    async def answering(
        self, call: Awaitable[Answer], method: str, route: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> Answer:
        """Return the answer to a hot call, in a span of its own."""
        with self.request(f"{method} {route}", headers) as span:
            response = await call
            self.answered(span, method, route, response.status_code)
            return response

    @staticmethod
    def answered(span: Span, method: str, route: str, status: int) -> None:
        """Note the answer, with the attributes of OpenTelemetry's conventions."""
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))

    async def deciding(self, verb: str, ask: Asked, decided: Awaitable[T]) -> T:
        """Return the decision on one request, including its commit, in a span of its own."""
        if not get_current_span().is_recording():
            return await decided
        with self._tracer.start_as_current_span(f"decide {verb}") as span:
            ask.span = span
            return await decided

    def script_call(self, verb: str, partition: int, asks: Sequence[Asked], token: str) -> ScriptCall | None:
        """Return the span of a script call for these requests; None when none of them is traced."""
        spans = [ask.span for ask in asks if ask.span is not None]
        if not spans:
            return None
        first, *others = spans
        span = self._tracer.start_span(
            f"script call {verb}",
            context=set_span_in_context(first),
            kind=SpanKind.CLIENT,
            links=[Link(other.get_span_context()) for other in others[:MAX_LINKS]],
            attributes={
                "db.system.name": "valkey",
                "flashguard.partition": partition,
                "flashguard.requests": len(asks),
            },
        )
        for other in others:
            other.add_link(span.get_span_context())
        return ScriptCall(span, token)

    @contextmanager
    def transaction(self, partition: int, tokens: Sequence[str]) -> Iterator[None]:
        """Run the recorder's transaction in a span that is linked to the traced entries."""
        contexts = [context for token in tokens if (context := context_of(token)) is not None]
        if not contexts:
            yield
            return
        first, *others = contexts
        with self._tracer.start_as_current_span(
            "record group",
            context=set_span_in_context(NonRecordingSpan(first)),
            kind=SpanKind.CONSUMER,
            links=[Link(other) for other in others[:MAX_LINKS]],
            attributes={
                "db.system.name": "postgresql",
                "flashguard.partition": partition,
                "flashguard.entries": len(tokens),
            },
        ):
            yield


def context_of(token: str) -> SpanContext | None:
    """Return the trace and span in which a journal entry was written; None when it was not traced."""
    _, *ids = token.split("-")
    if [len(each) for each in ids] != [32, 16]:
        return None
    trace_id, span_id = (int(each, 16) for each in ids)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)
