"""The page about the simulation has the results of the seeded bugs, and each of them can be put."""

import json

import pytest

from tests.campaign.mutations import MUTATIONS, ROOT, Mutation
from tests.simulation.more_mutations import BY_CHANCE, MORE, NEW
from tests.simulation.mutants import HEADING, PAGE, RESULTS, section


def test_the_page_has_the_last_results() -> None:
    results = json.loads(RESULTS.read_text())
    rows = section(results).splitlines()
    written = set(PAGE.read_text().partition(f"{HEADING}\n")[2].splitlines())
    assert [row for row in rows if row not in written and "not tried yet" not in row] == []
    assert {each["bug"] for each in results} <= {mutation.name for mutation in [*MUTATIONS, *MORE]}


def test_ten_bugs_are_new_and_two_were_found_by_chance() -> None:
    assert (len(NEW), len(BY_CHANCE)) == (10, 2)


@pytest.mark.parametrize("mutation", [*MUTATIONS, *MORE], ids=lambda mutation: mutation.name)
def test_a_seeded_bug_can_be_put(mutation: Mutation) -> None:
    for name, old, _ in mutation.edits:
        assert old in (ROOT / "src/flashguard" / name).read_text(), name
