"""The blocks of the documentation whose figures come from the last benchmark, its simulation and its prices.

No such figure is typed by hand: `make docs` writes them from `bench/results/`.
"""

import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.cost import SHOWN, busy_seconds, loaded, on_lambda, table
from bench.goals import Figure, figures
from bench.rows import Row, middle, select

RESULTS: Final = Path(__file__).parents[1] / "bench" / "results"
PARTS: Final = {
    "api": "API", "recorder": "recorder", "valkey": "Valkey", "postgres": "PostgreSQL", "client": "client",
}  # fmt: skip
WIDTH: Final = 138
FULL: Final = 0.6
"""How full a part is planned to be, in the runbook."""


def _rows() -> list[Row]:
    return msgspec.convert(json.loads((RESULTS / "latest.json").read_text())["rows"], list[Row])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:g}"


def _table(*columns: str) -> Iterator[str]:
    """Return the head of a table."""
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  " if text.startswith("- ") else "")


HOW_FAST: Final = (
    (
        "- {} durable buys per second at 1,000 connections: {} times `SELECT … FOR UPDATE`, and {} times "
        "one script call and one `INSERT` per order, each behind FastAPI on the same servers. PostgreSQL's "
        "CPU per order is {} of that with row locks.",
        ("durable_buys_per_second", "durable_buy_vs_row_lock", "durable_buy_vs_redis_lua",
         "pg_cpu_per_order_vs_row_lock"),
    ),
    (
        "- The same two behind FlashGuard's own lane, so that no framework is measured: {} and {} times.",
        ("durable_buy_vs_row_lock_lane", "durable_buy_vs_redis_lua_lane"),
    ),
    (
        "- The hardest rival is PostgreSQL alone, grouped, as a bare application without keys, idempotency, "
        "limits or holds: {} times its orders per second at 64 connections, {} at 1,000.",
        ("durable_buy_vs_bare_64", "durable_buy_vs_bare_1000"),
    ),
    (
        "- 10,000 buyers press at once on 100 units: {} s from the first click to the last answer.",
        ("burst_10000_seconds",),
    ),
    (
        "- A hold in a sale with 1,000,000 live holds costs {} times the CPU of one in an empty sale, and "
        "takes {} bytes in Valkey.",
        ("live_holds_cpu", "valkey_bytes_per_hold"),
    ),
)  # fmt: skip
"""Sentences of the README, and the figures that each names."""


BATCHES: Final = (
    (
        "FlashGuard's [batch call](../how-to/sell-in-batches.md), by 8 connections over HTTP, on two cores "
        "that it shares with its client: {} holds per second by 64, and {} by 1,000.",
        ("batch_holds_per_second_64", "batch_holds_per_second_1000"),
    ),
)


def how_fast() -> Iterator[str]:
    """The README's figures."""
    yield from _said(HOW_FAST)


def batches() -> Iterator[str]:
    yield from list(_said(BATCHES)) or ["The last run did not measure FlashGuard's batch call."]


