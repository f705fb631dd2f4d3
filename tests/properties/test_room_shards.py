"""The waiting room of a spread sale, and one that several sales share, on a real server, under a clock of the
test's own: whatever buyers do, and whatever is lost, late, repeated or done by two recorders at once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from flashguard.kernel import kernel as kernel_module
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import Result, read_result
from flashguard.kernel.room_results import LetIn
from flashguard.kernel.verbs import Verb, script_source
from flashguard.model import Admission, RoomMode, SaleId, WaitingRoom
from flashguard.model.lottery import number
from flashguard.model.room import guest_rules, room_rules
from flashguard.model.shards import shard_ids, shard_number
from flashguard.recorder.admission import beat
from flashguard.recorder.load import more_keys
from tests.properties.memory import Wire, memory_server

SALE = SaleId("crowd")
SHARDS = 3
SEED = "5e" * 32
OPENS_MS = 1_800_000_000_000
HAZARDS = ("report", "grant", "let-in", "repeat", "late")
"""What of a beat goes wrong at one shard: its report, the grant or its let-in is lost, or its let-in comes
twice, or after the next beat. Or the guests do not tell their units."""


@pytest.fixture(scope="module")
def valkey() -> Iterator[Wire]:
    with memory_server("valkey") as started:
        yield started


class Crowd:
    """A sale with a room, on a partition per shard, the guests of the room, on one each, and what those in it
    were told.

    Parameters:
        guests: the stock of each.
    """

    def __init__(
        self, wire: Wire, kernel: Kernel, room: WaitingRoom, stock: int, shards: int, guests: Sequence[int]
    ) -> None:
        self.room, self.stock, self.sold, self.shards = room, stock + sum(guests), 0, shards
        self.guests = {SaleId(f"guest-{n}"): shards + n for n in range(len(guests))}
        self._wire, self._kernel = wire, kernel
        self.homes: dict[str, int] = {}
        self.places: dict[str, float] = {}
        """Of everybody who waits, as told."""
        self.inside: dict[str, int] = {}
        self.admitted = 0
        self.clean = True
        """Nothing went wrong so far, so the order is that of the whole room."""
        self._late: list[tuple[SaleId, tuple[Any, ...]]] = []
        self._people = self._buys = self._moves = 0
        kernel.clock_ms = OPENS_MS - 500
        wire.ask("FLUSHALL")
        shared = msgspec.structs.replace(room, shared=bool(guests) or shards == 1)
        rules = room_rules(shared, opened=False) | ({"spread": shards} if shards > 1 else {})
        for partition, shard in enumerate(shard_ids(SALE, shards)):
            self._load(partition, shard, stock // shards + (partition < stock % shards), rules)
        for (guest, partition), units in zip(self.guests.items(), guests, strict=True):
            self._load(partition, guest, units, guest_rules(SALE, opened=False))

    def _load(self, partition: int, sale: SaleId, units: int, rules: dict[str, Any]) -> None:
        config = ["scheduled", OPENS_MS, 0, 60_000, 600_000, 0, "", rules]
        self._run(Verb.FENCE, partition, [], ["1"])
        self._run(Verb.UNFENCE, partition, [], ["1", "t", "w", 0])
        load = ("new", "", config, ["item:unit", f"{units} 0 0"], [], [], [])
        assert self._run(Verb.LOAD, partition, [sale], load, more_keys(partition, sale)) == ["loaded"]

    def _run(self, verb: Verb, partition: int, sales: Any, requests: Any, more: Any = ()) -> list[Any]:
        reply = self._wire.run(self._kernel.run(verb, partition, sales, requests, more_keys=more))
        assert reply.status == ""
        return reply.results

    def _of(self, id_: str, verb: Verb, *request: Any) -> list[Any]:
        home = self.homes[id_]
        return self._run(verb, home, [shard_ids(SALE, self.shards)[home]], [(0, *request)])[0]  # type: ignore[no-any-return]

    @property
    def now_ms(self) -> int:
        return self._kernel.clock_ms

    def later(self, ms: int) -> None:
        self._kernel.clock_ms += ms

    def take(self, which: int) -> None:
        """Somebody new comes."""
        self._people += 1
        id_ = f"ticket{self._people:010}"
        self.homes[id_] = which % self.shards
        known, _epoch, *standing = self._of(id_, Verb.ISSUE_TICKET, id_, number(SEED, id_), [], "", 0, id_)
        assert known is False
        self.later(1)  # two who come in one millisecond, to two shards, have one place
        self._hear(id_, standing)

    def look(self, which: int) -> None:
        everybody = [*self.places, *self.inside]
        if everybody:
            id_ = everybody[which % len(everybody)]
            self._hear(id_, self._of(id_, Verb.POLL_TICKET, id_))

    def leave(self, which: int) -> None:
        everybody = [*self.places, *self.inside]
        if everybody:
            id_ = everybody[which % len(everybody)]
            self._of(id_, Verb.LEAVE_ROOM, id_, 0)
            self.places.pop(id_, None)
            self.inside.pop(id_, None)
            self._compare()

    def buy(self, which: int) -> None:
        """Somebody who is in buys a unit, and makes room. The rebalancer brings it if the shard has none."""
        ready = [id_ for id_, until in self.inside.items() if until > self.now_ms]
        if ready:
            id_ = ready[which % len(ready)]
            self._buys += 1
            sales = [None, *self.guests]
            at = which % len(sales)
            bought = any(
                self._buy_here(id_) if sale is None else self._buy_at(sale, id_)
                for sale in sales[at:] + sales[:at]
            )
            assert bought, "a unit was there for everybody who was let in"
            self.sold += 1
            del self.inside[id_]
            self._compare()

    def _buy_here(self, id_: str) -> bool:
        spread = self.shards if self.shards > 1 else None
        request = (f"b{self._buys}", 1, id_, ["unit", 1], True, self.inside[id_], spread)
        result = self._of(id_, Verb.RESERVE, *request)
        if result[0] == "sold-out":
            self._bring(self.homes[id_])
            result = self._of(id_, Verb.RESERVE, *request)
        if result[0] == "confirmed":
            self._of(id_, Verb.LEAVE_ROOM, id_, 1, False)
        return bool(result[0] == "confirmed")

    def _buy_at(self, guest: SaleId, id_: str) -> bool:
        """An admission of the room counts here, and no other."""
        until = self.inside[id_]
        for wrong in (until, Admission(until, SaleId("elsewhere"))):
            assert self._ask_guest(guest, id_, wrong) == "queue-required"
        if self._ask_guest(guest, id_, Admission(until, SALE)) != "confirmed":
            return False
        self._of(id_, Verb.LEAVE_ROOM, id_, 1, True)
        self._run(Verb.LEAVE_ROOM, self.guests[guest], [guest], [(0, id_, 1)])
        return True

    def _ask_guest(self, guest: SaleId, id_: str, admission: object) -> str:
        request = (0, f"b{self._buys}", 1, id_, ["unit", 1], True, admission)
        return str(self._run(Verb.RESERVE, self.guests[guest], [guest], [request])[0][0])

    def _bring(self, home: int) -> None:
        self._moves += 1
        for donor in range(self.shards):
            if donor != home and self._restock(donor, -1)[0] == "restocked":
                assert self._restock(home, 1)[0] == "restocked"
                return

    def _restock(self, partition: int, units: int) -> list[Any]:
        request = (0, "unit", units, "moved", f"restock:{self._moves}:{units}", 1, 100)
        return self._run(Verb.RESTOCK, partition, [shard_ids(SALE, self.shards)[partition]], [request])[0]  # type: ignore[no-any-return]

    def wait(self, which: int) -> None:
        self.later((1, 100, 500, 1_000, 5_000, 20_000, 70_000)[which % 7])

    def beat(self, which: int) -> None:
        """The recorder's. `which` says what goes wrong: mostly nothing."""
        hazard, at = (HAZARDS[which % len(HAZARDS)], which % self.shards) if which < 20 else ("", 0)
        hazard = "units" if 20 <= which < 24 else hazard
        late, self._late = self._late, []
        self.clean = self.clean and not hazard

        async def ask(shard: SaleId, request: tuple[Any, ...]) -> Result | None:
            step, struck = request[0], shard_number(shard) == at or request[0] == "grant"
            if step == "units":
                return None if hazard == "units" else self._admit(shard, request)
            if step == "report" and hazard == "report" and struck:
                return None
            if step == "let-in" and struck and hazard in ("let-in", "late"):
                if hazard == "late":
                    self._late.append((shard, request))
                return None
            result = self._admit(shard, request)
            if step == "let-in" and struck and hazard == "repeat":
                assert self._admit(shard, request) == LetIn(0)
            return None if step == "grant" and hazard == "grant" else result

        asyncio.run(beat(ask, ask, lambda _: [*self.guests], SALE, self.shards))
        for shard, request in late:
            self._admit(shard, request)
        self._compare()
        if not hazard and not late:
            self._positions()

    def _admit(self, shard: SaleId, request: tuple[Any, ...]) -> Result:
        partition = self.guests.get(shard, shard_number(shard))
        return read_result(Verb.ADMIT, self._run(Verb.ADMIT, partition, [shard], [(0, *request)])[0])

    def _positions(self) -> None:
        """After a beat every place near the turn is told exactly."""
        order = sorted(self.places, key=lambda id_: (self.places[id_], self.homes[id_]))
        for id_ in order[:5]:
            _, _, position, waiting, *_, about = self._of(id_, Verb.POLL_TICKET, id_)
            assert waiting == len(order)
            assert not position or (position, about) == (order.index(id_) + 1, False)

    def _hear(self, id_: str, standing: list[Any]) -> None:
        if standing[0] == "admitted":
            self._compare()
            self.inside[id_] = int(standing[1])
            assert id_ not in self.places
        elif standing[0] == "waiting":
            assert self.places.setdefault(id_, standing[1]) == standing[1], "a place never changes"
            self._compare()
        else:
            assert standing == ["unknown-ticket"]
            assert id_ in self.inside, "only a turn ends by itself"
            del self.inside[id_]
            self._compare()

    def _compare(self) -> None:
        """What memory has, beside what was told."""
        waiting: dict[str, float] = {}
        turns: dict[str, float] = {}
        admitted = 0
        for partition, shard in enumerate(shard_ids(SALE, self.shards)):
            names = keys.room(partition, shard)
            raw, active, count = self._wire.ask_all([
                ("ZRANGE", names.waiting, 0, -1, "WITHSCORES"),
                ("ZRANGEBYSCORE", names.active, f"({self.now_ms}", "+inf", "WITHSCORES"),
                ("HGET", names.room, "admitted"),
            ])  # fmt: skip
            waiting |= {name.decode(): float(score) for name, score in zip(raw[::2], raw[1::2], strict=True)}
            turns |= {name.decode(): float(at) for name, at in zip(active[::2], active[1::2], strict=True)}
            admitted += int(count or 0)
        gone = [id_ for id_ in self.places if id_ not in waiting]
        assert waiting.items() <= self.places.items()
        kept = [self.places[id_] for id_ in self.places if id_ in waiting]
        if self.clean:
            assert not gone or not kept or max(self.places[id_] for id_ in gone) <= min(kept), "in order"
        assert len(gone) == admitted - self.admitted, "whoever is not waiting any more was let in, once"
        for id_ in gone:
            self.inside.setdefault(id_, 0)
            del self.places[id_]
        self.admitted = admitted
        for id_ in [id_ for id_ in self.inside if id_ not in turns]:
            del self.inside[id_]
        assert set(turns) <= set(self.inside)
        assert len(turns) <= self.room.max_active
        assert len(turns) <= self.stock - self.sold, "never more inside than units"
        if self.now_ms < OPENS_MS:
            assert admitted == 0
        else:
            rate = self.room.admit_per_second
            assert admitted <= max(1.0, rate) + rate * (self.now_ms - OPENS_MS) / 1000

    def drains(self) -> None:
        """Nothing that went wrong is owed: all are let in, while there are units."""
        self.later(max(0, OPENS_MS - self.now_ms))
        for _ in range(200):
            if not self.places or self.sold >= self.stock:
                break
            self.later(int(1000 / self.room.admit_per_second) + 100)
            self.beat(99)
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
    st.sampled_from(["take"] * 5 + ["beat"] * 4 + ["look", "leave", "buy", "buy", "wait", "wait"]),
    st.integers(0, 50),
)

