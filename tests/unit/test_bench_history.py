"""The benchmark's history: what a run changed is named, and what stays worse is said loudly."""

import json
import math
from io import StringIO

import msgspec
import pytest
from rich.console import Console
from rich.table import Table

from bench import history
from bench.figures import Value
from bench.goals import GOALS, figures
from bench.history import MAX_RUNS, Run, change, compared, worse_for_long, write
from bench.plot import panels
from bench.plot_history import plot_history
from bench.report import Report
from bench.report import write as write_report
from bench.rows import Row
from bench.table import table
from bench.together import together

LATEST = json.loads(history.HISTORY.with_name("latest.json").read_text())
KEPT = json.loads(history.HISTORY.read_text())
FASTER, CHEAPER = "durable_buy_vs_row_lock", "api_cpu_buy_vs_floor"


def run(number: int, **figures: Value) -> Run:
    return Run(at=f"2026-12-{number:02d}T10:00:00+00:00", commit=f"commit{number}", figures=figures)


def printed(table: Table) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(table)
    return console.export_text()


def test_less_cpu_and_more_orders_are_both_better() -> None:
    assert change("more", 10.0, 12.0) == pytest.approx(0.2)
    assert change("less", 10.0, 12.0) == pytest.approx(-0.2)
    assert change("less", 0.0, 3.0) == -1.0  # the first error is worse
    assert change("less", 0.0, 0.0) == 0.0
    assert change("more", None, 1.0) is None


def test_a_run_is_shown_beside_the_last_committed_one() -> None:
    before = run(1, **{FASTER: 10.0, CHEAPER: 1.0})
    lines = printed(compared(before, {FASTER: 12.0, CHEAPER: 1.2, "errors": 0})).splitlines()
    [faster] = [line for line in lines if FASTER in line]
    [cheaper] = [line for line in lines if CHEAPER in line]
    assert "+20%" in faster
    assert "better" in faster
    assert "+20%" in cheaper
    assert "WORSE" in cheaper
    assert not [line for line in lines if "errors" in line]  # the earlier run does not have it


def test_a_figure_worse_by_over_a_tenth_in_three_runs_in_a_row_is_said() -> None:
    base = run(1, **{FASTER: 10.0, CHEAPER: 1.0})
    worse = [run(number, **{FASTER: 8.9, CHEAPER: 1.0}) for number in (2, 3, 4)]
    [sentence] = worse_for_long([base, *worse])
    assert FASTER in sentence
    assert "commit1" in sentence
    assert worse_for_long([base, *worse[:2]]) == []
    assert worse_for_long([base, *worse[:2], run(4, **{FASTER: 9.1})]) == []
    assert worse_for_long([base, *worse[:2], run(4)]) == []  # not measured
    assert len(worse_for_long([base] + [run(number, **{CHEAPER: 1.2}) for number in (2, 3, 4)])) == 1


def test_the_history_has_a_line_per_run_and_is_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(history, "HISTORY", tmp_path / "history.json")
    write([run(1, **{FASTER: float(number)}) for number in range(MAX_RUNS + 5)])
    text = (tmp_path / "history.json").read_text()
    assert len(json.loads(text)) == MAX_RUNS == len(text.splitlines()) - 2
    assert json.loads(text)[-1]["figures"][FASTER] == MAX_RUNS + 4


def test_the_plot_has_a_line_for_each_figure_of_the_last_run() -> None:
    runs = [run(1, **{FASTER: 8.0}), run(2, **{FASTER: 9.0, CHEAPER: 2.0})]
    picture = plot_history(runs)
    assert picture.startswith("<svg")
    assert FASTER in picture
    assert CHEAPER in picture
    assert "errors" not in picture
    assert picture.count('class="missed"') == 2  # both miss their goals
    assert plot_history(runs[:1]).count("<polyline") == 1


def test_the_plot_of_a_run_shows_no_rival_where_it_was_not_measured() -> None:
    rows = msgspec.convert(LATEST["rows"], list[Row])
    measured = {(row.connections, row.target) for row in rows if row.scenario == "buy"}
    shown = {
        (int(title.split()[-2].replace(",", "")), label)
        for title, bars in panels(rows)
        for label, *_ in bars
        if title.startswith("Durable buy")
    }
    assert shown == measured


def test_the_last_kept_run_is_the_one_that_is_shown() -> None:
    assert (KEPT[-1]["at"], KEPT[-1]["commit"]) == (LATEST["at"], LATEST["commit"])
    assert len(KEPT) > 1


def test_a_goal_is_met_at_its_bound_and_unknown_without_a_measurement() -> None:
    assert len({line.name for line in GOALS}) == len(GOALS)
    found = figures([])
    assert {figure.met for figure in found.values()} == {None, True}  # no error in no rows
    goal = next(line.goal for line in GOALS if line.name == CHEAPER)
    assert goal.bound is not None
    assert goal.met(goal.bound)
    assert goal.met(math.nextafter(goal.bound, 2)) is False


def report(commit: str, *rates: float) -> Report:
    rows = [
        Row(scenario="buy", target="flashguard", connections=1_000, round=round_, per_second=rate)
        for round_, rate in enumerate(rates)
    ]
    return Report(
        size="all", at="2026-12-01T10:00:00+00:00", commit=commit, seconds=100.0, machine={"cpu": "x"},
        versions={}, rule="", others_cores=0.0, figures=figures(rows), rows=rows,
    )  # fmt: skip


def test_several_runs_together_are_the_median_over_all_their_rounds() -> None:
    three = together([report("a", 1.0, 2.0, 3.0), report("a", 7.0, 8.0, 9.0), report("a", 4.0, 5.0, 6.0)])
    assert three.figures["durable_buys_per_second"].value == 5.0
    assert len({row.round for row in three.rows}) == 9
    assert three.seconds == 300.0
    with pytest.raises(ValueError, match="different commits"):
        together([report("a", 1.0), report("b", 1.0)])


def test_a_quiet_whole_run_is_kept_and_one_that_names_a_file_is_not(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("bench.report.RESULTS", tmp_path)
    monkeypatch.setattr(history, "HISTORY", tmp_path / "history.json")
    monkeypatch.setattr(history, "committed", lambda: [run(1, durable_buys_per_second=1.0)])
    console = Console(width=200, record=True, file=StringIO())
    write_report(report("a", 2.0), console, tmp_path / "mine.json", None)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.json"]
    noisy = msgspec.structs.replace(report("a", 2.0), others_cores=1.0)
    write_report(noisy, console, None, None)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.json"]
    write_report(report("a", 2.0), console, None, None)
    kept = {"latest.json", "latest.svg", "history.json", "history.svg"}
    assert {file.name for file in tmp_path.iterdir()} == kept | {"mine.json"}
    assert [each["commit"] for each in json.loads((tmp_path / "history.json").read_text())] == [
        "commit1",
        "a",
    ]
    assert "Beside the last committed run, commit1" in console.export_text()


def test_the_load_generators_share_stands_beside_every_row(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    row = Row(scenario="buy", target="x", seconds=2.0, answers={"201": 20_000}, cpu_us={"client": 20.0})
    assert row.client_share == pytest.approx(0.1)
    assert "10%" in printed(table([row]))
