"""What the checker must see in rounds that sell from pools or locations, or with limits."""

from collections import Counter

import pytest

from tests.campaign.history import Ask, Counters, Row, Told
from tests.campaign.plan import plan
from tests.campaign.seen import Seen, seen

__all__ = ["seen"]


def test_more_than_half_of_the_rounds_sell_from_pools_or_locations() -> None:
    rounds = [plan("x", number) for number in range(400)]
    goods = Counter(each.goods for each in rounds)
    assert min(goods["pools"], goods["locations"]) > 120 > goods["plain"] > 40
    assert {each.spread for each in rounds if each.goods == "locations"} == {1}
    assert {each.spread for each in rounds if each.goods == "pools"} == {1, 2, 3, 4}
    assert {each.split for each in rounds if each.goods == "locations"} == {True, False}


def test_about_half_of_the_rounds_limit_an_item_and_unless_spread_a_card() -> None:
    rounds = [plan("x", number) for number in range(400)]
    limited = [each for each in rounds if each.item_limit is not None]
    assert 160 < len(limited) < 240
    assert {each.spread == 1 for each in limited} == {True, False}
    assert {each.number for each in rounds if each.card_limit} == {
        each.number for each in limited if each.spread == 1
    }
    assert all(each.cards <= each.customers for each in rounds)


@pytest.fixture
def drawn(seen: Seen) -> Seen:
    """The same round, and an order of two items that draw from one hall: it took 1 and 2 of its units."""
    seen.history.recipes = {"a": {"hall": 1}, "b": {"hall": 2}}
    seen.history.stock |= {"b": 3, "hall": 9}
    ask = Ask("two", "buy", "d", (("a", 1), ("b", 1)))
    seen.history.told.append(Told(ask, 9.0, 9.5, "confirmed", 201, "s.id-two"))
    seen.rows.append(Row("id-two", "d", "confirmed", (("a", 1), ("b", 1))))
    seen.items = {"a": Counters(3, 0, 2), "b": Counters(3, 0, 1), "hall": Counters(9, 0, 4)}
    return seen


def test_a_good_round_with_pools_breaks_nothing(drawn: Seen) -> None:
    assert drawn.promises() == set()


def test_a_pool_that_counts_one_of_two_lines_is_seen(drawn: Seen) -> None:
    drawn.items["hall"] = Counters(9, 0, 3)
    assert drawn.promises() == {"doubled"}


def test_overselling_of_a_pool_alone_is_seen(drawn: Seen) -> None:
    drawn.items["hall"] = Counters(3, 0, 4)
    assert "oversold" in drawn.promises()


@pytest.fixture
def located(seen: Seen) -> Seen:
    """The same round, and an order of two items at locations: one of them is picked up south."""
    seen.history.stock |= {"b": 5, "b\x1fnorth": 2, "b\x1fsouth": 3, "c": 4, "c\x1fnorth": 1, "c\x1fsouth": 3}
    ask = Ask("two", "buy", "d", (("b", 1), ("c", 1)), places=(("b", "south"),))
    at = (("b\x1fsouth", 1), ("c\x1fnorth", 1))
    seen.history.told.append(Told(ask, 9.0, 9.5, "confirmed", 201, "s.id-two", located=at))
    seen.rows.append(Row("id-two", "d", "confirmed", (("b", 1), ("c", 1)), located=at))
    seen.items |= {
        "b": Counters(5, 0, 1), "b\x1fnorth": Counters(2, 0, 0), "b\x1fsouth": Counters(3, 0, 1),
        "c": Counters(4, 0, 1), "c\x1fnorth": Counters(1, 0, 1), "c\x1fsouth": Counters(3, 0, 0),
    }  # fmt: skip
    return seen


def test_a_good_round_with_locations_breaks_nothing(located: Seen) -> None:
    assert located.promises() == set()


def test_a_location_that_did_not_count_an_order_is_seen(located: Seen) -> None:
    located.items["c\x1fnorth"] = Counters(1, 0, 0)
    assert located.promises() == {"doubled"}


def test_overselling_of_a_location_alone_is_seen(located: Seen) -> None:
    located.history.stock |= {"c": 3, "c\x1fnorth": 0}
    located.items |= {"c": Counters(3, 0, 1), "c\x1fnorth": Counters(0, 0, 1)}
    assert located.promises() == {"oversold"}


def test_a_location_that_memory_and_ledger_count_apart_is_seen(located: Seen) -> None:
    located.memory = located.items | {"c\x1fnorth": Counters(1, 0, 0), "c\x1fsouth": Counters(3, 0, 1)}
    assert located.promises() == {"leaked"}


