"""Liveness, and readiness per component."""

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from flashguard.guard import FlashGuard
from flashguard.kernel.kernel import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.recorder.state import recorder_state as state_of

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
    """Recorders that run, fenced partitions and why, the lag, and the newest recovery."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await recorder_state(guard)
    except (MemoryAway, LedgerAway, TimeoutError) as error:
        return {"status": "unavailable", "detail": str(error) or "no answer in time"}


async def recorder_state(guard: FlashGuard) -> dict[str, Any]:
    """The recorder's component, as readiness, the system page and `flashguard doctor` show it.

    Raises:
        MemoryAway, LedgerAway: a server does not answer.
    """
    now = await state_of(guard.kernel, guard.ledger, guard.partitions)
    fenced, recorders = now.fenced, now.recorders
    state: dict[str, Any] = {
        "status": "recovering" if fenced else "ok" if recorders else "unavailable",
        "lag_entries": now.lag_entries,
        "lag_seconds": now.lag_seconds,
        "partitions": guard.partitions,
        "recorders": recorders,
    }
    if fenced:
        state["recovering_partitions"] = list(fenced)
        state["detail"] = "; ".join(dict.fromkeys(fenced.values()))
    elif not recorders:
        state["detail"] = "no recorder runs: start `flashguard recorder`"
    newest = await guard.ledger.recoveries()
    state["recoveries"] = newest["count"]
    if newest["count"]:
        state["last_recovery"] = {
            "partition": newest["partition"], "why": newest["why"],
            "seconds": round(newest["newest_seconds"], 3), "at": newest["at"],
        }  # fmt: skip
    return state


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
