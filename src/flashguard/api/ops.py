"""Liveness, readiness per component, and metrics."""

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from flashguard.guard import FlashGuard
from flashguard.kernel.kernel import MemoryAway
from flashguard.ledger import LedgerAway

from .live import hub_of
from .sales import guard_of
from .views import json_response

router = APIRouter(tags=["operations"])

CHECK_SECONDS = 2.0


@router.get("/healthz")
async def healthz() -> Response:
    """Whether this process runs."""
    return json_response({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Whether each component answers: 200 when a buyer can be served, else 503 with the reason."""
    components = await components_of(guard_of(request))
    ready = all(part["status"] == "ok" for part in components.values())
    return json_response(
        {"status": "ok" if ready else "unavailable", "components": components}, 200 if ready else 503
    )


async def components_of(guard: FlashGuard) -> dict[str, dict[str, Any]]:
    """Each component's state: status, and version and latency where it answers."""
    memory, ledger, recorder = await asyncio.gather(_memory(guard), _ledger(guard), _recorder(guard))
    return {"memory": memory, "ledger": ledger, "recorder": recorder}


async def _memory(guard: FlashGuard) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            version = await guard.kernel.server_version()
    except (MemoryAway, TimeoutError) as error:
        return {"status": "unavailable", "detail": str(error) or "no answer in time"}
    return {"status": "ok", "version": version, "latency_ms": _ms_since(started)}


async def _ledger(guard: FlashGuard) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await guard.ledger.ping()
            latency_ms = _ms_since(started)
            version = await guard.ledger.version()
    except (LedgerAway, TimeoutError) as error:
        return {"status": "unavailable", "detail": str(error) or "no answer in time"}
    return {"status": "ok", "version": f"PostgreSQL {version}", "latency_ms": latency_ms}


async def _recorder(guard: FlashGuard) -> dict[str, Any]:
    """Fenced partitions and the lag: journal entries that the ledger does not have yet."""
    fenced: list[int] = []
    lag = 0
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            positions = await guard.ledger.positions()
            for partition in range(guard.partitions):
                head = await guard.kernel.head(partition)
                position = positions[partition]
                if "epoch" not in head or "fence" in head or int(head["epoch"]) != position.epoch:
                    fenced.append(partition)
                else:
                    lag += max(0, int(head["seq"]) - position.seq)
    except (MemoryAway, LedgerAway, TimeoutError) as error:
        return {"status": "unavailable", "detail": str(error) or "no answer in time"}
    state = {"status": "recovering" if fenced else "ok", "lag_entries": lag, "partitions": guard.partitions}
    return state | ({"recovering_partitions": fenced} if fenced else {})


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counters in the Prometheus text format."""
    lines: list[str] = []
    for (route, status), count in sorted(request.app.state.counts.items()):
        lines.append(f'flashguard_http_requests_total{{route="{route}",status="{status}"}} {count}')
    guard, hub = guard_of(request), hub_of(request)
    text = (
        "# HELP flashguard_http_requests_total Requests answered, by route and status.\n"
        "# TYPE flashguard_http_requests_total counter\n"
        + "".join(f"{line}\n" for line in lines)
        + "# HELP flashguard_script_calls_total Script calls to Valkey/Redis by this process.\n"
        "# TYPE flashguard_script_calls_total counter\n"
        f"flashguard_script_calls_total {guard.kernel.calls}\n"
        "# HELP flashguard_waiting_for_ledger Batches that wait for their commit.\n"
        "# TYPE flashguard_waiting_for_ledger gauge\n"
        f"flashguard_waiting_for_ledger {guard.watermark.waiting}\n"
        "# HELP flashguard_live_viewers Open event streams.\n"
        "# TYPE flashguard_live_viewers gauge\n"
        f"flashguard_live_viewers {hub.viewers}\n"
        "# HELP flashguard_live_reads_total Reads of the journal for all viewers together.\n"
        "# TYPE flashguard_live_reads_total counter\n"
        f"flashguard_live_reads_total {hub.reads}\n"
    )
    return Response(text, media_type="text/plain; version=0.0.4")
