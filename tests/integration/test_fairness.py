"""The models and measures behind docs/explanation/fairness.md, in a short form."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from bench.fairness import LIMIT, by_lot, chi_square, classes, overtaking
from bench.farm import SCENES, table
from bench.farm_run import Crowd, simulate

SMALL = Crowd(people=250, bots=10, identities=20, cores=1, stock=50)


def test_a_farm_gets_what_its_names_are_worth_and_little_once_they_are_tied_to_cards() -> None:
    outcomes = simulate(SMALL, SCENES)
    nothing, budget, cooled, tied, tied_cooled, by_card, card_cooled, room, proof, harder, everything = (
        each.bots_share for each in outcomes
    )
    assert min(nothing, budget, cooled) > 0.9, "200 names ask for 50 units before any person does"
    assert max(tied, tied_cooled) < 0.5
    assert tied_cooled <= tied
    assert (by_card, card_cooled) == (tied, tied_cooled), (
        "a card that is named beside a name is worth as much"
    )
    tickets = SMALL.bots * SMALL.identities / (SMALL.bots * SMALL.identities + SMALL.people)
    assert room == pytest.approx(tickets, abs=0.2), "by lot, a farm gets about its share of the tickets"
    assert max(room, proof, harder) < min(nothing, budget, cooled)
    assert everything < 0.2
    assert all(each.bots_orders + each.people_orders + each.left == SMALL.stock for each in outcomes)
    proofs = [each.proof_cpu_hours for each in outcomes if each.proof_cpu_hours is not None]
    assert len(proofs) == 3
    assert min(proofs) > 0
    assert len(table(outcomes)) == 2 + len(outcomes)


def test_a_lottery_favours_neither_the_first_nor_the_last() -> None:
    seeds = [sha256(str(n).encode()).hexdigest() for n in range(100)]
    found = by_lot(len(seeds), 20, seeds)
    assert max(found["chi_square"].values()) < LIMIT
    assert chi_square(classes([0] * 100, 20)) > LIMIT, "as of a room that lets in the first who came"


def test_who_asked_later_and_stands_before_has_overtaken() -> None:
    assert overtaking([0.0, 0.1, 0.2], [1, 2, 3])["overtaken_share"] == 0
    found = overtaking([0.000, 0.010, 0.030], [2, 3, 1])
    assert found["overtaken_share"] == pytest.approx(2 / 3, abs=0.001)
    assert found["overtaken_by_ms_most"] == pytest.approx(30)
    assert found["overtaken_by_ms_median"] == pytest.approx(30)


def test_the_page_says_how_often_and_by_how_much_was_overtaken() -> None:
    root = Path(__file__).parents[2]
    measured = json.loads((root / "bench/results/fairness.json").read_text())
    page = " ".join((root / "docs/explanation/fairness.md").read_text().split())
    slow, fast = measured["fifo"]["runs"]
    for said in (
        f"two of three buyers ({slow['overtaken_share'] * 100:.0f} %)",
        f"With {slow['asks_per_second']:,} a second",
        f"half of these by at most {slow['overtaken_by_ms_median']:.0f} ms",
        f"99 of 100 buyers by no more than {slow['overtaken_by_ms_p99_of_all']:.0f} ms",
        f"With {fast['asks_per_second']:,} a second",
        f"it was {fast['overtaken_share'] * 100:.0f} %",
        f"99 of 100 by at most {fast['overtaken_by_ms_p99_of_all'] / 1000:.1f} s",
        "chi-square " + "{:.2f}, {:.2f} and {:.2f}".format(*measured["lottery"]["chi_square"].values()),
    ):
        assert said in page, said
