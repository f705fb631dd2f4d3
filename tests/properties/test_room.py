"""The waiting room's rules on a real server, under a clock of the test's own, whatever buyers do."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from flashguard.kernel import kernel as kernel_module
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb, script_source
from flashguard.model import RoomMode, SaleId, WaitingRoom
from flashguard.model.lottery import number
from flashguard.model.room import room_rules
from flashguard.recorder.load import more_keys
from tests.properties.memory import Wire, memory_server

SALE = SaleId("crowd")
SEED = "5e" * 32
OPENS_MS = 1_800_000_000_000
"""A time of our days: a place by time is above every number of a lottery."""


@pytest.fixture(scope="module")
def valkey() -> Iterator[Wire]:
    with memory_server("valkey") as started:
        yield started


class Crowd:
    """A sale with a room, and what those in it were told."""

    def __init__(self, wire: Wire, kernel: Kernel, room: WaitingRoom, stock: int) -> None:
        self.room, self.stock, self.sold = room, stock, 0
        self._wire, self._kernel = wire, kernel
        self.places: dict[str, float] = {}
        """Of everybody who waits, as told."""
        self.inside: dict[str, int] = {}
        self.admitted = 0
        self._people = self._buys = 0
        kernel.clock_ms = OPENS_MS - 500
        wire.ask("FLUSHALL")
        self._run(Verb.FENCE, [], ["1"])
        self._run(Verb.UNFENCE, [], ["1", "t", "w", 0])
        config = ["scheduled", OPENS_MS, 0, 60_000, 600_000, 0, "", room_rules(room, opened=False)]
        items = ["item:unit", f"{stock} 0 0"]
        load = ("new", "", config, items, [], [], [])
        assert self._run(Verb.LOAD, [SALE], load, more_keys(0, SALE)) == ["loaded"]

    def _run(self, verb: Verb, sales: Any, requests: Any, more: Any = ()) -> list[Any]:
        reply = self._wire.run(self._kernel.run(verb, 0, sales, requests, more_keys=more))
        assert reply.status == ""
        return reply.results

    @property
    def now_ms(self) -> int:
        return self._kernel.clock_ms

    def later(self, ms: int) -> None:
        self._kernel.clock_ms += ms

    def take(self, _: int) -> None:
        """Somebody new comes."""
        self._people += 1
        id_ = f"ticket{self._people:010}"
        [result] = self._run(Verb.ISSUE_TICKET, [SALE], [(0, id_, number(SEED, id_), [], "", 0, id_)])
        known, _epoch, *standing = result
        assert known is False
        if self.room.mode is RoomMode.LOTTERY and self.now_ms < OPENS_MS:
            assert standing[1] == number(SEED, id_), "its number is its place"
        elif standing[0] == "waiting":
            assert standing[1] > max(self.places.values(), default=0), "behind everybody"
        self._hear(id_, standing)

    def look(self, which: int) -> None:
        everybody = [*self.places, *self.inside]
        if everybody:
            id_ = everybody[which % len(everybody)]
            [standing] = self._run(Verb.POLL_TICKET, [SALE], [(0, id_)])
            self._hear(id_, standing)

    def leave(self, which: int) -> None:
        everybody = [*self.places, *self.inside]
        if everybody:
            id_ = everybody[which % len(everybody)]
            self.look(which)
            self._run(Verb.LEAVE_ROOM, [SALE], [(0, id_, 0)])
            self.places.pop(id_, None)
            self.inside.pop(id_, None)
            self._compare()

    def buy(self, which: int) -> None:
        """Somebody who is in buys a unit, and makes room."""
        ready = [id_ for id_, until in self.inside.items() if until > self.now_ms]
        if ready:
            id_ = ready[which % len(ready)]
            self._buys += 1
            request = (0, f"b{self._buys}", 1, id_, ["unit", 1], True, self.inside[id_])
            [result] = self._run(Verb.RESERVE, [SALE], [request])
            assert result[0] == "confirmed", "a unit was there for everybody who was let in"
            self.sold += 1
            self._run(Verb.LEAVE_ROOM, [SALE], [(0, id_, 1)])
            del self.inside[id_]
            self._compare()

    def beat(self, _: int) -> None:
        """The recorder's, while nobody polls."""
        self._run(Verb.EXPIRE, [SALE], [(0,)])
        self._compare()

    def wait(self, which: int) -> None:
        self.later((1, 100, 500, 1_000, 5_000, 20_000, 70_000)[which % 7])

    def _hear(self, id_: str, standing: list[Any]) -> None:
        if standing[0] == "admitted":
            self._compare()
            self.inside[id_] = int(standing[1])
            assert id_ not in self.places
        elif standing[0] == "waiting":
            place, position = standing[1], standing[2]
            assert self.places.setdefault(id_, place) == place, "a place never changes"
            self._compare()
            if position:
                assert position == sorted(self.places.values()).index(place) + 1
        else:
            assert standing == ["unknown-ticket"]
            assert id_ in self.inside, "only a turn ends by itself"
            del self.inside[id_]
            self._compare()

    def _compare(self) -> None:
        """What memory has, beside what was told."""
        names = keys.room(0, SALE)
        raw, active, born = self._wire.ask_all([
            ("ZRANGE", names.waiting, 0, -1, "WITHSCORES"),
            ("ZRANGE", names.active, 0, -1, "WITHSCORES"),
            ("HMGET", names.room, "admitted", "free"),
        ])  # fmt: skip
        waiting = {name.decode(): float(score) for name, score in zip(raw[::2], raw[1::2], strict=True)}
        turns = {name.decode(): float(score) for name, score in zip(active[::2], active[1::2], strict=True)}
        admitted = int(born[0] or 0)
        gone = [id_ for id_ in self.places if id_ not in waiting]
        assert waiting.items() <= self.places.items()
        kept = [place for id_, place in self.places.items() if id_ in waiting]
        assert not gone or not kept or max(self.places[id_] for id_ in gone) < min(kept), "in order"
        assert len(gone) == admitted - self.admitted, "whoever is not waiting any more was let in"
        for id_ in gone:
            self.inside.setdefault(id_, 0)
            del self.places[id_]
        self.admitted = admitted
        for id_ in [id_ for id_ in self.inside if id_ not in turns]:
            del self.inside[id_]
        assert set(turns) <= set(self.inside)
        assert len(turns) <= self.room.max_active
        live = [until for until in turns.values() if until > self.now_ms]
        assert len(live) == len(turns) or not (waiting or gone), "a turn that is over is given on"
        assert len(live) <= self.stock - self.sold, "never more inside than units"
        if self.now_ms < OPENS_MS:
            assert admitted == 0
        else:
            rate = self.room.admit_per_second
            assert admitted <= max(1.0, rate) + rate * (self.now_ms - OPENS_MS) / 1000

    def drains(self) -> None:
        """The recorder's beat is enough: all are let in, while there are units."""
        self.later(max(0, OPENS_MS - self.now_ms))
        for _ in range(200):
            if not self.places or self.sold >= self.stock:
                break
            self.later(int(1000 / self.room.admit_per_second) + 100)
            self.beat(0)
            for n in range(len(self.inside)):
                self.look(len(self.places) + n)
            self.buy(0)
        assert not self.places or self.sold >= self.stock


