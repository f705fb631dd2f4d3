"""The state of each component, as readiness and the system view report it."""

import asyncio
import time
from collections.abc import Container, Mapping
from typing import Any

from flashguard.guard import FlashGuard
from flashguard.kernel import keys
from flashguard.kernel.errors import MemoryAway, MemoryGone
from flashguard.ledger import LedgerAway
from flashguard.model import Position
from flashguard.recorder.status import recorder_state as state_of
from flashguard.recorder.watchdog import STALLED_SECONDS

CHECK_SECONDS = 2.0
"""Maximum time that a component has to answer."""

STUCK_SECONDS = 5.0
"""After this time without progress on a waiting journal, the service reports that it is not ready."""


class JournalWatch:
    """Finds partitions whose journal waits while the ledger records none of it: a full disk, a lock, a
    recorder that hangs. A backlog that shrinks is not stuck."""

    def __init__(self) -> None:
        self._since: dict[int, tuple[Position, float]] = {}

    def stuck(self, behind: Mapping[int, Position], now: float) -> list[int]:
        """Return the partitions that made no progress for STUCK_SECONDS, across at least two calls.

        Parameters:
            behind: each waiting partition, and the position that the ledger has recorded.
            now: monotonic seconds.
        """
        self._since = {
            number: (position, self._since[number][1] if self._at(number) == position else now)
            for number, position in behind.items()
        }
        return [number for number, (_, since) in self._since.items() if now - since >= STUCK_SECONDS]

    def _at(self, number: int) -> Position | None:
        return self._since[number][0] if number in self._since else None


async def components_of(guard: FlashGuard, watch: JournalWatch) -> dict[str, dict[str, Any]]:
    """Return each component's state: its status, and its version and latency where it answers."""
    away = await partitions_away(guard)
    memory, ledger, recorder = await asyncio.gather(
        _memory(guard, away), _ledger(guard), _recorder(guard, away, watch)
    )
    return {"memory": memory, "ledger": ledger, "recorder": recorder}


async def partitions_away(guard: FlashGuard) -> dict[int, str]:
    """Return the partitions of a cluster whose node accepts no writes, with the node and the reason; an empty
    dict for a single server."""
    kernel = guard.kernel
    if not kernel.client.sharded:
        return {}

    async def check(partition: int) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS / 2):
                await kernel.check_writes(keys.partition(partition))
        except MemoryGone:
            return ""
        except (MemoryAway, TimeoutError) as error:
            return str(error)
        return None

    numbers = range(guard.partitions)
    answers = await asyncio.gather(*map(check, numbers))
    away = {}
    for number, why in zip(numbers, answers, strict=True):
        if why is not None:
            node = kernel.client.node_of(keys.partition(number)) or "no node"
            away[number] = f"{node} ({why})" if why else node
    return away


async def _memory(guard: FlashGuard, away: Mapping[int, str]) -> dict[str, Any]:
    if len(away) == guard.partitions:
        return {"status": "unavailable", "detail": "no node of the cluster answers"}
    started = time.perf_counter()
    version, wrong = "?", ""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            version = await guard.kernel.server_version()
            wrong = await _wrong_memory(guard)
    except (MemoryAway, TimeoutError) as error:
        if not away:
            return {"status": "unavailable", "detail": str(error) or "no answer in time"}
    state = {"status": "ok", "version": version, "latency_ms": _ms_since(started)}
    if wrong:
        state |= {"status": "unavailable", "detail": wrong}
    elif away:
        nodes = ", ".join(sorted(set(away.values())))
        state |= {
            "status": "degraded",
            "detail": f"these nodes do not serve: {nodes}",
            "away_partitions": list(away),
        }
    return state


async def _wrong_memory(guard: FlashGuard) -> str:
    """Return why Valkey/Redis can't be used although it answers; empty where it can.

    Raises:
        MemoryAway: it does not answer.
    """
    kernel = guard.kernel
    if not kernel.client.sharded:  # of a cluster, each partition was checked
        try:
            await kernel.check_writes(keys.partition(0))
        except MemoryGone:
            raise
        except MemoryAway as error:
            return str(error)
    memory = await kernel.info("memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and memory.get("maxmemory", "0") != "0":
        return f"maxmemory-policy is {policy}: it may evict stock and holds; set noeviction"
    return ""


async def _ledger(guard: FlashGuard) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await guard.ledger.check_writes()
            latency_ms = _ms_since(started)
            version = await guard.ledger.version()
    except (LedgerAway, TimeoutError) as error:
        return {"status": "unavailable", "detail": str(error) or "no answer in time"}
    return {"status": "ok", "version": f"PostgreSQL {version}", "latency_ms": latency_ms}


async def _recorder(guard: FlashGuard, away: Mapping[int, str], watch: JournalWatch) -> dict[str, Any]:
    """Return the recorders that run, fenced partitions and why, the lag, and the newest recovery."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await recorder_state(guard, away, watch)
    except MemoryAway as error:
        status = "degraded" if away else "unavailable"
        return {"status": status, "detail": str(error)}
    except (LedgerAway, TimeoutError) as error:
        return {"status": "unavailable", "detail": str(error) or "no answer in time"}


async def recorder_state(
    guard: FlashGuard, away: Container[int] = (), watch: JournalWatch | None = None
) -> dict[str, Any]:
    """Return the recorder's state, as readiness, the system page and `flashguard doctor` show it.

    Raises:
        MemoryAway, LedgerAway: a server does not answer.
    """
    now = await state_of(guard.kernel, guard.ledger, guard.partitions, away)
    fenced, recorders = now.fenced, now.recorders
    stuck = watch.stuck(now.behind, time.monotonic()) if watch is not None else []
    state: dict[str, Any] = {
        "status": "recovering" if fenced else "ok" if recorders and not stuck else "unavailable",
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
    elif stuck:
        state["stuck_partitions"] = stuck
        state["detail"] = (
            f"PostgreSQL has recorded nothing from the journals of {len(stuck)} partitions for "
            f"{STUCK_SECONDS:g} s or more: check for a full disk or a locked table; the recorder's log has "
            f"the reason. The recorder restarts a partition that makes no progress for {STALLED_SECONDS:g} s"
        )
    parked = await guard.ledger.refusals.parked(1)
    state["parked_transitions"] = parked[0]["total"] if parked else 0
    if parked:
        state["detail"] = "; ".join(filter(None, (state.get("detail"), _parked(parked[0]))))
        if state["status"] == "ok":
            state["status"] = "degraded"
    newest = await guard.ledger.positions.recoveries()
    state["recoveries"] = newest["count"]
    if newest["count"]:
        state["last_recovery"] = {
            "partition": newest["partition"], "why": newest["why"],
            "seconds": round(newest["newest_seconds"], 3), "at": newest["at"],
        }  # fmt: skip
    return state


def _parked(row: Any) -> str:
    return (
        f"the ledger refused {row['total']} transitions more than once, the newest {row['kind']} {row['id']} "
        f"of sale {row['sale_id']}: run `flashguard doctor`"
    )


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
