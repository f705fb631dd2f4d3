"""`flashguard simulate`: every strategy, for real, on a FlashGuard that it starts itself."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from flashguard.simulator.plan import (
    ALL_STRATEGIES,
    RIVALS,
    SELLING_POOLS,
    STRATEGIES,
    stands_behind,
    with_lane,
)
from tests.support.service import clean_env

BUYERS, STOCK = 400, 20
ROW = {
    "strategy", "total_requests", "successful_locks", "inventory_oversold", "units_leaked", "avg_latency_ms",
    "p50_ms", "p99_ms", "errors", "seconds", "requests_per_second",
}  # fmt: skip
"""The names of the contract."""


async def simulate(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flashguard", "simulate", "--data-dir", str(folder / "none"), *arguments,
        cwd=folder, env=clean_env(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.timeout(300)
async def test_every_strategy_is_raced_and_only_naive_oversells(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    code, out, err = await simulate(
        tmp_path, "--buyers", str(BUYERS), "--stock", str(STOCK), "--strategy", "all", "--lane",
        "--json", str(file),
    )  # fmt: skip
    assert code == 0, err
    report = json.loads(file.read_text())
    assert report["environment"] in ("embedded", "container")  # the tests may run in one
    rows = {run["strategy"]: run for run in report["runs"]}
    assert list(rows) == list(with_lane(STRATEGIES))
    assert set(rows) == set(ALL_STRATEGIES)
    for row in rows.values():
        assert row.keys() >= ROW
        assert row["total_requests"] == BUYERS, row
        assert row["errors"] == row["units_leaked"] == 0, row
        assert row["behind"] == stands_behind(row["strategy"])
        [stock] = row["stocks"]
        assert (stock["name"], stock["stock"]) == ("drop", STOCK)
        assert stock["oversold"] == row["inventory_oversold"] == max(0, stock["sold"] - STOCK)
    assert {name for name, row in rows.items() if row["inventory_oversold"]} == {"naive", "naive+lane"}
    assert {name for name, row in rows.items() if row["behind"] == "framework"} == set(RIVALS)
    for name in set(rows) - {"naive", "naive+lane"}:
        assert (rows[name]["successful_locks"], rows[name]["inventory_oversold"]) == (STOCK, 0), name
    for text in (
        "naive", "flashguard", "opened with 20 units", "press Buy at once", "first sold-out",
        "behind FlashGuard's lane", "behind FastAPI",
    ):  # fmt: skip
        assert text in out + err


async def test_passes_and_single_days_are_sold_from_two_pools_and_only_naive_oversells(
    tmp_path: Path,
) -> None:
    file = tmp_path / "out.json"
    code, out, err = await simulate(
        tmp_path, "--buyers", str(BUYERS), "--stock", str(STOCK), "--strategy", "all", "--pools",
        "--json", str(file),
    )  # fmt: skip
    assert code == 0, err
    rows = {run["strategy"]: run for run in json.loads(file.read_text())["runs"]}
    assert tuple(rows) == SELLING_POOLS
    for name, row in rows.items():
        assert (row["total_requests"], row["errors"], row["units_leaked"]) == (BUYERS, 0, 0), row
        assert bool(row["inventory_oversold"]) == (name == "naive"), row
        pools = {stock["name"]: stock for stock in row["stocks"]}
        assert {pool: stock["stock"] for pool, stock in pools.items()} == {"friday": 20, "saturday": 16}
        for stock in pools.values():
            assert stock["oversold"] == max(0, stock["sold"] - stock["stock"]), row
            assert stock["sold"] >= stock["stock"], row
            shown = (
                name,
                *(str(stock[column]) for column in ("name", "stock", "sold", "oversold", "leaked")),
            )
            assert shown in {tuple(line.split()) for line in out.splitlines()}
        assert sum(stock["oversold"] for stock in pools.values()) == row["inventory_oversold"]
        if name != "naive":
            assert f"{name}: sold 20 of 20 friday, 16 of 16 saturday" in out + err


async def test_what_can_not_be_simulated_is_one_sentence(tmp_path: Path) -> None:
    for arguments, sentence in (
        (("--buyers", "50000"), "buyers: 1 to 20000"),
        (("--strategy", "hope"), "strategies: choose from"),
        (("--strategy", "redis-lua", "--pools"), "redis-lua can't sell from pools; with pools choose from"),
        (("--strategy", "naive", "--lane", "--pools"), "naive+lane can't sell from pools"),
        (("--url", "http://192.0.2.1:1"), "admin"),
    ):
        code, _, err = await simulate(tmp_path, *arguments, "--json", "-")
        assert code == 1
        assert sentence in err
        assert "Traceback" not in err
        assert "starting" not in err
