"""The goals: every figure of a run in one table, with what it should reach."""

from typing import Final, Literal, NamedTuple

import msgspec

from bench.figures import (
    Measure,
    Value,
    burst_seconds,
    bytes_each,
    costs,
    errors,
    grown,
    live_holds,
    medians,
    p99_ms,
    rate,
    rates,
    worst_half_load,
)
from bench.rows import Rows

Better = Literal["more", "less"]
OURS: Final = "flashguard"


class Goal(NamedTuple):
    """What a figure should reach.

    Parameters:
        better: whether more of it is better, or less.
        bound: None for a figure that is only reported.
    """

    better: Better
    bound: float | None = None

    def met(self, value: Value) -> bool | None:
        """Return whether the value reaches the goal; None without a goal or a measurement."""
        if value is None or self.bound is None:
            return None
        return value >= self.bound if self.better == "more" else value <= self.bound

    def __str__(self) -> str:
        if self.bound is None:
            return "report"
        return f"{'≥' if self.better == 'more' else '≤'} {self.bound:,g}"


class Line(NamedTuple):
    """A figure: its name, its goal, what it is, and how it is computed."""

    name: str
    goal: Goal
    what: str
    measure: Measure


def more(bound: float | None = None) -> Goal:
    return Goal("more", bound)


def less(bound: float | None = None) -> Goal:
    return Goal("less", bound)