CREDIT = WaitingRoom(mode=RoomMode.FIFO, admit_per_second=1.0, max_active=100, session_seconds=60)
FULL = WaitingRoom(mode=RoomMode.FIFO, admit_per_second=100.0, max_active=2, session_seconds=60)
TAKE_12 = [("take", n) for n in range(12)]
BEATS_OFTEN = [*TAKE_12, ("wait", 2), *[("beat", 99), ("wait", 2)] * 10]
LOST_AND_LATE = [*TAKE_12, ("wait", 2), *[("beat", which) for which in (2, 4, 3, 1, 7, 9, 12, 14, 99, 99)]]
UNITS = WaitingRoom(mode=RoomMode.FIFO, admit_per_second=100.0, max_active=100, session_seconds=60)
ONE_BEAT = [*TAKE_12, ("wait", 2), ("beat", 99)]
TOLD_TWICE = [*TAKE_12, ("wait", 2), ("beat", 3)]
LATE_AND_LEFT = [*TAKE_12, ("wait", 2), ("beat", 4), ("leave", 0), ("beat", 7)]
"""A grant is on its way to a shard, and the buyer whom it is for leaves: it is for another one then."""


def try_crowds(valkey: Wire, how: settings) -> None:
    kernel = Kernel(valkey)  # type: ignore[arg-type]
    valkey.run(kernel.load_scripts())

    @how
    @example(CREDIT, 12, SHARDS, (), BEATS_OFTEN)
    @example(FULL, 12, SHARDS, (), LOST_AND_LATE)
    @example(FULL, 12, SHARDS, (), LATE_AND_LEFT)
    @example(UNITS, 3, SHARDS, (), ONE_BEAT)
    @example(UNITS, 3, 1, (3, 2), ONE_BEAT)
    @example(UNITS, 3, SHARDS, (4,), [*ONE_BEAT, *[("buy", n) for n in range(9)]])
    @example(FULL, 12, SHARDS, (), TOLD_TWICE)
    @given(
        rooms,
        st.integers(3, 12),
        st.sampled_from([SHARDS, 1]),
        st.lists(st.integers(0, 6), max_size=2),
        st.lists(steps, max_size=40),
    )
    def every_crowd(
        room: WaitingRoom, stock: int, shards: int, guests: Sequence[int], doings: list[tuple[str, int]]
    ) -> None:
        crowd = Crowd(valkey, kernel, room, stock, shards, guests)
        for what, which in doings:
            doing: Callable[[int], None] = getattr(crowd, what)
            doing(which)
        crowd.drains()

    every_crowd()


