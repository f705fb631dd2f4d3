"""Whether the checker of linearizability accepts what a right sale answers, and nothing else."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.campaign.history import Ask, Counters, History, Ledger, Record, Row, Told
from tests.campaign.linearize import Decision, Verdict
from tests.campaign.mutant import ROOT
from tests.campaign.operations import decide
from tests.campaign.played import BREAKS, Played, order_lost, oversold, play
from tests.campaign.sequential import Sale


def decisions_of(record: Record, *, budget: int = 500_000) -> list[Decision[Sale]]:
    return decide(record.history, record.ledger, record.ids.__getitem__, budget=budget)


def verdicts_of(played: Played) -> set[Verdict]:
    return {decision.verdict for decision in decisions_of(played.record)}


@pytest.mark.parametrize("seed", range(5))
def test_what_a_right_sale_answers_is_linearizable(seed: int) -> None:
    assert verdicts_of(play(seed, 300, stock=60)) == {Verdict.LINEARIZABLE}


def test_ten_thousand_operations_of_40_buyers_are_decided_in_seconds() -> None:
    played = play(2, 10_000, stock=3_000)
    began = time.process_time()
    [decision] = decisions_of(played.record)
    assert (decision.verdict, len(decision.order) > 10_000) == (Verdict.LINEARIZABLE, True)
    assert time.process_time() - began < 30  # 1 second where it was written


def test_a_search_ends_within_its_budget() -> None:
    [decision] = decisions_of(play(2, 300, stock=60).record, budget=100)
    assert (decision.verdict, decision.steps) == (Verdict.UNDECIDED, 100)


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda break_it: break_it.__name__)
@pytest.mark.parametrize("seed", range(2))
def test_each_broken_promise_has_no_sequential_order(seed: int, break_it: Callable[[Played], None]) -> None:
    played = play(seed, 300, stock=60, lost=0.0)
    break_it(played)
    [decision] = decisions_of(played.record)
    assert decision.verdict is Verdict.NOT, f"{decision.steps} steps, at {decision.blocked}"


def test_an_oversold_unit_that_no_limit_shows_is_not_called_right() -> None:
    played = play(3, 300, stock=60, lost=0.0)
    oversold(played)
    [decision] = decisions_of(played.record, budget=20_000)  # to refuse every order takes more
    assert decision.verdict is Verdict.UNDECIDED


def test_what_the_ledger_has_in_the_end_decides_early_which_amend_took_effect() -> None:
    history = History("s", None, {"a": 9})
    history.told = [
        Told(Ask("h", "hold", "c", (("a", 1),)), 0.0, 0.1, "held", 201, "s.id-h"),
        Told(Ask("x", "amend", "c", (("a", 2),), about="s.id-h"), 0.2, 0.3, "no-answer"),
        Told(Ask("y", "amend", "c", (("a", 3),), about="s.id-h"), 0.2, 0.3, "held", 200, "s.id-h"),
        Told(Ask("e", "confirm", "c", about="s.id-h"), 0.4, 0.5, "confirmed", 200, "s.id-h"),
    ]

    def steps(units: int) -> tuple[Verdict, int]:
        items = {"a": Counters(9, 0, units)}
        ledger = Ledger((Row("id-h", "c", "confirmed", (("a", units),)),), items, items, ())
        [decision] = decide(history, ledger, {"h": "id-h"}.__getitem__)
        return decision.verdict, decision.steps

    assert steps(3) == (Verdict.LINEARIZABLE, 5)
    assert steps(2) == (Verdict.LINEARIZABLE, 6)
    assert steps(1)[0] is Verdict.NOT


def test_histories_are_decided_from_their_files_and_written_for_other_checkers(tmp_path: Path) -> None:
    good, bad = play(1, 100, stock=30), play(1, 100, stock=30)
    order_lost(bad)
    for name, played in (("good", good), ("bad", bad)):
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(played.record))
    files = [str(tmp_path / "good.json"), str(tmp_path / "bad.json")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.decide", *files, "--edn"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert "operations linearizable" in said[0]
    assert "operations not linearizable" in said[1]
    assert "there is no place for" in said[2]
    lines = (tmp_path / "good.0.edn").read_text().splitlines()
    busy: set[str] = set()
    for at, line in enumerate(lines):
        words = line.strip("{}").split()
        assert (words[0], int(words[1]), words[2]) == (":index", at, ":process")
        process, kind = words[3], words[5]
        assert (process in busy) == (kind == ":ok")
        (busy.add if kind == ":invoke" else busy.discard)(process)