GOALS: Final = (
    Line("durable_buys_per_second", more(),
         "durable buys/s, 1,000 connections",
         medians("buy", OURS, rate, 1_000, digits=0)),
    Line("durable_buy_vs_row_lock", more(12),
         "durable buys/s over row locks behind FastAPI, 1,000 connections",
         rates("buy", OURS, "row-lock", 1_000)),
    Line("durable_buy_vs_redis_lua", more(5),
         "durable buys/s over EVALSHA + INSERT per order behind FastAPI, 1,000 connections",
         rates("buy", OURS, "redis-lua", 1_000)),
    Line("durable_buy_vs_sql_batched", more(),
         "durable buys/s over PostgreSQL alone, grouped, behind FastAPI, 1,000 connections",
         rates("buy", OURS, "sql-batched", 1_000)),
    Line("durable_buy_vs_row_lock_lane", more(),
         "durable buys/s over row locks behind FlashGuard's own lane, 1,000 connections",
         rates("buy", OURS, "row-lock+lane", 1_000)),
    Line("durable_buy_vs_redis_lua_lane", more(),
         "durable buys/s over EVALSHA + INSERT per order behind FlashGuard's own lane, 1,000 connections",
         rates("buy", OURS, "redis-lua+lane", 1_000)),
    Line("durable_buy_vs_sql_batched_lane", more(),
         "durable buys/s over PostgreSQL alone, grouped, behind FlashGuard's own lane, 1,000 connections",
         rates("buy", OURS, "sql-batched+lane", 1_000)),
    Line("durable_buy_vs_bare_64", more(1.0),
         "durable buys/s over PostgreSQL alone, grouped, as a bare featureless ASGI app, 64 connections",
         rates("buy", OURS, "sql-batched-bare", 64)),
    Line("durable_buy_vs_bare_1000", more(1.4),
         "durable buys/s over that bare app, 1,000 connections",
         rates("buy", OURS, "sql-batched-bare", 1_000)),
    Line("durable_buy_vs_bare_64_workers_2", more(1.5),
         "durable buys/s over that bare app, 64 connections, both with 2 workers",
         rates("buy", f"{OURS}×2", "sql-batched-bare×2", 64)),
    Line("durable_buy_vs_bare_1000_workers_2", more(1.5),
         "durable buys/s over that bare app, 1,000 connections, both with 2 workers",
         rates("buy", f"{OURS}×2", "sql-batched-bare×2", 1_000)),
    Line("library_buy_vs_bare_processes_4", more(1.5),
         "durable buys/s of 4 processes of the library over 4 that group into PostgreSQL, without HTTP",
         rates("busy", "library", "sql-batched-bare")),
    Line("workers_2_vs_1_64", more(1.0),
         "durable buys/s with 2 workers over 1 worker, 64 connections",
         rates("buy", f"{OURS}×2", OURS, 64)),
    Line("workers_2_vs_1_1000", more(1.3),
         "durable buys/s with 2 workers over 1 worker, 1,000 connections",
         rates("buy", f"{OURS}×2", OURS, 1_000)),
    Line("pg_cpu_per_order_vs_row_lock", less(0.025),
         "PostgreSQL's CPU per order over row locks'",
         costs("buy", OURS, "row-lock", "postgres", 1_000, digits=4)),
    Line("api_cpu_buy_vs_floor", less(0.8),
         "API's CPU per durable buy over a bare ASGI app that only coalesces, 1,000 connections",
         costs("buy", OURS, "floor", "api", 1_000)),
    Line("api_cpu_hold_vs_floor", less(0.8),
         "API's CPU per hold over a bare ASGI app that only coalesces, 256 connections",
         costs("hold", OURS, "floor", "api", 256)),
    Line("holds_per_second", more(),
         "holds/s, 256 connections",
         medians("hold", OURS, rate, 256, digits=0)),
    Line("hold_vs_evalsha_per_request", more(5),
         "holds/s over one EVALSHA per request behind FastAPI, 256 connections",
         rates("hold", OURS, "evalsha-hold", 256)),
    Line("sold_out_vs_hold", more(2),
         "rejections/s over holds/s, 256 connections",
         rates("sold-out", "sold-out", "hold", 256)),
    Line("reads_per_second", more(20_000),
         "reads of a sale per second (`GET /v1/sales/{sale}`), 256 connections",
         medians("read", OURS, rate, 256, digits=0)),
    Line("batch_holds_per_second_64", more(40_000),
         "holds/s by a gateway in batch calls of 64, 8 connections",
         medians("batch", "64 at a time", rate, 8, digits=0)),
    Line("batch_holds_per_second_1000", more(60_000),
         "holds/s by a gateway in batch calls of 1,000, 8 connections",
         medians("batch", "1,000 at a time", rate, 8, digits=0)),
    Line("half_load_p99_ms_worst", less(8),
         "p99 of durable buys at half of the capacity, in ms, the worst turn",
         worst_half_load),
    Line("half_load_p99_ms", less(),
         "p99 of durable buys at half of the capacity, in ms, the median of the turns",
         medians("half-load", OURS, p99_ms)),
    Line("burst_10000_seconds", less(3),
         "10,000 buyers press at once: seconds from the first click to the last answer",
         burst_seconds),
    Line("small_orders_vs_conditional_update", more(3),
         "16 processes of one request at a time: orders/s over a conditional UPDATE",
         rates("small", "library", "conditional-update")),
    Line("small_pg_cpu_vs_conditional_update", less(0.067),
         "16 processes of one request at a time: PostgreSQL's CPU per order over a conditional UPDATE's",
         costs("small", "library", "conditional-update", "postgres", digits=4)),
    Line("library_vs_evalsha_64", more(0.5),
         "the library's holds/s over `redis-benchmark`'s textbook EVALSHA/s, 64 in flight",
         rates("engine", "library", "redis-benchmark", 64)),
    Line("library_vs_evalsha_256", more(0.7),
         "the library's holds/s over `redis-benchmark`'s textbook EVALSHA/s, 256 in flight",
         rates("engine", "library", "redis-benchmark", 256)),
    Line("library_vs_evalsha_1000", more(0.8),
         "the library's holds/s over `redis-benchmark`'s textbook EVALSHA/s, 1,000 in flight",
         rates("engine", "library", "redis-benchmark", 1_000)),
    Line("live_holds_cpu", less(1.1),
         "CPU of all parts per hold with 1,000,000 live holds over that in an empty sale",
         live_holds),
    Line("items_cpu", less(1.25),
         "CPU of all parts per hold of one item in a sale of 10,000 items over that in a sale of 1",
         grown("1 item", "10,000 items")),
    Line("items_in_turn_cpu", less(),
         "CPU of all parts per hold of 10,000 items in turn over that of one item",
         grown("1 item", "10,000 items in turn")),
    Line("open_sales_cpu", less(1.25),
         "CPU of all parts per hold of one sale with 1,000 more open sales over that without them",
         grown("1 open sale", "1,000 open sales")),
    Line("open_sales_in_turn_cpu", less(1.3),
         "CPU of all parts per hold of 1,000 open sales in turn over that of one sale",
         grown("1 open sale", "1,000 open sales in turn")),
    Line("valkey_bytes_per_hold", less(300),
         "bytes that a live hold keeps in Valkey, without the bounded journal",
         medians("bytes", "hold", bytes_each, digits=0)),
    Line("valkey_bytes_per_order", less(150),
         "bytes that an order keeps in Valkey, without the bounded journal",
         medians("bytes", "order", bytes_each, digits=0)),
    Line("recorder_orders_per_second", more(60_000),
         "orders/s that a recorder writes from a full journal of one partition",
         medians("ceiling", "recorder", rate, digits=0)),
    Line("recorder_cpu_us", less(),
         "the recorder's CPU per order from a full journal, in µs",
         medians("ceiling", "recorder", lambda row: row.cpu_us["recorder"])),
    Line("restart_ms", less(150),
         "milliseconds from the start of an API process to its first hold",
         medians("restart", OURS, lambda row: row.more["ms"])),
    Line("api_memory_mb", less(150),
         "memory of one API process in MB, with 10,000 idle connections and 1,000 sales",
         medians("idle", OURS, lambda row: row.more["mb"])),
    Line("errors", less(0),
         "wrong or missing answers in all of FlashGuard's scenarios",
         errors),
)  # fmt: skip


class Figure(msgspec.Struct, kw_only=True):
    """One line of the goals' table, measured. `met` is None without a goal or a measurement."""

    name: str
    what: str
    value: float | None
    goal: str
    met: bool | None


def figures(rows: Rows) -> dict[str, Figure]:
    """Return every figure by its name, in the table's order."""
    return {line.name: _figure(line, rows) for line in GOALS}


def _figure(line: Line, rows: Rows) -> Figure:
    value = line.measure(rows)
    return Figure(name=line.name, what=line.what, value=value, goal=str(line.goal), met=line.goal.met(value))