MANY = settings(
    report_multiple_bugs=False,
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_over_shards_buyers_are_let_in_in_order_at_the_pace_and_never_more_than_units(valkey: Wire) -> None:
    try_crowds(valkey, MANY)


BROKEN = {
    "the pace is not kept": ("math.min(credit, rule.most", "math.min(1000, rule.most"),
    "more are in than may be": ("rule.most - active, units", "1000, units"),
    "more are in than there are units": ("units - active, admits_left", "admits_left"),
    "a grant that was not told does not count as in": (
        "known = {granted, granted - told + inside}",
        "known = {granted, inside}",
    ),
    "a shard uses a grant twice": ("if granted == told then return {'let-in', 0} end", ""),
    "what is granted is not taken from the credit": ("if most > 0 then spend(room, credit, most) end", ""),
    "a grant that was lost is owed forever": ("'granted', granted, 'whole'", "'whole'"),
    "the order is that of each shard": (
        "local shard = front[i] + 1",
        "local shard = i % room.shards + 1",
    ),
    "the units of the guests do not count": (
        "local function grant(room, reports, front, settled, units)",
        "local function grant(room, reports, front, settled)\n  local units = 0",
    ),
    "the units of the guests count twice": ("{'units', guest.free,", "{'units', 2 * guest.free,"),
    "an admission of any room counts at a guest": ("if host ~= room.of or NOW", "if NOW"),
    "the place is that on the shard": ("position, about = place_in_whole(sale, room, position)", ""),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_room_over_shards_is_noticed(
    broken: str, valkey: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = BROKEN[broken]
    sources = {verb: script_source(verb) for verb in Verb}
    assert any(old in source for source in sources.values())
    monkeypatch.setattr(kernel_module, "script_source", lambda verb: sources[verb].replace(old, new))
    unshrunk = settings(
        MANY,
        phases=(Phase.explicit, Phase.generate),
        derandomize=True,
        print_blob=False,
    )
    with pytest.raises(AssertionError):
        try_crowds(valkey, unshrunk)
