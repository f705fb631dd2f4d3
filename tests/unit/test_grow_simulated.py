"""The simulation of growth: the same by the same seed, near to what was measured, and shown as it is."""

import json
from dataclasses import replace

import msgspec
import pytest

from bench.grow_simulated import RESULTS, calibrated, drawn, fitted, parts_for, refusing, told, validated
from bench.rows import Row
from bench.simulation import Costs, Place, Plan

LATEST = json.loads((RESULTS / "latest.json").read_text())
SHOWN = json.loads((RESULTS / "grow_simulated.json").read_text())


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return msgspec.convert(LATEST["rows"], list[Row])


@pytest.fixture(scope="module")
def costs(rows: list[Row]) -> Costs:
    return calibrated(rows)


def test_the_same_seed_gives_the_same_and_another_does_not(costs: Costs) -> None:
    plan = parts_for(20_000, costs, 1, recorded=True)
    first, again, other = (Place(plan, costs, seed, 0.03, 0.03).run() for seed in (1, 1, 2))
    assert first.waits == again.waits
    assert first.waits != other.waits


def test_one_worker_here_is_as_fast_as_was_measured(rows: list[Row], costs: Costs) -> None:
    buys = [line for line in validated(rows, costs, 0.5, 1) if (line["what"], line["workers"]) == ("buy", 1)]
    assert [line["connections"] for line in buys] == [64, 256, 1000]
    assert all(abs(line["rate_error"]) < 0.15 for line in buys), buys


def test_an_answer_of_a_large_batch_costs_the_api_less(costs: Costs) -> None:
    rows = [
        Row(scenario="buy", target="x", connections=n, cpu_us={"api": 30 + 400 * 2 / n})
        for n in (64, 256, 1000)
    ]
    assert fitted(rows, "api") == pytest.approx((30e-6, 400e-6))
    own = replace(costs, api=30e-6, turn=400e-6)
    for connections in (64, 1000):
        seen = Place(Plan(1, 1, cores=2, connections=connections), own, 1, 0.5, warm=0.2).run()
        spent = seen.busy["api"] / len(seen.waits)
        assert spent == pytest.approx(own.api + own.turn / seen.batch, rel=0.05)


def test_growth_is_simulated_only_where_every_process_has_a_core_of_its_own(costs: Costs) -> None:
    plans = [parts_for(1_000_000, costs, partitions, recorded=True) for partitions in (1, 16, 64)]
    assert [plan.cores for plan in plans] == [None] * 3
    page = (RESULTS.parents[1] / "docs" / "explanation" / "growth.md").read_text()
    checked = [line for line in page.splitlines() if line.startswith("| buy |")]
    assert {(line.split(" | ")[1], line.endswith("| yes |")) for line in checked} == {
        ("1", True),
        ("2", False),
    }


def test_what_comes_in_is_what_is_answered_until_a_part_is_full(costs: Costs) -> None:
    enough = Place(parts_for(20_000, costs, 1, recorded=True), costs, 1, 0.2, 0.2).run()
    assert enough.per_second == pytest.approx(20_000, rel=0.1)
    too_few = Place(Plan(1, 1, offered=60_000), costs, 1, 0.2, 0.2).run()
    assert too_few.per_second < 1.1 / costs.api
    assert too_few.busy["api"] <= 0.2 * 1.05


def test_nobody_waits_less_than_the_work_takes(costs: Costs) -> None:
    seen = Place(parts_for(20_000, costs, 1, recorded=True), costs, 1, 0.1, 0.1).run()
    assert min(seen.waits) > costs.api + costs.call + costs.fsync * 2 + costs.group + costs.transaction


def test_a_crowd_that_gets_nothing_leaves_the_ledger_alone(rows: list[Row], costs: Costs) -> None:
    crowd = refusing(rows, costs)
    seen = Place(parts_for(30_000, crowd, 1, recorded=False), crowd, 1, 0.05, 0.05).run()
    assert set(seen.busy) == {"api", "valkey"}
    assert told("x", Plan(1, 1, recorded=False), seen, crowd)["ledger_cores"] == 0


def test_what_is_shown_comes_from_the_last_benchmark(costs: Costs) -> None:
    assert SHOWN["from"]["commit"] == LATEST["commit"], (
        "run `make grow`, and look at docs/explanation/growth.md"
    )
    assert SHOWN["costs_us"]["api"] == round(costs.api * 1e6, 1)
    picture = (RESULTS / "grow_simulated.svg").read_text()
    note = picture.split('<text class="note" x="16" y="46">')[1].split("</text>")[0]
    assert picture == drawn(SHOWN["growth"], note)
