"""Whether the checker of linearizability accepts what a right sale answers, and nothing else."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.campaign.decide import record_in
from tests.campaign.history import Ask, Counters, History, Ledger, Record, Row, Told
from tests.campaign.linearize import Decision, Verdict, linearize
from tests.campaign.mutant import ROOT
from tests.campaign.operations import decide, parts_of
from tests.campaign.played import BREAKS, Played, bend, order_lost, oversold, play
from tests.campaign.refusals import unfounded
from tests.campaign.sequential import Amend, LedgerRead, Part, Sale


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
    assert "in no order there is a place for" in said[2]
    lines = (tmp_path / "good.0.edn").read_text().splitlines()
    busy: set[str] = set()
    for at, line in enumerate(lines):
        words = line.strip("{}").split()
        assert (words[0], int(words[1]), words[2]) == (":index", at, ":process")
        process, kind = words[3], words[5]
        assert (process in busy) == (kind == ":ok")
        (busy.add if kind == ":invoke" else busy.discard)(process)


def test_a_refusal_is_decided_by_sums_where_a_search_would_try_every_order() -> None:
    """Of twenty buyers at the same moment one is told sold out, and three units are left in the end."""
    history = History("s", None, {"a": 23})
    history.told = [
        Told(Ask(f"k{n}", "buy", f"c{n}", (("a", 1),)), 0.0, 1.0, "confirmed", 201, f"s.id-k{n}")
        for n in range(20)
    ]
    history.told.append(Told(Ask("out", "buy", "late", (("a", 1),)), 0.5, 0.9, "sold-out", 409))
    items = {"a": Counters(23, 0, 20)}
    rows = tuple(Row(f"id-k{n}", f"c{n}", "confirmed", (("a", 1),)) for n in range(20))
    [decision] = decide(history, Ledger(rows, items, items, ()), "id-{}".format)
    assert (decision.verdict, decision.steps) == (Verdict.NOT, 0)
    assert str(decision.blocked).startswith("buy out -> sold-out")


def test_a_file_that_is_no_round_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"history": {}}')
    for name in ("half.json", "missing.json"):
        with pytest.raises(SystemExit, match=f"{name} is no round that --histories wrote: .*$"):
            record_in(tmp_path / name)


def test_no_refusal_of_a_right_sale_is_unfounded_and_none_of_a_history_that_has_an_order() -> None:
    found = 0
    for seed in range(60):
        played = play(seed, 60, stock=12, lost=seed % 3 * 0.1)
        assert not unfounded_in(played)
        bend(played, random.Random(seed))
        if unfounded_in(played):
            found += 1
            record = played.record
            for part in parts_of(record.history, record.ledger, record.ids.__getitem__):
                if unfounded(part, record.history):
                    *_, read = part
                    assert isinstance(read, LedgerRead)
                    changes = Counter(step.about for step in part if isinstance(step, Amend | Part))
                    state = Sale(record.history, read.rows, changes)
                    assert linearize(part, state, budget=20_000).verdict is not Verdict.LINEARIZABLE
    assert found


def unfounded_in(played: Played) -> bool:
    record = played.record
    parts = parts_of(record.history, record.ledger, record.ids.__getitem__)
    return any(unfounded(part, record.history) for part in parts)
