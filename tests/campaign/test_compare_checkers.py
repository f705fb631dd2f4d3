"""Porcupine decides as our checker does. Skipped without Go, or without a copy of Porcupine's module."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaign.compare_checkers import PorcupineMissingError, build, compare
from tests.campaign.linearize import BUDGET, Verdict
from tests.campaign.played import BREAKS, Played, oversold, play


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build(tmp_path_factory.mktemp("porcupine"), {**os.environ, "GOPROXY": "off"})
    except PorcupineMissingError as missing:
        pytest.skip(f"{missing} `make porcupine` gets it.")


@pytest.mark.parametrize("seed", range(3))
def test_porcupine_finds_an_order_of_what_a_right_sale_answers(
    program: Path, tmp_path: Path, seed: int
) -> None:
    compared = compare("right", play(seed, 300, stock=60).record, program, tmp_path)
    assert (compared.ours, compared.theirs) == (Verdict.LINEARIZABLE, "ok")


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda break_it: break_it.__name__)
def test_porcupine_finds_no_order_of_a_broken_promise(
    program: Path, tmp_path: Path, break_it: Callable[[Played], None]
) -> None:
    played = play(0, 300, stock=60, lost=0.0)
    break_it(played)
    steps = 20_000 if break_it is oversold else BUDGET
    compared = compare("broken", played.record, program, tmp_path, budget=steps)
    assert compared.theirs == "illegal"
    assert compared.ours is (Verdict.UNDECIDED if break_it is oversold else Verdict.NOT)
