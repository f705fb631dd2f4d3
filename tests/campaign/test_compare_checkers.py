"""Porcupine decides as our checker does. Skipped without Go, or without a copy of Porcupine's module."""

import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaign.compare_checkers import (
    SOURCES,
    Compared,
    Part,
    PorcupineMissingError,
    build,
    compare,
)  # fmt: skip
from tests.campaign.linearize import Verdict
from tests.campaign.played import BREAKS, Played, bend, oversold, play, restock_lost


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
    compared = compare("broken", played.record, program, tmp_path)
    assert (compared.ours, compared.theirs, compared.contradict) == (Verdict.NOT, "illegal", False)


def test_neither_finds_an_order_where_the_other_finds_none(program: Path, tmp_path: Path) -> None:
    verdicts = set()
    for seed in range(30):
        played = play(seed, 60, stock=12, lost=seed % 3 * 0.1)
        bend(played, random.Random(seed))
        compared = compare(f"bent{seed}", played.record, program, tmp_path, seconds=1, budget=2_000)
        assert not compared.contradict, compared
        verdicts.add((compared.ours, compared.theirs))
    assert {(Verdict.LINEARIZABLE, "ok"), (Verdict.NOT, "illegal")} <= verdicts


def test_a_search_that_ends_undecided_contradicts_nothing(program: Path, tmp_path: Path) -> None:
    played = play(3, 300, stock=60, lost=0.0)
    oversold(played)
    compared = compare("oversold", played.record, program, tmp_path, seconds=0.5, budget=1_000)
    assert (compared.ours, compared.theirs) == (Verdict.UNDECIDED, "unknown")
    assert not compared.contradict


def test_pictures_are_drawn_soon_and_not_of_what_no_browser_could_show(program: Path, tmp_path: Path) -> None:
    def drawn(name: str, played: Played) -> list[str]:
        folder = tmp_path / name
        folder.mkdir()
        compare(name, played.record, program, tmp_path, pictures=folder)
        return [picture.name for picture in folder.iterdir()]

    unbalanced = play(0, 300, stock=60, lost=0.0)
    restock_lost(unbalanced)
    began = time.monotonic()
    assert drawn("unbalanced", unbalanced) == ["unbalanced.porcupine.json.0.html"]
    assert time.monotonic() - began < 15
    assert drawn("large", play(0, 2_100, stock=600)) == []


def test_an_order_of_one_checker_contradicts_the_other_that_found_none() -> None:
    ok, illegal = Part(9, "ok", 0.1, ""), Part(9, "illegal", 0.1, "limit c1")
    assert Compared("a", 18, Verdict.LINEARIZABLE, 0.1, [ok, illegal]).contradict
    assert Compared("b", 9, Verdict.NOT, 0.1, [ok]).contradict
    assert not Compared("c", 9, Verdict.NOT, 0.1, [illegal]).contradict


def test_the_go_code_is_formatted_and_passes_vet(program: Path) -> None:
    root = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True).stdout.strip()
    for command in ([f"{root}/bin/gofmt", "-l", "."], ["go", "vet", "-mod=readonly", "."]):
        done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_without_go_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PorcupineMissingError, match="There is no go here"):
        build(tmp_path)
