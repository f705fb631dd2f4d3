"""The comparison of a spread room with one that is not, in a short form: it measures and ends by itself."""

import asyncio
import shutil

import pytest

from bench.spread_room import PARTS, Plan, measure

pytestmark = [
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed here"),
    pytest.mark.timeout(300),
]

SHORT = Plan(people=300, spread=3, seconds=1, turns=1, streams=10, admit_per_second=2)


def test_two_crowds_are_measured_beside_each_other():
    found = asyncio.run(measure(SHORT))
    assert set(found["cpu_ms_per_second_at_rest"]) == {"no room", "both rooms"}
    assert set(found["spread"]) == {"1", "3"}
    for rows in found["spread"].values():
        for what in ("join", "poll"):
            assert rows[what]["per_second"] > 0
            assert {f"{part}_cpu_us" for part in PARTS} < set(rows[what])
        assert 0 < rows["valkey_bytes_per_ticket"] < 5_000
        assert rows["polling"]["bytes_of_a_poll"] > 300
        assert rows["polling"]["poll_after_seconds"] >= 1
        assert (rows["listening"]["streams"], rows["listening"]["lost"]) == (SHORT.streams, 0)
