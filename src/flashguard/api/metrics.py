"""Metrics in the Prometheus text format."""

import asyncio
from collections.abc import Iterable
from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from flashguard.guard import FlashGuard
from flashguard.kernel.kernel import MemoryAway
from flashguard.ledger import LedgerAway

from .auth import OPERATING
from .live import hub_of
from .ops import CHECK_SECONDS, recorder_state
from .sales import guard_of
from .schemas import problems

router = APIRouter(tags=["operations"])

Sample = tuple[str, float]
"""The labels as they are written, and the value."""
MEDIA_TYPE: Final = "text/plain; version=0.0.4"


@router.get("/metrics", responses=problems(401, 403), dependencies=[Depends(OPERATING)])
async def metrics(request: Request) -> Response:
    """Counters and gauges of this process, and of the installation as memory and ledger have it."""
    guard, hub = guard_of(request), hub_of(request)
    requests = (
        (f'{{route="{route}",status="{status}"}}', count)
        for (route, status), count in sorted(request.app.state.counts.items())
    )
    circuit = guard.decisions.circuit
    text = (
        _counter("http_requests_total", "Requests answered, by route and status.", requests)
        + _counter("script_calls_total", "Script calls to Valkey/Redis by this process.", guard.kernel.calls)
        + _gauge("waiting_for_ledger", "Batches that wait for their commit.", guard.watermark.waiting)
        + _gauge("memory_circuit_open", "1 while memory does not answer this process.", circuit.open)
        + _counter("memory_circuit_opened_total", "Times memory stopped answering.", circuit.opened_total)
        + _gauge("live_viewers", "Open event streams.", hub.viewers)
        + _counter("live_reads_total", "Reads of the journal for all viewers together.", hub.reads)
        + await _installation(guard)
    )
    return Response(text, media_type=MEDIA_TYPE)


async def _installation(guard: FlashGuard) -> str:
    """What every process would say alike; nothing while a server is away."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            recorder = await recorder_state(guard)
            recoveries = await guard.ledger.recoveries()
            out = await guard.ledger.units_out()
    except (MemoryAway, LedgerAway, TimeoutError):
        return ""
    recovering = len(recorder.get("recovering_partitions", ()))
    return (
        _gauge("recorders", "Recorders that run.", recorder["recorders"])
        + _gauge("recorder_lag_entries", "Journal entries that the ledger lacks.", recorder["lag_entries"])
        + _gauge("partitions_recovering", "Partitions that answer 503 until they are rebuilt.", recovering)
        + _gauge("units_returning", "Units of ended holds, not taken back yet.", out["returning"])
        + _gauge("units_returning_seconds", "The oldest of them is over for.", out["oldest_seconds"] or 0)
        + _gauge("units_leaked", "Units counted as held that no hold has.", out["leaked"])
        + _counter("recoveries_total", "Times a partition was rebuilt from the ledger.", recoveries["count"])
        + _counter("recovery_seconds_total", "From noticing to serving, all added.", recoveries["seconds"])
        + _gauge("recovery_seconds_longest", "The longest of them.", recoveries["longest"] or 0)
        + _gauge("recovery_seconds_last", "The newest of them.", recoveries["newest_seconds"] or 0)
    )


def _counter(name: str, what: str, samples: Iterable[Sample] | float) -> str:
    return _metric("counter", name, what, samples)


def _gauge(name: str, what: str, samples: Iterable[Sample] | float) -> str:
    return _metric("gauge", name, what, samples)


def _metric(kind: str, name: str, what: str, samples: Iterable[Sample] | float) -> str:
    name = f"flashguard_{name}"
    if isinstance(samples, int | float):
        samples = [("", samples)]
    lines = "".join(f"{name}{labels} {float(value):.10g}\n" for labels, value in samples)
    return f"# HELP {name} {what}\n# TYPE {name} {kind}\n{lines}"
