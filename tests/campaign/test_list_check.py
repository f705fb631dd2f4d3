"""What the checker must see in rounds with a waiting list, a hold budget or a cool-down."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.campaign.history import Ask, Counters, Entry, History, Ledger, Row, Told
from tests.campaign.holders import Holders
from tests.campaign.list_check import IdleUnits, bound_seconds, check_list, waiting_for_free
from tests.campaign.operations import decide, failures
from tests.campaign.plan import plan

ONE = (("a", 1),)
TIMES_S = 1000.0
"""The clients' clock at 0 ms of Valkey's."""


def test_about_half_of_the_rounds_have_a_list_and_half_have_hold_rules() -> None:
    rounds = [plan("x", number) for number in range(400)]
    with_list = [each for each in rounds if each.waiting_list]
    assert 160 < len(with_list) < 240
    assert {each.spread for each in with_list} == {1, 2, 3, 4}
    assert {each.goods for each in with_list} == {"plain", "pools", "locations"}
    assert 160 < sum(each.max_held is not None for each in rounds) < 240
    assert all((each.max_held is None) == (each.cool_down_after is None) for each in rounds)
    assert any(each.max_held and each.card_limit for each in rounds)


@dataclass
class Crowd:
    """A round in which `ann` held the only unit and let go, `bob` was offered it, and `cem` waits for two."""

    history: History = field(default_factory=lambda: History("s", None, {"a": 1}, waiting_list=True))
    rows: list[Row] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    asks: dict[str, Ask] = field(default_factory=dict)
    free: int = 1
    rebuilt_ms: int = 0

    def told(self, verb: str, id_: str, customer: str, word: str, at_ms: int, units: int = 1) -> None:
        about = f"s.{id_}" if verb not in ("hold", "buy", "join") else ""
        ask = Ask(f"{verb}-{id_}", verb, customer, () if about else (("a", units),), about)
        if not about:
            self.asks[id_] = ask
        at = TIMES_S + at_ms / 1000
        told = Told(ask, at - 0.01, at + 0.01, word, 200, "" if about else f"s.{id_}")
        self.history.told.append(told)

    def held(self, id_: str, customer: str, from_ms: int, to_ms: int, status: str, units: int = 1) -> None:
        self.rows.append(Row(id_, customer, status, (("a", units),), "s", (), from_ms, to_ms, 1000))

    def waited(
        self, id_: str, customer: str, from_ms: int, to_ms: int, state: str, units: int = 1, place: int = 0
    ) -> None:
        place = place or len(self.entries) + 1
        self.entries.append(Entry(id_, customer, "a", units, state, place, from_ms, to_ms, "s"))

    @property
    def ledger(self) -> Ledger:
        items = {"a": Counters(1, 1 - self.free, 0)}
        return Ledger(
            tuple(self.rows), items, items, (), entries=tuple(self.entries), now_ms=9_000,
            rebuilt_ms=self.rebuilt_ms,
        )  # fmt: skip

    def promises(self) -> set[str]:
        return {promise for promise, _ in check_list(self.history, self.ledger, self.asks)}

    def holds(self, *, since_ms: int = 0) -> set[str]:
        holders = Holders(self.history, self.ledger, self.asks)
        return {promise for promise, _ in holders.violations(since_ms=since_ms)}


@pytest.fixture
def crowd() -> Crowd:
    crowd = Crowd()
    crowd.told("hold", "h", "ann", "held", 100)
    crowd.held("h", "ann", 100, 500, "released")
    crowd.told("join", "b", "bob", "waiting", 200)
    crowd.waited("b", "bob", 200, 500, "offered")
    crowd.held("b", "bob", 500, 1500, "expired")
    crowd.told("join", "c", "cem", "waiting", 300, units=2)
    crowd.waited("c", "cem", 300, 0, "waiting", units=2)
    return crowd


def test_a_good_round_with_a_list_breaks_nothing(crowd: Crowd) -> None:
    assert crowd.promises() == crowd.holds() == set()


def _leave(crowd: Crowd) -> None:
    crowd.told("leave", "c", "cem", "left", 2_000)


def _another_unit(crowd: Crowd) -> None:
    crowd.told("join", "d", "dee", "waiting", 250)
    crowd.waited("d", "dee", 250, 0, "waiting", place=9)
    crowd.told("buy", "x", "eve", "confirmed", 1_600)
    crowd.rows.append(Row("x", "eve", "confirmed", ONE, "s", (), 1_600))


def _overtaken(crowd: Crowd) -> None:
    crowd.told("join", "d", "dee", "waiting", 150)
    crowd.waited("d", "dee", 150, 0, "waiting", place=0)
    crowd.entries[-1] = Entry("d", "dee", "a", 1, "waiting", 0, 150, 0, "s")


BREAKS: dict[str, tuple[str, Callable[[Crowd], object]]] = {
    "a place that the ledger does not have": ("lost place", lambda crowd: crowd.entries.pop()),
    "a place that was left and waits": ("lost place", _leave),
    "an entry that nobody asked for": ("doubled", lambda crowd: crowd.waited("x", "eve", 1, 2, "left")),
    "an entry of another customer": ("doubled", lambda crowd: crowd.asks.update(c=crowd.asks["b"])),
    "an offer without a hold": ("served wrongly", lambda crowd: crowd.rows.pop()),
    "a hold for an entry that waits": (
        "served wrongly",
        lambda crowd: crowd.held("c", "cem", 1500, 0, "held", 2),
    ),
    "a customer who waits twice": ("waits twice", lambda crowd: crowd.waited("e", "cem", 400, 0, "waiting")),
    "a buyer who went past the list": ("out of turn", _another_unit),
    "an entry that was served before its turn": ("out of turn", _overtaken),
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_checker_sees(name: str, crowd: Crowd) -> None:
    promise, spoil = BREAKS[name]
    spoil(crowd)
    assert promise in crowd.promises()


def test_a_buyer_may_go_past_an_entry_whose_customer_may_not_hold(crowd: Crowd) -> None:
    _another_unit(crowd)
    crowd.history.limit = 1
    crowd.told("buy", "y", "dee", "confirmed", 100)
    crowd.rows.append(Row("y", "dee", "confirmed", ONE, "s", (), 100))
    assert crowd.promises() == set()


def test_a_buyer_who_took_the_limit_of_an_entry_s_customer_went_past_it(crowd: Crowd) -> None:
    _another_unit(crowd)
    crowd.history.limit = 1
    crowd.asks["x"] = Ask("buy-x", "buy", "dee", ONE)
    crowd.rows[-1] = Row("x", "dee", "confirmed", ONE, "s", (), 1_600)
    assert "out of turn" in crowd.promises()


def test_what_the_same_millisecond_granted_may_have_put_an_entry_off(crowd: Crowd) -> None:
    _another_unit(crowd)
    crowd.history.limit = 1
    crowd.told("buy", "y", "dee", "confirmed", 1_600)
    crowd.rows.append(Row("y", "dee", "confirmed", ONE, "s", (), 1_600))
    assert ("out of turn", "x") not in {
        (promise, text.split("'")[1]) for promise, text in check_list(crowd.history, crowd.ledger, crowd.asks)
    }


def test_a_hold_beyond_the_budget_is_seen_unless_an_empty_memory_granted_it(crowd: Crowd) -> None:
    crowd.history.max_held = 2
    crowd.told("hold", "h2", "ann", "held", 400)
    crowd.held("h2", "ann", 400, 1400, "expired", 1)
    assert crowd.holds() == set()
    crowd.told("hold", "h3", "ann", "held", 450)
    crowd.held("h3", "ann", 450, 1450, "expired", 1)
    assert crowd.holds() == {"hold budget exceeded"}
    assert crowd.holds(since_ms=450) == set()


def test_an_offer_counts_for_the_budget_and_an_order_does_not(crowd: Crowd) -> None:
    crowd.history.max_held = 1
    crowd.rows.append(Row("y", "bob", "confirmed", ONE, "s", (), 100))
    crowd.asks["y"] = Ask("y", "buy", "bob", ONE)
    assert crowd.holds() == set()
    crowd.told("hold", "h2", "bob", "held", 600)
    crowd.held("h2", "bob", 600, 700, "confirmed")
    assert crowd.holds() == {"hold budget exceeded"}


@pytest.mark.parametrize("by_card", [False, True])
def test_a_hold_in_a_cool_down_is_seen_by_customer_and_by_card(crowd: Crowd, by_card: bool) -> None:
    crowd.history.cool_down_ms, crowd.history.cool_down_after, crowd.history.cards_hold = 1000, 1, by_card
    crowd.told("hold", "h2", "eve" if by_card else "ann", "held", 1_499)
    crowd.held("h2", "eve" if by_card else "ann", 1_499, 2_499, "expired")
    for id_ in ("h", "h2") if by_card else ():
        ask = crowd.asks[id_]
        crowd.asks[id_] = Ask(ask.key, ask.verb, ask.customer, ask.lines, card="card")
    assert crowd.holds() == {"cool-down broken"}
    crowd.history.cards_hold = False
    assert crowd.holds() == (set() if by_card else {"cool-down broken"})
    crowd.history.cards_hold, crowd.history.cool_down_ms = by_card, 999
    assert crowd.holds() == set()


def test_a_unit_that_idles_beside_an_entry_is_seen_after_the_bound(crowd: Crowd) -> None:
    assert waiting_for_free(crowd.history, crowd.ledger, crowd.asks) == {}
    crowd.told("join", "d", "dee", "waiting", 400)
    crowd.waited("d", "dee", 400, 0, "waiting")
    fitting = waiting_for_free(crowd.history, crowd.ledger, crowd.asks)
    assert fitting.keys() == {"d"}
    idle = IdleUnits(bound_seconds(crowd.history, 1))
    for now in (0.0, 1.0, 2.0):
        idle.look(now, fitting)
    assert list(idle.violations()) == []
    idle.look(2.1, {})
    idle.look(2.2, fitting)
    assert list(idle.violations()) == []
    idle.look(4.3, fitting)
    assert [promise for promise, _ in idle.violations()] == ["left waiting"]
    assert bound_seconds(crowd.history, 2) == bound_seconds(crowd.history, 1) + 5


def test_a_budget_that_was_refused_below_its_number_is_no_sequential_sale() -> None:
    history = History("s", None, {"a": 9}, hold_seconds=9.0, max_held=2)
    asks = [Ask(f"h{n}", "hold", "ann", ONE) for n in range(2)]
    history.told = [Told(asks[0], 0.0, 1.0, "held", 201, "s.h0", expires_in=9.0)]
    refused = Told(asks[1], 2.0, 3.0, "hold-budget-reached", 409)
    confirm = Told(Ask("c", "confirm", "ann", about="s.h0"), 4.0, 5.0, "confirmed", 200)
    history.told += [refused, confirm]
    counters = {"a": Counters(9, 0, 1)}
    ledger = Ledger((Row("h0", "ann", "confirmed", ONE),), counters, counters, ())
    assert list(failures(decide(history, ledger, lambda key: key)))
    history.max_held = 1
    assert not list(failures(decide(history, ledger, lambda key: key)))
    history.told = [history.told[0], confirm, Told(asks[1], 6.0, 7.0, "hold-budget-reached", 409)]
    assert list(failures(decide(history, ledger, lambda key: key))), "an order does not count"


def test_an_offer_is_a_grant_between_its_joining_and_its_sight() -> None:
    history = History("s", None, {"a": 1}, hold_seconds=1.0, waiting_list=True)
    hold, join = Ask("h", "hold", "ann", ONE), Ask("j", "join", "bob", ONE)
    history.told = [
        Told(hold, 0.0, 0.1, "held", 201, "s.h", expires_in=1.0),
        Told(join, 0.2, 0.3, "waiting", 201, "s.j"),
        Told(Ask("r", "release", "ann", about="s.h"), 0.4, 0.5, "released", 200),
        Told(Ask("s", "see", "bob", about="s.j"), 0.6, 0.7, "offered", 200, "s.j", expires_in=0.9),
        Told(Ask("c", "confirm", "bob", about="s.j"), 0.8, 0.9, "confirmed", 200),
    ]
    counters = {"a": Counters(1, 0, 1)}
    rows = (Row("h", "ann", "released", ONE), Row("j", "bob", "confirmed", ONE))
    ledger = Ledger(rows, counters, counters, ())
    assert not list(failures(decide(history, ledger, lambda key: key)))
    history.told[2] = Told(Ask("r", "release", "ann", about="s.h"), 1.4, 1.5, "released", 200)
    assert list(failures(decide(history, ledger, lambda key: key))), "it was offered a unit that was held"
