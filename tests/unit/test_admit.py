"""The last guard, transition by transition: what the ledger accepts of a memory that lost data."""

from typing import Any

import msgspec
import pytest

from flashguard.journal import (
    Amend,
    Buy,
    Cancel,
    Confirm,
    Entry,
    EntryBody,
    Expire,
    Extend,
    Hold,
    LateConfirm,
    Rebuilt,
    Release,
    Restock,
    Transition,
)
from flashguard.recorder.admit import Counts, Unreplayable, admit
from flashguard.recorder.fold import groups_of

SALE = "s"
LINES = ["unit", 2]


def of(*transitions: Transition) -> list[Entry]:
    """A run of entries, one for each transition."""
    return [
        Entry(1, seq, f"t{seq}", f"t{seq - 1}", EntryBody(0, [transition], []))
        for seq, transition in enumerate(transitions, 1)
    ]


def hold(id_: str, lines: Any = None) -> Hold:
    return Hold(SALE, id_, LINES if lines is None else lines, 0, 0, "ann", 1000)  # type: ignore[arg-type]


def buy(id_: str) -> Buy:
    return Buy(SALE, id_, LINES, 0, 0, "ann")  # type: ignore[arg-type]


def end(kind: Any, id_: str) -> Transition:
    return kind(SALE, id_, LINES, 0)  # type: ignore[no-any-return]


def restock(delta: int) -> Restock:
    return Restock(SALE, "k", ["unit", delta], 0, 0, "", 0, 0, 0, 0)  # type: ignore[arg-type]


def test_grants_are_accepted_until_the_ledgers_own_stock_is_gone():
    counts = {(SALE, "unit"): Counts(stock=5, held=0, sold=0)}
    accepted, refused = admit(of(hold("a"), buy("b"), buy("c")), counts, {})
    assert [t.id for t in accepted] == ["a", "b"]  # type: ignore[union-attr]
    assert [(r.transition.id, r.reason) for r in refused] == [("c", "the ledger has 1 of unit left")]
    assert counts[SALE, "unit"] == Counts(stock=5, held=2, sold=2)


def test_a_cancel_needs_an_order_and_takes_its_units_along_or_puts_them_back():
    counts = {(SALE, "unit"): Counts(stock=6, held=0, sold=4)}
    known = {(SALE, "a"): "confirmed", (SALE, "b"): "confirmed", (SALE, "c"): "held"}
    cancels = [Cancel(SALE, id_, LINES, 0, id_ == "a", "") for id_ in "abcda"]  # type: ignore[arg-type]
    accepted, refused = admit(of(*cancels), counts, known)
    assert [t.id for t in accepted] == ["a", "b"]  # type: ignore[union-attr]
    assert [r.transition.id for r in refused] == ["c", "d", "a"]  # type: ignore[union-attr]
    assert counts[SALE, "unit"] == Counts(stock=4, held=0, sold=0)


def test_what_a_reservation_takes_is_checked_and_moved_in_place_of_its_lines():
    """A pass takes a seat of each day; the ledger has one seat left on Saturday."""
    takes = ["unit", 1, "friday", 1, "saturday", 1]
    counts = {(SALE, counter): Counts(stock=3, held=0, sold=0) for counter in ("unit", "friday")}
    counts[SALE, "saturday"] = Counts(stock=3, held=0, sold=2)
    known: dict[tuple[str, str], str] = {}

    def drawing(id_: str) -> Hold:
        return Hold(SALE, id_, ["unit", 1], 0, 0, "ann", 1000, {"takes": takes})  # type: ignore[arg-type]

    confirm = Confirm(SALE, "a", ["unit", 1], 0, takes)  # type: ignore[arg-type]
    cancel = Cancel(SALE, "a", ["unit", 1], 0, False, "", takes)  # type: ignore[arg-type]
    accepted, [refused] = admit(of(drawing("a"), drawing("b"), confirm), counts, known)
    assert [t.id for t in accepted] == ["a", "a"]  # type: ignore[union-attr]
    assert refused.reason == "the ledger has 0 of saturday left"
    assert counts[SALE, "saturday"] == Counts(stock=3, held=0, sold=3)
    assert counts[SALE, "friday"] == Counts(stock=3, held=0, sold=1)
    admit(of(cancel), counts, known)
    assert counts[SALE, "saturday"] == Counts(stock=2, held=0, sold=2)


def amend(id_: str, revision: int, units: int, moves: int, *, is_order: bool = False) -> Amend:
    what = (["unit", units], 0, f"amend:{id_}{revision}", 1, "ann", revision, is_order, ["unit", moves])
    return Amend(SALE, id_, *what, True, "")  # type: ignore[arg-type]


