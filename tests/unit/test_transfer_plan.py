"""Which units move between the shards of a spread sale, so that each has what its buyers want."""

from hypothesis import given
from hypothesis import strategies as st

from flashguard.model.shards import plan

shards = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=6)


@given(shards, st.booleans())
def test_every_need_is_met_while_there_are_units(both: list[tuple[int, int]], exact: bool) -> None:
    available, needed = [each for each, _ in both], [each for _, each in both]
    while sum(needed) > sum(available):
        needed[needed.index(max(needed))] -= 1
    have = list(available)
    for donor, home, units in plan(available, needed, exact=exact):
        assert units > 0
        have[donor] -= units
        have[home] += units
    assert all(units >= need for units, need in zip(have, needed, strict=True))
    if exact:
        assert all(
            units <= max(need, before) for units, need, before in zip(have, needed, available, strict=True)
        )


def test_half_of_a_donors_units_are_moved_where_no_other_shard_needs_them() -> None:
    assert plan([10, 0, 0], [0, 3, 0]) == [(0, 1, 5)]
    assert plan([10, 0, 0], [0, 3, 7]) == [(0, 1, 3), (0, 2, 7)]
    assert plan([10, 0, 0], [0, 3, 6]) == [(0, 1, 4), (0, 2, 6)]
    assert plan([10, 0, 0], [0, 3, 0], exact=True) == [(0, 1, 3)]