def moved_to(located: Seen, *at: tuple[str, int]) -> None:
    """Have the ledger and all counters say that the order is there."""
    located.rows[-1] = Row("id-two", "d", "confirmed", located.rows[-1].lines, located=at)
    for counter in [name for name in located.items if "\x1f" in name]:
        stock = located.items[counter].stock
        located.items[counter] = Counters(stock, 0, dict(at).get(counter, 0))


def test_a_line_without_its_location_is_seen(located: Seen) -> None:
    moved_to(located, ("b\x1fsouth", 1))
    assert located.promises() == {"wrong location"}


def test_an_order_that_is_not_where_its_answer_said_is_seen(located: Seen) -> None:
    moved_to(located, ("b\x1fsouth", 1), ("c\x1fsouth", 1))
    assert located.promises() == {"wrong location"}


def test_a_line_that_is_not_where_it_is_picked_up_is_seen(located: Seen) -> None:
    moved_to(located, ("b\x1fnorth", 1), ("c\x1fnorth", 1))
    del located.history.told[-1]
    ask = Ask("two", "buy", "d", (("b", 1), ("c", 1)), places=(("b", "south"),))
    located.history.told.append(Told(ask, 9.0, 9.5, "confirmed", 201, "s.id-two"))
    assert located.promises() == {"wrong location"}


def test_a_split_basket_is_seen_where_the_sale_does_not_say_so(located: Seen) -> None:
    del located.history.told[-1]
    ask = Ask("two", "buy", "d", (("b", 1), ("c", 1)))
    located.history.told.append(Told(ask, 9.0, 9.5, "confirmed", 201, "s.id-two"))
    assert located.promises() == {"wrong location"}
    located.history.split = True
    assert located.promises() == set()


@pytest.fixture
def limited(seen: Seen) -> Seen:
    """The same round, and orders of two customers with one card: 2 units that have a limit of 2, and 3."""
    seen.history.limit, seen.history.item_limits = None, {"b": 2}
    seen.history.card_limit, seen.history.card_skus = 5, ("b", "c")
    seen.history.stock |= {"b": 9, "c": 9, "d": 9}
    for customer, lines in (("x", (("b", 2), ("d", 9))), ("y", (("c", 3),))):
        ask = Ask(customer, "buy", customer, lines, card="card")
        seen.history.told.append(Told(ask, 9.0, 9.5, "confirmed", 201, f"s.id-{customer}"))
        seen.rows.append(Row(f"id-{customer}", customer, "confirmed", lines))
    seen.items |= {"b": Counters(9, 0, 2), "c": Counters(9, 0, 3), "d": Counters(9, 0, 9)}
    return seen


def test_a_good_round_with_limits_breaks_nothing(limited: Seen) -> None:
    assert limited.promises() == set()


def test_an_item_s_own_limit_that_was_passed_is_seen(limited: Seen) -> None:
    limited.history.item_limits = {"b": 1}
    assert limited.promises(memory_forgets=True) == {"limit exceeded"}


def test_a_limit_by_card_that_two_customers_passed_together_is_seen(limited: Seen) -> None:
    limited.history.card_limit = 4
    assert limited.promises(memory_forgets=True) == {"limit exceeded"}


@pytest.mark.parametrize("verb", ["amend", "part"])
def test_a_change_of_an_order_counts_for_its_card(limited: Seen, verb: str) -> None:
    lines = (("c", 4),) if verb == "amend" else (("c", 1),)
    ask = Ask("change", verb, "y", lines, "s.id-y")
    limited.history.told.append(Told(ask, 10.0, 10.5, "confirmed", 200, "s.id-y"))
    units = 4 if verb == "amend" else 2
    limited.rows[-1] = Row("id-y", "y", "confirmed", (("c", units),))
    limited.items["c"] = Counters(9, 0, units)
    assert limited.promises() == ({"limit exceeded"} if verb == "amend" else set())
    limited.history.card_limit = 6 if verb == "amend" else 4
    assert limited.promises() == set()


def test_a_restock_of_another_location_is_seen(located: Seen) -> None:
    ask = Ask("more", "restock", lines=(("c", 2),), places=(("c", "north"),))
    located.history.told.append(Told(ask, 10.0, 10.5, "restocked", 200))
    located.restocks = [("restock:more", "c\x1fnorth", 2)]
    located.items |= {"c": Counters(6, 0, 1), "c\x1fnorth": Counters(3, 0, 1)}
    assert located.promises() == set()
    located.restocks = [("restock:more", "c\x1fsouth", 2)]
    located.items |= {"c\x1fnorth": Counters(1, 0, 1), "c\x1fsouth": Counters(5, 0, 0)}
    assert located.promises() == {"doubled"}