def test_an_amend_moves_the_difference_of_what_the_ledger_has_at_the_revision_before():
    counts = {(SALE, "unit"): Counts(stock=9, held=2, sold=2)}
    known, revisions = {(SALE, "a"): "held", (SALE, "b"): "confirmed"}, {(SALE, "b"): 3}
    run = of(
        amend("a", 1, 4, 2), amend("a", 2, 1, -3), amend("b", 4, 5, 3, is_order=True),
        amend("b", 4, 1, -1, is_order=True), amend("c", 1, 1, 1), hold("d"), amend("d", 1, 1, -1),
    )  # fmt: skip
    accepted, refused = admit(run, counts, known, revisions)
    assert len(accepted) == 5
    assert [r.reason for r in refused] == [
        "the ledger has it amended 4 times",
        "the ledger has no such hold, or it has ended there",
    ]
    assert counts[SALE, "unit"] == Counts(stock=9, held=2, sold=5)


def test_what_follows_a_refused_amend_is_refused_too():
    counts = {(SALE, "unit"): Counts(stock=4, held=2, sold=0)}
    known = {(SALE, "a"): "held", (SALE, "b"): "held"}
    run = of(
        amend("a", 1, 5, 3), amend("a", 2, 1, -4), end(Confirm, "a"), amend("b", 1, 6, 4), end(Expire, "b")
    )
    accepted, refused = admit(run, counts, known, {})
    assert accepted == []
    assert [type(r.transition) for r in refused] == [Amend, Amend, Confirm, Amend]
    assert counts[SALE, "unit"] == Counts(stock=4, held=2, sold=0)


def test_what_is_about_another_basket_than_the_ledger_has_is_refused():
    """Memory lost the key of a hold and granted it again: what comes then is about that basket."""
    other, ids = ["unit", 1], ["a", "b", "c", "d"]
    ends = [Confirm(SALE, "a", other, 0), Release(SALE, "b", other, 0), Expire(SALE, "c", other, 0)]  # type: ignore[arg-type]
    run = of(*(hold(id_, other) for id_ in ids), *ends, amend("d", 1, 3, 2), end(Release, "d"))
    counts = {(SALE, "unit"): Counts(stock=20, held=8, sold=0)}
    known, takes = {(SALE, id_): "held" for id_ in ids}, {(SALE, id_): {"unit": 2} for id_ in ids}
    accepted, refused = admit(run, counts, known, {}, takes)
    assert accepted == []
    assert [type(r.transition) for r in refused] == [*[Hold] * 4, Confirm, Release, Amend, Release]
    assert {r.reason for r in refused[4:7]} == {"the ledger has it with another basket"}
    assert counts[SALE, "unit"] == Counts(stock=20, held=8, sold=0)


def late(id_: str, revision: int = 0) -> LateConfirm:
    details = {"revision": revision} if revision else None
    return LateConfirm(SALE, id_, LINES, 0, 0, "ann", 1000, 0, details)  # type: ignore[arg-type]


def test_a_late_confirm_needs_a_hold_that_expired_as_the_receipt_has_it():
    counts = {(SALE, "unit"): Counts(stock=9, held=2, sold=2)}
    known = {(SALE, id_): status for id_, status in (("a", "held"), ("b", "confirmed"), ("c", "released"))}
    expired: dict[tuple[str, str], str] = dict.fromkeys([(SALE, "d"), (SALE, "e")], "expired")
    run = [late(id_) for id_ in "abcd"] + [late("d", 1), late("d", 1), late("e"), late("f")]
    accepted, refused = admit(of(*run), counts, known | expired, {(SALE, "d"): 1})
    assert accepted == [late("d", 1), late("e")]
    assert [r.transition.id for r in refused] == ["a", "b", "c", "d", "d", "f"]  # type: ignore[union-attr]
    assert refused[3].reason == "the ledger has it amended 1 times"
    assert refused[5].reason == "the ledger has 1 of unit left"
    assert counts[SALE, "unit"] == Counts(stock=9, held=2, sold=6)


def test_a_late_confirm_is_written_after_what_became_of_its_hold():
    """In its own group the ledger sees whether the hold expired; the counters move once, by all of them."""
    before = [hold("a"), end(Confirm, "a"), end(Release, "a"), end(Expire, "a"), late("a")]
    for transition, sold in zip(before, (2, 4, 2, 2, 4), strict=True):
        first, second = groups_of([transition, late("a")])
        assert second.late_confirms == {(SALE, "a"): late("a")}
        assert (first.items[SALE, "unit"].sold, second.items) == (sold, {})


