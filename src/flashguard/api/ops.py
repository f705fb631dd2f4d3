"""Liveness, and readiness per component."""

import asyncio
import time
from collections.abc import Container, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from flashguard.guard import FlashGuard
from flashguard.kernel import keys
from flashguard.kernel.kernel import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.recorder.state import recorder_state as state_of

from .live_schemas import HealthView, ReadyView
from .sales import guard_of
from .views import json_response

router = APIRouter(tags=["operations"])

CHECK_SECONDS = 2.0


@router.get("/healthz", response_model=HealthView)
async def healthz() -> Response:
    """Whether this process runs."""
    return json_response({"status": "ok"})


@router.get("/readyz", response_model=ReadyView, responses={503: {"model": ReadyView}})
async def readyz(request: Request) -> Response:
    """Whether each component answers: 200 when a buyer can be served, else 503 with the reason."""
    components = await components_of(guard_of(request))
    states = {part["status"] for part in components.values()}
    ready = states <= {"ok", "degraded"}
    status = "unavailable" if not ready else "degraded" if "degraded" in states else "ok"
    return json_response({"status": status, "components": components}, 200 if ready else 503)


async def components_of(guard: FlashGuard) -> dict[str, dict[str, Any]]:
    """Each component's state: status, and version and latency where it answers."""
    away = await partitions_away(guard)
    memory, ledger, recorder = await asyncio.gather(
        _memory(guard, away), _ledger(guard), _recorder(guard, away)
    )
    return {"memory": memory, "ledger": ledger, "recorder": recorder}


async def partitions_away(guard: FlashGuard) -> dict[int, str]:
    """The partitions of a cluster whose node does not answer, and the node; nothing of a single server."""
    kernel = guard.kernel
    if not kernel.client.sharded:
        return {}

    async def look(partition: int) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS / 2):
                await kernel.ping_key(keys.partition(partition))
        except (MemoryAway, TimeoutError):
            return False
        return True

    numbers = range(guard.partitions)
    answers = await asyncio.gather(*map(look, numbers))
    return {
        number: kernel.client.node_of(keys.partition(number)) or "no node"
        for number, answered in zip(numbers, answers, strict=True)
        if not answered
    }


async def _memory(guard: FlashGuard, away: Mapping[int, str]) -> dict[str, Any]:
    if len(away) == guard.partitions:
        return {"status": "unavailable", "detail": "no partition's node answers"}
    started = time.perf_counter()
    version = "?"
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            version = await guard.kernel.server_version()
    except (MemoryAway, TimeoutError) as error:
        if not away:
            return {"status": "unavailable", "detail": str(error) or "no answer in time"}
    state = {"status": "ok", "version": version, "latency_ms": _ms_since(started)}
    if away:
        nodes = ", ".join(sorted(set(away.values())))
        state |= {"status": "degraded", "detail": f"does not answer: {nodes}", "away_partitions": list(away)}
    return state


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


async def _recorder(guard: FlashGuard, away: Mapping[int, str]) -> dict[str, Any]:
    """Recorders that run, fenced partitions and why, the lag, and the newest recovery."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await recorder_state(guard, away)
    except MemoryAway as error:
        status = "degraded" if away else "unavailable"
        return {"status": status, "detail": str(error)}
    except (LedgerAway, TimeoutError) as error:
        return {"status": "unavailable", "detail": str(error) or "no answer in time"}


async def recorder_state(guard: FlashGuard, away: Container[int] = ()) -> dict[str, Any]:
    """The recorder's component, as readiness, the system page and `flashguard doctor` show it.

    Raises:
        MemoryAway, LedgerAway: a server does not answer.
    """
    now = await state_of(guard.kernel, guard.ledger, guard.partitions, away)
    fenced, recorders = now.fenced, now.recorders
    state: dict[str, Any] = {
        "status": "recovering" if fenced else "ok" if recorders else "unavailable",
        "lag_entries": now.lag_entries,
        "lag_seconds": now.lag_seconds,
        "partitions": guard.partitions,
        "recorders": recorders,
        "recorder_partitions": [now.shares[name] for name in sorted(now.shares)],
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