rooms = st.builds(
    WaitingRoom,
    mode=st.sampled_from(RoomMode),
    admit_per_second=st.sampled_from([0.5, 1.0, 3.0, 100.0]),
    max_active=st.sampled_from([1, 2, 5, 100]),
    session_seconds=st.sampled_from([10, 60]),
)
steps = st.tuples(
    st.sampled_from(["take"] * 4 + ["look", "beat"] * 2 + ["leave", "buy", "buy", "wait", "wait"]),
    st.integers(0, 50),
)


CREDIT = WaitingRoom(mode=RoomMode.FIFO, admit_per_second=1.0, max_active=100, session_seconds=60)
LOOKED_AT_OFTEN = [("take", 0)] * 12 + [("wait", 2)] + [("look", 11), ("wait", 2)] * 10
"""Twelve who come before the opening, of whom one polls twice a second."""
NO_ONE_IS_NEXT = [("wait", 6), ("take", 0), ("wait", 6), ("beat", 0)]
"""A turn is over, and the recorder's beat finds no one to give it to."""


def try_crowds(valkey: Wire, how: settings) -> None:
    kernel = Kernel(valkey)  # type: ignore[arg-type]
    valkey.run(kernel.load_scripts())

    @how
    @example(CREDIT, 1, NO_ONE_IS_NEXT)
    @example(CREDIT, 12, LOOKED_AT_OFTEN)  # by chance, the pace is met with too few who wait
    @given(rooms, st.integers(1, 12), st.lists(steps, max_size=40))
    def every_crowd(room: WaitingRoom, stock: int, doings: list[tuple[str, int]]) -> None:
        crowd = Crowd(valkey, kernel, room, stock)
        for what, which in doings:
            getattr(crowd, what)(which)
        crowd.drains()

    every_crowd()


MANY = settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_whatever_buyers_do_they_are_let_in_in_order_at_the_pace_and_never_more_than_units(
    valkey: Wire,
) -> None:
    try_crowds(valkey, MANY)


BROKEN = {
    "who came last is first": ("ZPOPMIN", "ZPOPMAX"),
    "the pace is not kept": ("math.min(credit, rule.most", "math.min(1000, rule.most"),
    "more are in than may be": ("rule.most - active, units", "1000, units"),
    "more are in than there are units": ("units - active, admits_left", "admits_left"),
    "who was let in is kept in forever": ("'-inf', NOW)\n  count_stock", "'-inf', 0)\n  count_stock"),
    "what was let in is not taken from the credit": ("put(room, 'credit', credit - count)", ""),
    "nobody is let in by the beat": ("waiting_key) > 0 then room_of(sale) end", "waiting_key) > 0 then end"),
    "a lottery's tickets stand by time": ("drawing and number or place_by_time", "place_by_time"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_room_is_noticed(broken: str, valkey: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = BROKEN[broken]
    sources = {verb: script_source(verb) for verb in Verb}
    assert any(old in source for source in sources.values())
    monkeypatch.setattr(kernel_module, "script_source", lambda verb: sources[verb].replace(old, new))
    unshrunk = settings(
        MANY,
        phases=(Phase.explicit, Phase.generate),
        derandomize=True,
        report_multiple_bugs=False,
        print_blob=False,
    )
    with pytest.raises(AssertionError):
        try_crowds(valkey, unshrunk)