def test_a_basket_is_that_of_the_last_amend_whatever_its_order():
    counts = {(SALE, "unit"): Counts(stock=9, held=2, sold=0), (SALE, "hat"): Counts(stock=9, held=1, sold=0)}
    takes = {(SALE, "a"): {"unit": 2, "hat": 1}}
    more = Amend(SALE, "a", ["hat", 1, "unit", 3], 0, "k", 1, "ann", 1, False, ["unit", 1], True, "")  # type: ignore[arg-type]
    sold = Confirm(SALE, "a", ["unit", 3, "hat", 1], 0)  # type: ignore[arg-type]
    assert admit(of(more, sold), counts, {(SALE, "a"): "held"}, {}, takes) == ([more, sold], [])
    assert counts[SALE, "unit"] == Counts(stock=9, held=0, sold=3)


def test_units_of_an_amended_order_that_are_not_restocked_leave_the_stock():
    counts = {(SALE, "unit"): Counts(stock=9, held=0, sold=4)}
    gone = msgspec.structs.replace(amend("a", 1, 1, -3, is_order=True), restock=False)
    assert admit(of(gone), counts, {(SALE, "a"): "confirmed"}) == ([gone], [])
    assert counts[SALE, "unit"] == Counts(stock=6, held=0, sold=1)


def test_a_unit_that_came_back_can_be_granted_again():
    counts = {(SALE, "unit"): Counts(stock=2, held=0, sold=0)}
    run = of(hold("a"), end(Release, "a"), hold("b"), end(Expire, "b"), buy("c"))
    accepted, refused = admit(run, counts, {})
    assert (len(accepted), refused) == (5, [])
    assert counts[SALE, "unit"] == Counts(stock=2, held=0, sold=2)


def test_an_id_that_the_ledger_has_is_not_granted_twice():
    counts = {(SALE, "unit"): Counts(stock=10, held=0, sold=2)}
    _, [refused] = admit(of(buy("a")), counts, {(SALE, "a"): "confirmed"})
    assert refused.reason == "this id is taken in the ledger"
    assert counts[SALE, "unit"].sold == 2


@pytest.mark.parametrize("one", [hold("a", ["ghost", 1]), buy("a"), restock(1)])
def test_nothing_of_an_item_that_the_ledger_does_not_have_is_dropped(one):
    with pytest.raises(Unreplayable, match="the ledger has no item"):
        admit(of(one), {}, {})


@pytest.mark.parametrize("status", [None, "released", "expired", "confirmed"])
def test_what_is_not_held_in_the_ledger_can_not_be_ended_there(status):
    known = {} if status is None else {(SALE, "a"): status}
    counts = {(SALE, "unit"): Counts(stock=2, held=0, sold=0)}
    extend = Extend(SALE, "a", [], 0, 1, "", 5)  # type: ignore[arg-type]
    run = of(end(Confirm, "a"), end(Release, "a"), end(Expire, "a"), extend)
    accepted, refused = admit(run, counts, known)
    assert accepted == []
    ends = [type(refusal.transition) for refusal in refused]
    assert ends == [Confirm, Release]  # their askers wait for an answer
    assert counts[SALE, "unit"] == Counts(stock=2, held=0, sold=0)


def test_a_live_hold_is_extended_and_confirmed_once():
    counts = {(SALE, "unit"): Counts(stock=2, held=2, sold=0)}
    extend = Extend(SALE, "a", [], 0, 1, "", 5)  # type: ignore[arg-type]
    run = of(extend, end(Confirm, "a"), end(Confirm, "a"))
    accepted, refused = admit(run, counts, {(SALE, "a"): "held"})
    assert accepted == [extend, end(Confirm, "a")]
    assert [refusal.transition for refusal in refused] == [end(Confirm, "a")]
    assert counts[SALE, "unit"] == Counts(stock=2, held=0, sold=2)


def test_stock_goes_up_and_never_below_what_is_taken():
    counts = {(SALE, "unit"): Counts(stock=3, held=1, sold=1)}
    up, down, most = restock(2), restock(-4), restock(-3)
    accepted, refused = admit(of(up, down, most, Rebuilt("", "new", [], 0)), counts, {})
    assert [t for t in accepted if isinstance(t, Restock)] == [up, most]
    assert [refusal.transition for refusal in refused] == [down]
    assert counts[SALE, "unit"].stock == 2


@pytest.mark.parametrize("lines", [["unit"], ["unit", 1.5], ["unit", True], [1, 1], [], ["unit", None]])
def test_lines_that_can_not_be_read_are_refused_and_stop_nothing_else(lines):
    counts = {(SALE, "unit"): Counts(stock=2, held=0, sold=0)}
    accepted, [refused] = admit(of(hold("a", lines), buy("b")), counts, {})
    assert [t.id for t in accepted] == ["b"]  # type: ignore[union-attr]
    assert "can't be read" in refused.reason
