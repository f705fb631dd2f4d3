"""The results of a whole run: the goals' table, latest.json and the plot."""

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from bench import history
from bench.goals import Figure, figures
from bench.plot import plot
from bench.plot_history import plot_history
from bench.rows import RULE, Row, middle

ROOT = Path(__file__).parents[1]
QUIET_CORES = 0.2
"""Above it, do not quote the run."""
RESULTS = ROOT / "bench" / "results"
LIBRARIES = (
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "pydantic",
    "msgspec",
    "redis",
    "hiredis",
    "asyncpg",
)


class Report(msgspec.Struct, kw_only=True):
    """The content of `latest.json`."""

    size: str
    at: str
    commit: str
    seconds: float
    machine: dict[str, Any]
    versions: dict[str, str]
    rule: str
    others_cores: float
    """CPU of everything else on the machine: the median over all measurements, in cores."""
    figures: dict[str, Figure]
    rows: Sequence[Row]


def make(size: str, rows: Sequence[Row], seconds: float, servers: dict[str, str]) -> Report:
    """Return the report of these measurements."""
    return Report(
        size=size, at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), commit=commit(),
        seconds=round(seconds, 1), machine=machine(), versions=versions() | servers, rule=RULE,
        others_cores=round(middle(row.others_cores for row in rows) or 0.0, 2),
        figures=figures(rows), rows=rows,
    )  # fmt: skip


def write(report: Report, console: Console, json: Path | None, svg: Path | None) -> None:
    """Print the goals' table; write the requested files, or those in `results/` after a quiet full run."""
    console.print(goals(report))
    if report.others_cores > QUIET_CORES:
        console.print(
            f"NOT A QUIET MACHINE: other programs took {report.others_cores} cores meanwhile. Rates and "
            "latencies say little; CPU per answer says more, but batches were not what they would be."
        )
    kept = report.size == "all" and report.others_cores <= QUIET_CORES and json is None
    if kept:
        json, svg = RESULTS / "latest.json", svg or RESULTS / "latest.svg"
    if json:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        console.print(f"written: {json}")
    if svg:
        svg.write_text(plot(report.rows, f"{report.machine['cpu']}, {report.commit}"))
        console.print(f"written: {svg}")
    if report.size == "all":
        beside_earlier(report, console, keep=kept)


def beside_earlier(report: Report, console: Console, *, keep: bool) -> None:
    """Print what changed since the committed runs.

    Parameters:
        keep: whether to write the history with this run, and its plot.
    """
    earlier = history.committed()
    values = {name: figure.value for name, figure in report.figures.items()}
    runs = [*earlier, history.Run(at=report.at, commit=report.commit, figures=values)]
    if earlier:
        console.print(history.compared(earlier[-1], values))
    if keep:
        history.write(runs)
        (RESULTS / "history.svg").write_text(plot_history(runs))
        console.print(f"written: {history.HISTORY} and its plot")
    for sentence in history.worse_for_long(runs):
        console.print(sentence, style="bold red")


def goals(report: Report) -> Table:
    out = Table(title="The goals", title_justify="left")
    for column in ("figure", "value", "goal", "met", "what"):
        out.add_column(column, overflow="fold")
    for figure in report.figures.values():
        out.add_row(
            figure.name, "–" if figure.value is None else f"{figure.value:,g}", figure.goal,
            {True: "yes", False: "NO", None: "–"}[figure.met], figure.what,
        )  # fmt: skip
    return out


def commit() -> str:
    """Return the measured commit, marked if files differ from it; "unknown" outside of git."""
    if shutil.which("git") is None:
        return "unknown"
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True
    )
    return said.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    """Return the facts about this machine on which the figures depend."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo().splitlines() if line.startswith("model name")),
        platform.processor() or "unknown",
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "shared": "load generator, API, recorder, Valkey and PostgreSQL share these cores",
    }


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split(" [")[0]
    return {"python": platform.python_version(), "wrk": wrk.removeprefix("wrk ")} | found
