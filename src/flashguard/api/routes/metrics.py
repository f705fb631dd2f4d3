"""Metrics for Prometheus: of this service's processes and of the whole installation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from flashguard.api.access import Right
from flashguard.api.components import CHECK_SECONDS, recorder_state
from flashguard.api.schemas.answers import problems
from flashguard.api.security import requires
from flashguard.guard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.ledger.stock import items_on_sale, units_out
from flashguard.live import Hub
from flashguard.model.locations import AT
from flashguard.model.pools import CAPPED_MOST
from flashguard.settings import Settings
from flashguard.telemetry.metrics import Answers, Family, counter, gauge
from flashguard.telemetry.metrics.exposition import exposition
from flashguard.telemetry.metrics.siblings import Siblings

from .dependencies import guard_of
from .payment_metrics import payment_families

router = APIRouter(tags=["operations"])


@asynccontextmanager
async def counting(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    """Share this process's figures with its sibling processes, if there are any."""
    app.state.siblings = None
    if settings.metrics_dir is None:
        yield
        return
    siblings = app.state.siblings = Siblings(settings.metrics_dir, lambda: _own(app))
    writing = asyncio.create_task(siblings.write_regularly())
    try:
        yield
    finally:
        writing.cancel()
        siblings.close()


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=problems(401, 403, 503),
    dependencies=[requires(Right.READ_SYSTEM)],
)
async def metrics(request: Request) -> Response:
    """Read counters, gauges and histograms of all processes of this service, and of the installation as
    memory and ledger have it."""
    app: FastAPI = request.app
    siblings: Siblings | None = app.state.siblings
    processes = _own(app) if siblings is None else siblings.all()
    families = processes + await _installation(guard_of(request), app.state.settings.metrics_max_items)
    families += await payment_families(app.state.payments)
    body, media_type = exposition(families, request.headers.get("accept", ""))
    return Response(body, headers={"content-type": media_type})


def _own(app: FastAPI) -> list[Family]:
    """Return what this process counted."""
    guard: FlashGuard = app.state.guard
    answers: Answers = app.state.answers
    hub: Hub = app.state.hub
    decisions, circuits = guard.decisions, guard.decisions.circuits
    return [
        *answers.families(),
        counter(
            "outcomes_total",
            "Answers to buyers: held, confirmed, or a problem's code.",
            guard.outcomes,
            ("verb", "outcome"),
        ),
        *decisions.batches.families(),
        counter("script_calls_total", "Script calls to Valkey/Redis.", guard.kernel.calls),
        gauge("waiting_requests", "Requests that wait for a script call.", decisions.waiting),
        gauge("waiting_for_ledger", "Batches that wait for their commit.", guard.watermark.waiting),
        gauge("memory_circuit_open", "Processes that get no answer from Valkey/Redis.", bool(circuits.away)),
        counter(
            "memory_circuit_opened_total", "Times Valkey/Redis stopped answering.", circuits.opened_total
        ),
        gauge("live_viewers", "Open event streams.", hub.viewers),
        counter("live_reads_total", "Reads of the journal for all viewers together.", hub.reads),
    ]


async def _installation(guard: FlashGuard, most_items: int) -> list[Family]:
    """Return what is the same in every process; nothing while a server is away."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            recorder = await recorder_state(guard)
            recoveries = await guard.ledger.positions.recoveries()
            out = await units_out(guard.ledger)
            items = await items_on_sale(guard.ledger, max(1, most_items))
    except (MemoryAway, LedgerAway, TimeoutError):
        return []
    recovering = len(recorder.get("recovering_partitions", ()))
    shown = items[:most_items]
    units = {
        (row["sale_id"], row["sku"], state): float(units)
        for row in shown
        for state, units in (
            ("available", row["stock"] - row["held"] - row["sold"]),
            ("held", row["held"]),
            ("sold", row["sold"]),
        )
        if state != "available" or (row["uses"] is None and row["stock"] <= CAPPED_MOST)  # its own
    }
    kinds = {(row["sale_id"], row["sku"]): row["kind"] for row in shown}

    def of_kind(kind: str) -> dict[tuple[str, ...], float]:
        return {labels: value for labels, value in units.items() if kinds[labels[:2]] == kind}

    hidden = items[0]["items"] - len(shown) if items else 0
    return [
        gauge("recorders", "Recorders that run.", recorder["recorders"]),
        gauge(
            "recorder_lag_entries",
            "Journal entries that the ledger does not have yet.",
            recorder["lag_entries"],
        ),
        gauge("recorder_lag_seconds", "Seconds that the oldest of them has waited.", recorder["lag_seconds"]),
        gauge("partitions_recovering", "Partitions that answer 503 until they are rebuilt.", recovering),
        gauge(
            "transitions_parked",
            "Transitions that the ledger refused more than once; they are not retried.",
            recorder["parked_transitions"],
        ),
        gauge(
            "item_units",
            "Units of running sales, as the ledger has them; available only of items with their own stock.",
            of_kind("item"),
            ("sale", "sku", "state"),
        ),
        gauge(
            "pool_units",
            "Units of the pools of running sales, as the ledger has them.",
            of_kind("pool"),
            ("sale", "pool", "state"),
        ),
        gauge(
            "location_units",
            "Units of running sales at their locations, as the ledger has them.",
            {
                (sale, sku.partition(AT)[0], sku.partition(AT)[2], state): value
                for (sale, sku, state), value in of_kind("location").items()
            },
            ("sale", "sku", "location", "state"),
        ),
        gauge("items_not_shown", "Items of running sales beyond FLASHGUARD_METRICS_MAX_ITEMS.", hidden),
        gauge("units_returning", "Units of expired holds that are not back in stock yet.", out["returning"]),
        gauge(
            "units_returning_seconds", "Seconds since the oldest of them expired.", out["oldest_seconds"] or 0
        ),
        gauge("units_leaked", "Units counted as held without a hold.", out["leaked"]),
        counter("recoveries_total", "Times a partition was rebuilt from the ledger.", recoveries["count"]),
        counter(
            "recovery_seconds_total",
            "Seconds from noticing to serving, of all rebuilds together.",
            float(recoveries["seconds"]),
        ),
        gauge("recovery_seconds_longest", "Seconds of the longest rebuild.", recoveries["longest"] or 0),
        gauge("recovery_seconds_last", "Seconds of the newest rebuild.", recoveries["newest_seconds"] or 0),
    ]
