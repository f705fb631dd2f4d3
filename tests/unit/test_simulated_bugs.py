"""The page about the simulation has the results of the seeded bugs and of the removed guards, and each of
them can be put."""

import pytest

from tests.campaign.mutant import ROOT, Mutation
from tests.campaign.mutations import MUTATIONS
from tests.simulation.guards import GUARDS, Guard
from tests.simulation.more_mutations import BY_CHANCE, MORE, NEW
from tests.simulation.mutants import PAGE, TABLES, Table
from tests.simulation.second_guards import SECOND


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.heading)
def test_the_page_has_the_last_results(table: Table) -> None:
    written = set(PAGE.read_text().partition(f"{table.heading}\n")[2].splitlines())
    assert [
        row for row in table.section().splitlines() if row not in written and "not tried yet" not in row
    ] == []


def test_ten_bugs_are_new_and_two_were_found_by_chance() -> None:
    assert (len(NEW), len(BY_CHANCE)) == (10, 2)


@pytest.mark.parametrize("mutation", [*MUTATIONS, *MORE], ids=lambda mutation: mutation.name)
def test_a_seeded_bug_can_be_put(mutation: Mutation) -> None:
    for name, old, _ in mutation.edits:
        assert old in (ROOT / "src/flashguard" / name).read_text(), name


def test_there_are_two_lists_of_25_guards() -> None:
    assert [len({guard.name for guard in guards}) for guards in (GUARDS, SECOND)] == [25, 25]


@pytest.mark.parametrize("guard", [*GUARDS, *SECOND], ids=lambda guard: guard.name)
def test_a_guard_can_be_removed(guard: Guard) -> None:
    assert (ROOT / "src/flashguard" / guard.file).read_text().count(guard.old) == 1


def test_a_guard_that_was_not_found_says_why() -> None:
    removals = [table for table in TABLES if table.heading != "## Seeded bugs"]
    found = {each["bug"]: each["found"] for table in removals for each in table.kept().values()}
    missed = [guard for guard in (*GUARDS, *SECOND) if not found.get(guard.name, True)]
    assert [guard.name for guard in missed if not guard.unseen] == []
