"""A few rounds of the fault campaign, and whether its checker sees what it must see."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign.goods import new_history, sale_body
from tests.campaign.history import Ask, Counters, Row, Told
from tests.campaign.mutant import ROOT, Mutation
from tests.campaign.mutations import MUTATIONS
from tests.campaign.plan import KINDS, REPLICATED, plan
from tests.campaign.seen import Seen, seen

__all__ = ["seen"]

FUNCTION = re.compile(r"FUNCTION (flashguard\.\w+)\(")
MIGRATIONS = sorted((ROOT / "src/flashguard/ledger/migrations").glob("*.sql"))

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


def test_rounds_with_a_replica_left_over_have_holds_that_no_failover_loses() -> None:
    rounds = [plan("x", number, REPLICATED) for number in range(100)]
    assert 50 < sum(each.replicated for each in rounds) < 90
    bodies = [sale_body(each, new_history("s", each)) for each in rounds]
    assert [body.get("hold_durability") == "replicated" for body in bodies] == [r.replicated for r in rounds]
    assert not any(plan("x", number).replicated for number in range(100))


def test_a_good_round_breaks_nothing(seen: Seen) -> None:
    assert seen.promises() == set()


def test_a_lost_order_is_seen(seen: Seen) -> None:
    del seen.rows[0]
    seen.items = {"a": Counters(3, 0, 0)}
    assert "lost order" in seen.promises(memory_forgets=True)


def test_an_order_that_became_another_is_seen(seen: Seen) -> None:
    seen.rows[0] = Row("id-b", "somebody", "confirmed", (("a", 1),))
    assert seen.promises() == {"doubled"}


def test_an_order_without_its_amend_is_seen(seen: Seen) -> None:
    ask = Ask("p", "amend", "c", (("a", 2), ("b", 1)), "s.id-b")
    seen.history.told.append(Told(ask, 9.0, 9.5, "confirmed", 200, "s.id-b"))
    part = Ask("q", "part", "c", (("b", 1),), "s.id-b")
    seen.history.told.append(Told(part, 9.6, 9.7, "confirmed", 200, "s.id-b"))
    assert seen.promises() == {"doubled"}
    seen.rows[0] = Row("id-b", "c", "confirmed", (("a", 2),))
    seen.items = {"a": Counters(3, 0, 2)}
    assert seen.promises() == set()


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


def test_a_hold_that_expires_before_the_end_that_its_extension_said_is_seen(seen: Seen) -> None:
    seen.told("hold", "h2", "held", id="id-h2", http=201)
    seen.told("extend", "x", "held", about="id-h2", id="id-h2")
    seen.told("confirm", "c", "reservation-expired", about="id-h2", http=409)
    assert seen.promises() == {"lost hold"}
    assert seen.promises(memory_forgets=True) == set()


def test_no_hold_is_lost_where_a_replica_had_it_before_it_was_answered(seen: Seen) -> None:
    seen.history.holds_kept = True
    seen.told("confirm", "early", "unknown-reservation", about="id-h2", http=404)
    assert seen.promises(memory_forgets=True) == set()
    seen.told("hold", "h2", "held", id="id-h2", http=201)
    assert seen.promises(memory_forgets=True) == {"lost hold"}


def test_only_what_a_memory_granted_that_fell_back_and_was_not_rebuilt_yet_may_be_lost(seen: Seen) -> None:
    seen.history.holds_kept = True
    begun = seen.at + 1.0
    seen.history.struck_at, seen.rebuilt_ms = begun - 0.5, int(begun * 1000) + 500
    seen.told("hold", "h2", "held", id="id-h2", http=201)
    seen.told("confirm", "c2", "unknown-reservation", about="id-h2", http=404)
    assert seen.promises(memory_forgets=True) == set()
    seen.history.struck_at = begun + 0.5  # the hold is older than the fault
    assert seen.promises(memory_forgets=True) == {"lost hold"}
    seen.history.struck_at, seen.rebuilt_ms = (
        begun - 0.5,
        int(begun * 1000) - 100,
    )  # the hold is newer than the rebuild
    assert seen.promises(memory_forgets=True) == {"lost hold"}


def test_a_refusal_by_the_ledger_that_the_ledger_never_made_is_seen(seen: Seen) -> None:
    seen.told("buy", "late", "ledger-refused", http=409)
    assert seen.promises(memory_forgets=True) == {"refused by the ledger"}
    seen.refused = ("id-late",)
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
        text = (ROOT / "src/flashguard" / name).read_text()
        assert old in text
        if "/migrations/" in name:  # a later migration may define the function anew: then the bug is nowhere
            function = FUNCTION.findall(text[: text.index(old)])[-1]
            newest = [path.name for path in MIGRATIONS if function in FUNCTION.findall(path.read_text())][-1]
            assert newest == Path(name).name
