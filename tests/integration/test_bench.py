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

from tests.support.service import clean_env

ROOT = Path(__file__).parents[2]
FIGURES = {
    "durable_buy_vs_row_lock", "durable_buy_vs_redis_lua", "hold_vs_evalsha_per_request",
    "durable_buy_vs_sql_batched", "pg_cpu_per_order_vs_row_lock", "small_processes_vs_conditional_update",
    "sold_out_vs_hold", "api_cpu_buy_vs_floor", "errors", "half_load_buy_p99_ms", "burst_10000_seconds",
    "growth_worst", "valkey_bytes_per_hold", "valkey_bytes_per_order", "engine_holds_per_second_64",
}  # fmt: skip
MEASURED = FIGURES - {
    "durable_buy_vs_redis_lua", "durable_buy_vs_sql_batched", "small_processes_vs_conditional_update",
    "growth_worst",
}  # fmt: skip
"""What the short run has rows for."""

pytestmark = [
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed here"),
    pytest.mark.timeout(300),
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
    assert report["figures"].keys() == FIGURES
    assert report["figures"]["errors"]["value"] == 0, output.decode()
    for name in MEASURED:
        assert report["figures"][name]["value"] is not None, name
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
