"""One trace from the click to the commit, seen by OpenTelemetry's own exporter in memory."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import uvicorn
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flashguard.api.app import create_front_door
from flashguard.api.server.wire import Wire
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.recorder import Recorder
from flashguard.settings import Settings
from flashguard.telemetry.tracing.otel import Traces
from flashguard.valkey.connect import connect_kernel
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, READY_SECONDS, Service, clean_env, migrated_servers

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
PAST_THE_LANE = {"Origin": "http://elsewhere.example"}
WAIT_SECONDS = 30.0


@dataclass
class Traced:
    """A service and its recorder in this process, and the spans that they made."""

    service: Service
    exporter: InMemorySpanExporter

    async def buy(self, sale: str, customer: str, **headers: str) -> None:
        body = {"customer": customer, "items": [{"sku": "unit", "quantity": 1}]}
        (await self.service.call("POST", f"/v1/sales/{sale}/orders", body, headers=headers)).ok(201)

    async def spans(self, count: int, *names: str) -> list[ReadableSpan]:
        """The spans of these names, once there are so many."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                found = [s for s in self.exporter.get_finished_spans() if s.name in names]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.05)


BUY = "POST /v1/sales/{sale}/orders"
DECIDE, CALL, RECORD = "decide reserve_stock", "script call reserve_stock", "record group"


@pytest.fixture(scope="module")
async def running(http: aiohttp.ClientSession) -> AsyncIterator[Traced]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces, port = Traces(provider), free_port()
    async with migrated_servers() as servers:
        settings = Settings(
            redis_url=servers.redis_url, database_url=servers.database_url, admin_key=ADMIN_KEY, port=port
        )
        ledger = await Ledger.connect(servers.database_url)
        memory = connect_kernel(servers.redis_url, settings)
        recorder = Recorder(Kernel(memory), ledger, settings, 16, traces)
        recording = asyncio.create_task(recorder.run())
        server = uvicorn.Server(
            uvicorn.Config(
                create_front_door(settings, traces), port=port, http=Wire, log_level="warning", lifespan="on"
            )
        )
        serving = asyncio.create_task(server.serve())
        service = Service(f"http://127.0.0.1:{port}", servers, http)
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await service.ready():
                    await asyncio.sleep(0.05)
            yield Traced(service, exporter)
        finally:
            server.should_exit = True
            await serving
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
            await memory.aclose()
            await ledger.close()


@pytest.fixture
async def traced(running: Traced) -> Traced:
    running.exporter.clear()
    return running


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    return span.context.span_id


@pytest.mark.parametrize("more", [{}, PAST_THE_LANE], ids=["express", "framework"])
async def test_one_trace_goes_from_the_click_to_the_commit_and_begins_at_the_caller(traced, more):
    sale = await traced.service.create_sale(stock=1)
    traced.exporter.clear()
    await traced.buy(sale, "ada", **SAMPLED, **more)
    await traced.spans(4, BUY, DECIDE, CALL, RECORD)
    [request], [decide], [call], [record] = [await traced.spans(1, n) for n in (BUY, DECIDE, CALL, RECORD)]
    assert {f"{span.context.trace_id:032x}" for span in (request, decide, call, record)} == {TRACE}
    assert f"{parent_of(request):016x}" == PARENT
    assert (parent_of(decide), parent_of(call), parent_of(record)) == (
        id_of(request), id_of(decide), id_of(call),
    )  # fmt: skip
    assert request.attributes["http.response.status_code"] == 201
    assert call.attributes["flashguard.requests"] == 1
    assert "-" in call.attributes["flashguard.journal_entry"]
    # The answer waits for the commit, so the click's span holds the recorder's.
    assert request.start_time <= call.start_time <= record.start_time
    assert record.end_time <= decide.end_time <= request.end_time
    await traced.service.audit(sale)


async def test_clicks_that_shared_a_script_call_link_to_it_and_it_to_them(traced):
    sale = await traced.service.create_sale(stock=50)
    traced.exporter.clear()
    await asyncio.gather(*(traced.buy(sale, f"c{number}") for number in range(50)))
    decides = await traced.spans(50, DECIDE)
    calls = await traced.spans(1, CALL)
    records = await traced.spans(1, RECORD)
    assert len(calls) < 50  # some shared one
    by_id = {id_of(call): call for call in calls}
    own = 0
    for decide in decides:
        linked = [link.context.span_id for link in decide.links if link.context.span_id in by_id]
        if linked:
            [call] = [by_id[each] for each in linked]
            assert id_of(decide) in {link.context.span_id for link in call.links}
        else:
            assert any(parent_of(call) == id_of(decide) for call in calls)
            own += 1
    assert own == len(calls)
    recorded = {parent_of(record) for record in records}
    recorded |= {link.context.span_id for record in records for link in record.links}
    assert set(by_id) <= recorded


async def test_a_caller_who_does_not_sample_leaves_no_span(traced):
    sale = await traced.service.create_sale(stock=2)
    traced.exporter.clear()
    await traced.buy(sale, "ada", **UNSAMPLED)
    await traced.buy(sale, "bob", **SAMPLED)
    [request] = await traced.spans(1, BUY)
    [_] = await traced.spans(1, RECORD)
    assert f"{request.context.trace_id:032x}" == TRACE
    assert len(await traced.spans(1, CALL)) == 1


async def test_a_trace_header_that_is_none_begins_a_trace_of_its_own(traced):
    sale = await traced.service.create_sale(stock=1)
    traced.exporter.clear()
    await traced.buy(sale, "ada", traceparent="nonsense")
    [request] = await traced.spans(1, BUY)
    assert request.parent is None


async def test_what_is_asked_all_the_time_is_not_traced(traced):
    for path in ("/healthz", "/readyz", "/metrics"):
        await traced.service.call("GET", path)
    await traced.service.call("GET", "/v1/sales")
    [_] = await traced.spans(1, "GET /v1/sales")
    assert [s.name for s in traced.exporter.get_finished_spans() if "GET" in s.name] == ["GET /v1/sales"]


def test_without_the_setting_nothing_of_it_is_even_imported():
    code = (
        "import sys; from flashguard.api.app import create_front_door\n"
        "from flashguard.settings import Settings\n"
        "import flashguard.cli; create_front_door(Settings())\n"
        "sys.exit('flashguard.telemetry.tracing.otel' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean_env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_set_without_the_library_it_says_what_to_install():
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from flashguard.telemetry.tracing import traces_of\n"
        "from flashguard.errors import ConfigurationError\n"
        "try:\n    traces_of(True, 'x')\n"
        "except ConfigurationError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean_env(), capture_output=True, text=True)
    assert "pip install '.[otel]'" in done.stdout, done.stderr
