"""The benchmark runs, ends by itself, leaves nothing behind, and names every figure of its goals."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.goals import GOALS
from tests.support.service import clean_env

ROOT = Path(__file__).parents[2]
NOT_IN_A_SHORT_RUN = {
    "durable_buy_vs_redis_lua", "durable_buy_vs_redis_lua_lane", "durable_buy_vs_sql_batched",
    "durable_buy_vs_sql_batched_lane", "durable_buy_vs_bare_64_workers_2",
    "durable_buy_vs_bare_1000_workers_2", "workers_2_vs_1_64", "workers_2_vs_1_1000", "reads_per_second",
    "small_orders_vs_conditional_update", "small_pg_cpu_vs_conditional_update", "library_vs_evalsha_256",
    "library_vs_evalsha_1000", "live_holds_cpu", "items_cpu", "items_in_turn_cpu", "open_sales_cpu",
    "open_sales_in_turn_cpu",
}  # fmt: skip
"""Figures for which the short run has no rows."""

pytestmark = [
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed here"),
    pytest.mark.timeout(480),
]


async def bench(tmp_path: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", *arguments, cwd=ROOT, env=clean_env(TMPDIR=str(tmp_path)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder that PostgreSQL's account can pass through, with names short enough for sockets."""
    folder = Path("/tmp") / f"fg-test-bench-{os.getpid()}"
    folder.mkdir(mode=0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_short_run_names_every_figure_and_measures_without_an_error(temporary):
    report_file, plot_file = temporary / "report.json", temporary / "plot.svg"
    process = await bench(temporary, "short", "--json", str(report_file), "--plot", str(plot_file))
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    report = json.loads(report_file.read_text())
    assert list(report["figures"]) == [line.name for line in GOALS]
    assert report["figures"]["errors"]["value"] == 0, output.decode()
    missing = {name for name, figure in report["figures"].items() if figure["value"] is None}
    assert missing == NOT_IN_A_SHORT_RUN
    assert "% of the machine)" in output.decode()
    assert report["commit"]
    assert report["versions"]["valkey"]
    assert plot_file.read_text().startswith("<svg")
    assert {path.name for path in temporary.iterdir()} == {"report.json", "plot.svg"}


async def test_ctrl_c_ends_the_benchmark_and_all_that_it_started(temporary):
    process = await bench(temporary, "read", "--seconds", "60")
    family: list[psutil.Process] = []
    async with asyncio.timeout(120):
        while not any("wrk" in child.name() for child in family):
            await asyncio.sleep(0.2)
            assert process.returncode is None
            family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 130
    assert not [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert list(temporary.iterdir()) == []
