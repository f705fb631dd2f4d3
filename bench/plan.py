"""The scenarios, and how long a whole run spends on each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bench import engine, growth, idle, loads, recorder_ceiling, restart, rush
from bench.loads import Bench
from bench.rows import Row

SCENARIOS: dict[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    "buy": loads.buy,
    "hold": loads.hold,
    "hold+confirm": loads.hold_confirm,
    "sold-out": loads.sold_out,
    "replay": loads.replay,
    "read": loads.read,
    "batch": loads.batch,
    "spread": loads.spread,
    "half-load": rush.half_load,
    "burst": rush.burst,
    "sell-out": rush.sell_out,
    "engine": engine.engine,
    "small": engine.small,
    "busy": engine.busy,
    "bytes": growth.bytes_kept,
    "growth": growth.growth,
    "idle": idle.idle,
    "ceiling": recorder_ceiling.ceiling,
    "restart": restart.restart,
}


@dataclass(frozen=True)
class Step:
    """One scenario with its time and load."""

    scenario: str
    seconds: int = 3
    rounds: int = 1
    connections: tuple[int, ...] = (256,)
    only: tuple[str, ...] = ()

    def applied(self, bench: Bench) -> Bench:
        return replace(
            bench, seconds=self.seconds, times=self.rounds, connections=self.connections, only=self.only
        )


THREE = (64, 256, 1_000)
HARDEST = ("flashguard", "sql-batched-bare", "flashguard×2", "sql-batched-bare×2")
MAIN = (
    *HARDEST, "row-lock", "row-lock+lane", "redis-lua", "redis-lua+lane",
    "sql-batched", "sql-batched+lane", "floor",
)  # fmt: skip
OTHERS = ("conditional-update", "skip-locked", "sql-batched×2")
SIZES: dict[str, tuple[Step, ...]] = {
    "all": (
        Step("buy", 3, 3, (1_000,), MAIN),
        Step("buy", 2, 1, (1_000,), OTHERS),
        Step("buy", 2, 3, (64,), HARDEST),
        Step("buy", 2, 1, (256,), (*HARDEST, "floor")),
        Step("hold", 3, 3, (256,)),
        Step("hold", 2, 1, (64, 1_000)),
        Step("hold+confirm", 2, 1, THREE),
        Step("sold-out", 3, 3, (256,)),
        Step("sold-out", 2, 1, (64, 1_000)),
        Step("replay", 2, 1, (256,)),
        Step("read", 2, 3, (256,)),
        Step("batch", 2, 3, (8,)),
        Step("spread", 3, 1, (256,)),
        Step("half-load", 4, 5, (256,)),
        Step("burst", 1, 3, (10_000,)),
        Step("sell-out", 10, 1, (256,)),
        Step("engine", 2, 3, THREE),
        Step("small", 4, 3),
        Step("busy", 3, 3, (256,)),
        Step("bytes", 1, 1, (100_000,)),
        Step("growth", 2, 3, (1_000_000,)),
        Step("idle", 1, 1, (10_000,)),
        Step("ceiling", 1, 3, (200_000,)),
        Step("restart", 1, 5),
    ),
    "quick": (
        Step("buy", 2, 1, (1_000,), (*HARDEST, "row-lock", "redis-lua", "sql-batched", "floor")),
        Step("buy", 1, 1, (64,), HARDEST),
        Step("hold", 2, 1, (256,)),
        Step("hold+confirm", 1, 1, (256,)),
        Step("sold-out", 2, 1, (256,)),
        Step("replay", 1, 1, (256,)),
        Step("read", 1, 1, (256,)),
        Step("batch", 1, 1, (8,)),
        Step("half-load", 3, 1, (256,)),
        Step("burst", 1, 1, (10_000,)),
        Step("sell-out", 5, 1, (256,)),
        Step("engine", 2, 1, (64,)),
        Step("small", 2, 1),
        Step("bytes", 1, 1, (20_000,)),
        Step("growth", 1, 1, (20_000,)),
    ),
    "short": (
        Step("buy", 1, 1, (64,), ("flashguard", "sql-batched-bare")),
        Step("buy", 1, 1, (1_000,), ("flashguard", "row-lock", "row-lock+lane", "sql-batched-bare", "floor")),
        Step("hold", 1, 1, (256,), ("flashguard", "evalsha-hold", "floor")),
        Step("sold-out", 1, 1, (256,)),
        Step("batch", 1, 1, (8,)),
        Step("burst", 1, 1, (200,)),
        Step("half-load", 1, 1, (64,)),
        Step("engine", 1, 1, (64,)),
        Step("busy", 1, 1, (64,)),
        Step("bytes", 1, 1, (2_000,)),
        Step("idle", 1, 1, (200,)),
        Step("ceiling", 1, 1, (100_000,)),
        Step("restart", 1, 1),
    ),
}
"""Whole runs by size: `make bench`, `make bench-quick`, and that of a test."""
