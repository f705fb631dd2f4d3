"""A few rounds of the fault campaign, and whether its checker sees what it must see."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.campaign.checker import check
from tests.campaign.history import Ask, Counters, History, Ledger, Row, Told
from tests.campaign.mutations import MUTATIONS, ROOT, Mutation
from tests.campaign.plan import KINDS, plan

ROUNDS = 6


@pytest.mark.timeout(300)
def test_no_promise_breaks_while_servers_are_killed_stopped_flushed_and_cut_off(tmp_path: Path) -> None:
    words = ["--seed", "make-test", "--rounds", str(ROUNDS), "--keep", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.campaign", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{ROUNDS} rounds, 0 with a broken promise" in done.stdout


def test_a_seed_and_a_number_give_the_same_round_again() -> None:
    once, again = ([plan("x", number) for number in range(100)] for _ in range(2))
    assert once == again != [plan("y", number) for number in range(100)]
    assert {each.kind for each in once[: len(KINDS)]} >= set(KINDS) - {"other link"}


@dataclass
class Seen:
    """A round in which one buyer bought, one held and let go, and one held and let it end."""

    history: History = field(default_factory=lambda: History("s", 2, {"a": 3}))
    rows: list[Row] = field(default_factory=list)
    items: dict[str, Counters] = field(default_factory=lambda: {"a": Counters(3, 0, 1)})
    memory: dict[str, Counters] | None = None
    restocks: list[tuple[str, str, int]] = field(default_factory=list)
    audit_ok: bool = True
    at: float = 0.0

    def told(self, verb: str, key: str, word: str, *, about: str = "", id: str = "", http: int = 200) -> None:
        self.at += 1.0
        lines = () if about else (("a", 1),)
        ask = Ask(key, verb, "c", lines, f"s.{about}" if about else "")
        told = Told(
            ask,
            self.at,
            self.at + 0.5,
            word,
            http,
            f"s.{id}" if id else "",
            expires_in=9.0 * (word == "held"),
        )
        self.history.told.append(told)

    def row(self, id: str, status: str) -> None:
        self.rows.append(Row(id, "c", status, (("a", 1),)))

    def promises(self, *, memory_forgets: bool = False) -> set[str]:
        ledger = Ledger(
            tuple(self.rows),
            self.items,
            self.memory or self.items,
            tuple(self.restocks),
            audit_ok=self.audit_ok,
        )
        found = check(self.history, ledger, lambda key: f"id-{key}", memory_forgets=memory_forgets)
        return {violation.promise for violation in found}


@pytest.fixture
def seen() -> Seen:
    seen = Seen()
    seen.told("buy", "b", "no-answer", http=0)
    seen.told("buy", "b", "confirmed", id="id-b", http=201)
    seen.row("id-b", "confirmed")
    seen.told("hold", "h", "held", id="id-h", http=201)
    seen.told("release", "r", "released", about="id-h")
    seen.row("id-h", "released")
    seen.told("buy", "late", "sold-out", http=409)
    return seen


def test_a_good_round_breaks_nothing(seen: Seen) -> None:
    assert seen.promises() == set()


def test_a_lost_order_is_seen(seen: Seen) -> None:
    del seen.rows[0]
    seen.items = {"a": Counters(3, 0, 0)}
    assert "lost order" in seen.promises(memory_forgets=True)


def test_an_order_that_became_another_is_seen(seen: Seen) -> None:
    seen.rows[0] = Row("id-b", "somebody", "confirmed", (("a", 1),))
    assert seen.promises() == {"doubled"}


def test_an_order_that_nobody_asked_for_is_seen(seen: Seen) -> None:
    seen.row("id-other", "confirmed")
    seen.items = {"a": Counters(3, 0, 2)}
    assert seen.promises() == {"doubled"}


def test_a_counter_that_moved_twice_for_one_order_is_seen(seen: Seen) -> None:
    seen.items = {"a": Counters(3, 0, 2)}
    assert seen.promises() == {"doubled"}


def test_overselling_is_seen(seen: Seen) -> None:
    for number in range(3):
        seen.told("buy", f"more-{number}", "confirmed", id=f"id-more-{number}", http=201)
        seen.row(f"id-more-{number}", "confirmed")
    seen.items = {"a": Counters(3, 0, 4)}
    assert "oversold" in seen.promises(memory_forgets=True)


def test_a_limit_that_was_passed_is_seen(seen: Seen) -> None:
    for number in range(2):
        seen.told("buy", f"more-{number}", "confirmed", id=f"id-more-{number}", http=201)
        seen.row(f"id-more-{number}", "confirmed")
    seen.items = {"a": Counters(3, 0, 3)}
    assert seen.promises(memory_forgets=True) == {"limit exceeded"}


def test_a_key_with_two_outcomes_is_seen(seen: Seen) -> None:
    seen.told("buy", "b", "sold-out", http=409)
    assert seen.promises(memory_forgets=True) == {"two outcomes"}


def test_a_key_with_two_reservations_is_seen(seen: Seen) -> None:
    seen.told("buy", "b", "confirmed", id="id-b2", http=201)
    assert "doubled" in seen.promises()


def test_an_order_after_a_release_is_seen(seen: Seen) -> None:
    seen.rows[1] = Row("id-h", "c", "confirmed", (("a", 1),))
    seen.items = {"a": Counters(3, 0, 2)}
    assert seen.promises() == {"two outcomes"}


def test_an_order_and_its_release_are_a_contradiction_whatever_memory_forgot(seen: Seen) -> None:
    seen.history.told = [told for told in seen.history.told if told.ask.key != "r"]
    seen.told("confirm", "c", "confirmed", about="id-h", id="id-h")
    seen.told("release", "r", "released", about="id-h")
    seen.rows[1] = Row("id-h", "c", "confirmed", (("a", 1),))
    seen.items = {"a": Counters(3, 0, 2)}
    assert seen.promises(memory_forgets=True) == {"two outcomes"}


def test_a_release_is_kept_whatever_memory_forgot(seen: Seen) -> None:
    seen.rows[1] = Row("id-h", "c", "expired", (("a", 1),))
    assert seen.promises(memory_forgets=True) == {"two outcomes"}


def test_a_hold_may_be_lost_only_where_memory_forgets(seen: Seen) -> None:
    seen.told("hold", "h2", "held", id="id-h2", http=201)
    seen.told("confirm", "c", "unknown-reservation", about="id-h2", http=404)
    assert seen.promises() == {"lost hold"}
    assert seen.promises(memory_forgets=True) == set()


def test_units_that_nobody_has_are_seen(seen: Seen) -> None:
    seen.items = {"a": Counters(3, 1, 1)}
    assert seen.promises() == {"leaked"}
    seen.items, seen.memory = {"a": Counters(3, 0, 1)}, {"a": Counters(3, 1, 1)}
    assert seen.promises() == {"leaked"}


def test_a_lost_restock_and_one_made_twice_are_seen(seen: Seen) -> None:
    seen.told("restock", "more", "restocked")
    assert seen.promises() == {"lost restock"}
    seen.restocks = [("restock:more", "a", 1)]
    seen.items = {"a": Counters(4, 0, 1)}
    assert seen.promises() == set()
    seen.items = {"a": Counters(5, 0, 1)}
    assert seen.promises() == {"leaked"}


def test_bad_manners_are_seen(seen: Seen) -> None:
    seen.told("buy", "late", "recovering", http=500)
    seen.told("buy", "late", "ledger-refused", http=409)
    seen.history.unsettled.append(Ask("late", "buy"))
    seen.audit_ok = False
    assert seen.promises() == {"server error", "refused by the ledger", "never answered", "audit"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_seeded_bug_can_still_be_put_in(mutation: Mutation) -> None:
    """A list of bugs that are caught says nothing of one whose place in the code has gone."""
    for name, old, new in mutation.edits:
        assert old != new
        assert old in (ROOT / "src/flashguard" / name).read_text()
