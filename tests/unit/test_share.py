"""Who records what: everybody works out the same, nobody is left out, and few partitions move."""

import pytest

from flashguard.recorder.shares import DEAD_SECONDS, MISSED_SECONDS, Roll, share


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 20])
def test_every_partition_has_exactly_one_recorder_and_nobody_more_than_an_even_share(count):
    names = [f"host:{number}" for number in range(count)]
    shares = [share(reversed(names), name, 16) for name in names]
    assert sorted(number for mine in shares for number in mine) == list(range(16))
    assert max(map(len, shares)) <= -(-16 // count)


def test_who_is_not_there_gets_nothing():
    assert share(["a", "b"], "c", 16) == frozenset()
    assert share([], "a", 16) == frozenset()


def test_what_stays_mostly_stays_where_it_was():
    before = {name: share(["a", "b", "c", "d"], name, 64) for name in "abcd"}
    after = {name: share(["a", "b", "c"], name, 64) for name in "abc"}
    moved = sum(len(before[name] - after[name]) for name in "abc")
    assert moved <= 16  # beside those of the one that left


def test_one_that_is_silent_for_a_moment_stays_and_one_that_says_it_leaves_is_gone_at_once():
    roll = Roll()
    assert roll.note({"a": 0.1, "b": 0.4}, now=10.0) == ["a", "b"]
    assert roll.note({"a": 0.1, "b": DEAD_SECONDS - 0.1}, now=11.0) == ["a", "b"]
    assert roll.note({"a": 0.1, "b": DEAD_SECONDS + 0.1}, now=12.0) == ["a"]
    assert roll.note({"a": 0.1, "b": 0.1}, now=13.0) == ["a", "b"]
    assert roll.note({"a": 0.1, "b": -1.0}, now=13.1) == ["a"]


def test_a_memory_that_has_just_forgotten_everybody_is_not_believed_at_once():
    roll = Roll()
    assert roll.note({"a": 0.1, "b": 0.1}, now=10.0) == ["a", "b"]
    assert roll.note({"a": 0.0}, now=10.3) == ["a", "b"]
    assert roll.note({"a": 0.0}, now=10.0 + MISSED_SECONDS + 0.1) == ["a"]