def _said(sentences: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Return the sentences with their figures; one whose figures were not measured is left out."""
    found = figures(_rows())
    for sentence, names in sentences:
        values = [found[name].value for name in names if name in found]
        if len(values) == len(names) and None not in values:
            yield _wrapped(sentence.format(*(_number(value) for value in values if value is not None)))


def goals() -> Iterator[str]:
    yield from _table("figure", "measured", "goal")
    for figure in figures(_rows()).values():
        if figure.value is not None:
            miss = " — **missed**" if figure.met is False else ""
            yield f"| {figure.what} | {_number(figure.value)} | {figure.goal}{miss} |"


def missed() -> Iterator[str]:
    for figure in figures(_rows()).values():
        if figure.met is False:
            yield f"- {_sentence(figure)}"


def _sentence(figure: Figure) -> str:
    assert figure.value is not None
    return f"{figure.what}: {_number(figure.value)}, goal {figure.goal}."


LOADS: Final = (
    ("durable buy", "buy", "flashguard", 64),
    ("durable buy", "buy", "flashguard", 1_000),
    ("durable buy, 2 workers", "buy", "flashguard×2", 64),
    ("durable buy, 2 workers", "buy", "flashguard×2", 1_000),
    ("durable buy at half load", "half-load", "flashguard", None),
    ("hold", "hold", "flashguard", 256),
    ("rejection", "sold-out", "sold-out", 256),
    ("read of a sale", "read", "flashguard", 256),
    ("hold in a batch of 64", "batch", "64 at a time", 8),
    ("hold in a batch of 1,000", "batch", "1,000 at a time", 8),
    ("PostgreSQL alone, grouped, behind FastAPI", "buy", "sql-batched", 1_000),
    ("PostgreSQL alone, grouped, bare", "buy", "sql-batched-bare", 64),
    ("PostgreSQL alone, grouped, bare", "buy", "sql-batched-bare", 1_000),
    ("bare app that only coalesces", "buy", "floor", 1_000),
    ("16 processes of one request: the library", "small", "library", None),
    ("16 processes of one request: conditional `UPDATE`", "small", "conditional-update", None),
)


def cpu() -> Iterator[str]:
    """CPU per answer, by part: where the time goes."""
    yield from _table("load", "connections", "per second", *(f"{part} µs" for part in PARTS.values()))
    rows = _rows()
    for what, scenario, target, connections in LOADS:
        found = select(rows, scenario, target, connections)
        if found:
            rate = middle(row.per_second for row in found) or 0.0
            cells = [_cell(found, part) for part in PARTS]
            yield f"| {what} | {found[0].connections:,} | {rate:,.0f} | {' | '.join(cells)} |"


def _cell(rows: list[Row], part: str) -> str:
    spent = middle(row.cpu_us[part] for row in rows if part in row.cpu_us)
    return "" if spent is None else f"{spent:.1f}"


def sizing() -> Iterator[str]:
    yield from _table(
        "part", "CPU per durable buy", "per hold", "per sold-out answer", "a core carries at 60 %"
    )
    rows = _rows()
    for part, where in (
        ("api", "API, one core per process"), ("valkey", "Valkey, one core per partition at most"),
        ("recorder", "recorder, one core per process"), ("postgres", "PostgreSQL"),
    ):  # fmt: skip
        spans = [
            _span(rows, scenario, target, part)
            for scenario, target in (
                ("buy", "flashguard"),
                ("hold", "flashguard"),
                ("sold-out", "sold-out"),
            )
        ]
        cells = [f"{low:.0f} – {high:.0f} µs" if high >= 1 else "< 1 µs" for low, high in spans]
        low, high = spans[0]
        yield f"| {where} | {' | '.join(cells)} | {_carried(high):,} – {_carried(low):,} buys/s |"


def _span(rows: list[Row], scenario: str, target: str, part: str) -> tuple[float, float]:
    """Return the least and the most CPU per answer over the loads, each the median of its rounds."""
    loads = {row.connections for row in rows if (row.scenario, row.target) == (scenario, target)}
    spent = [
        middle(row.cpu_us[part] for row in select(rows, scenario, target, load)) or 0.0 for load in loads
    ]
    return min(spent), max(spent)


def _carried(microseconds: float) -> int:
    return round(FULL * 1_000 / microseconds) * 1_000


def sizes_in_memory() -> Iterator[str]:
    found = figures(_rows())
    hold, order = (found[f"valkey_bytes_per_{noun}"].value for noun in ("hold", "order"))
    yield f"Valkey's memory: {hold:g} bytes per live hold, {order:g} per order, plus the journal."


def _simulated() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "grow_simulated.json").read_text())
    return found


def growth_checked() -> Iterator[str]:
    yield from _table(
        "load", "workers", "connections", "measured /s", "simulated /s", "error", "p50 measured, ms",
        "simulated, ms", "error", "to be used",
    )  # fmt: skip
    for line in _simulated()["validation"]:
        yield (
            f"| {line['what']} | {line['workers']} | {line['connections']:,} | "
            f"{line['measured_per_second']:,} | {line['simulated_per_second']:,} | "
            f"{line['rate_error']:+.0%} | {line['measured_p50_ms']} | {line['simulated_p50_ms']} | "
            f"{line['p50_error']:+.0%} | {'yes' if line['workers'] == 1 else '**no**'} |"
        )


def growth() -> Iterator[str]:
    yield from _table(
        "load", "offered /s", "answered /s", "partitions", "API workers", "PostgreSQL cores, of which busy",
        "Valkey core full", "recorders' cores busy", "p50 / p99, ms",
    )  # fmt: skip
    for line in _simulated()["growth"]:
        busy, cores = line["cores_busy"], line["ledger_cores"]
        yield (
            f"| {line['what']} | {line['offered_per_second']:,} | {line['per_second']:,} | "
            f"{line['partitions']} | {line['workers']} | {cores}, {busy.get('postgres', 0)} | "
            f"{line['valkey_core_full']:.0%} | {busy.get('recorder', 0)} | "
            f"{line['p50_ms']:.0f} / {line['p99_ms']:.0f} |"
        )


def bill() -> Iterator[str]:
    yield table(SHOWN, *loaded())


def bill_says() -> Iterator[str]:
    prices, spent = loaded()
    idle, million, crowd = SHOWN.values()
    nothing, buys, rush = (on_lambda(month, prices, spent) for month in (idle, million, crowd))
    added = {name: buys[name] - nothing[name] for name in buys}
    refused = {name: rush[name] - buys[name] for name in buys}
    gateway = refused["HTTP API (none with a function URL)"]
    yield _wrapped(
        f"A million checkouts add {sum(added.values()):.2f} dollars to Lambda's month and nothing to the "
        f"servers': {busy_seconds(million, spent):.0f} seconds of CPU. When 100 people press for each unit, "
        f"{crowd.answers - crowd.checkouts:,} `sold-out` answers cost {sum(refused.values()):.0f} dollars "
        f"there: {gateway:.0f} for the HTTP API, {refused['requests']:.0f} for invocations and "
        f"{refused['compute']:.0f} to compute them. On servers that crowd is "
        f"{busy_seconds(crowd, spent):,.0f} seconds of CPU."
    )
    yield ""
    yield _wrapped(
        f"All parts together take {spent['server_buy_us']:.0f} µs of CPU per durable buy, and "
        f"{spent['server_refusal_us']:.0f} per refusal. A Lambda function computes "
        f"{spent['lambda_cpu_us']:.0f} µs for a buy and waits {spent['lambda_wait_ms']:.1f} ms for memory "
        "and commit (its p50)."
    )


BLOCKS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "how_fast": how_fast, "batches": batches, "goals": goals, "missed": missed, "cpu": cpu, "sizing": sizing,
    "sizes_in_memory": sizes_in_memory, "growth_checked": growth_checked, "growth": growth, "bill": bill,
    "bill_says": bill_says,
}  # fmt: skip
