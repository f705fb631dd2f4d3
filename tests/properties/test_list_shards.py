"""The waiting list of a spread sale on a real server, under a clock of the test's own: whatever comes back,
and whatever of a round is lost, or happens between two of its steps."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from flashguard.kernel import kernel as kernel_module
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import Result, read_result
from flashguard.kernel.verbs import Verb, script_source
from flashguard.model import SaleId
from flashguard.model.shards import shard_ids, shard_number
from flashguard.recorder.load import more_keys
from flashguard.recorder.shared_list import SharedLists
from tests.properties.memory import Wire, memory_server

SALE = SaleId("crowd")
SHARDS = 3
BEGINS_MS = 1_800_000_000_000
OFFER_MS = 60_000
STEPS = ("report", "entries", "close", "serve", "settle", "move")
CLEAN = 99


@pytest.fixture(scope="module")
def valkey() -> Iterator[Wire]:
    with memory_server("valkey") as started:
        yield started


class Crowd:
    """A spread sale with a list, on a partition per shard, and what its customers were told."""

    def __init__(self, wire: Wire, kernel: Kernel, stock: int) -> None:
        self.stock = stock
        self._wire, self._kernel = wire, kernel
        self.waiting: dict[str, tuple[int, int, int]] = {}
        """Of each entry: its place in the whole order, the units, the shard."""
        self.holds: dict[str, tuple[int, int, int]] = {}
        """Of each hold: the units, the shard, when it expires."""
        self._under_way: list[tuple[int, int, str]] = []
        self._count = 0
        self._first_steps: list[tuple[int, tuple[str, int]]] = []
        self._lists = SharedLists(self._ask, self._move, lambda: self._kernel.clock_ms / 1000)
        self._hazard: tuple[str, int, bool] | None = None
        kernel.clock_ms = BEGINS_MS
        wire.ask("FLUSHALL")
        rules = {"spread": SHARDS, "waiting_most": 1000, "waiting_hold_ms": OFFER_MS}
        config = ["open", 0, 0, 3_600_000, 3_600_000, 0, "", rules]
        for partition, shard in enumerate(shard_ids(SALE, SHARDS)):
            self._run(Verb.FENCE, partition, [], ["1"])
            self._run(Verb.UNFENCE, partition, [], ["1", "t", "w", 0])
            units = stock // SHARDS + (partition < stock % SHARDS)
            load = ("new", "", config, ["item:unit", f"{units} 0 0"], [], [], [])
            assert self._run(Verb.LOAD, partition, [shard], load, more_keys(partition, shard)) == ["loaded"]
        while self.press(self._count):
            pass

    def _run(self, verb: Verb, partition: int, sales: Any, requests: Any, more: Any = ()) -> list[Any]:
        reply = self._wire.run(self._kernel.run(verb, partition, sales, requests, more_keys=more))
        assert reply.status == ""
        return reply.results

    def _of(self, home: int, verb: Verb, *request: Any) -> list[Any]:
        return self._run(verb, home, [shard_ids(SALE, SHARDS)[home]], [(0, *request)])[0]  # type: ignore[no-any-return]

    def _new(self, kind: str) -> str:
        self._count += 1
        self._kernel.clock_ms += 1
        return f"{kind}{self._count}"

    def join(self, which: int) -> None:
        """A customer joins and is answered; every fifth one's process dies before it has told the shards."""
        id_, home, units = self._new("e"), which % SHARDS, (1, 1, 1, 2, 3)[which // 3 % 5]
        more = {"spread": SHARDS, "elsewhere": 0}
        result = self._of(home, Verb.WAITING_LIST, "join", id_, 1, f"c-{id_}", "unit", units, 0, more)
        assert result[0] == "waiting"
        order = result[8]
        assert all(order > place for place, _, _ in self.waiting.values()), "who comes later is behind"
        told = which % 5 < 4
        for other in range(SHARDS):
            if other != home and told:
                assert self._of(other, Verb.SERVE_LIST, "mark", "unit", order) == ["marked"]
        if told:
            self.waiting[id_] = (order, units, home)
        else:
            self.leave_entry(id_, home)

    def leave_entry(self, id_: str, home: int) -> None:
        state = self._of(home, Verb.WAITING_LIST, "leave", id_)[0]
        assert state in ("left", "offered")
        _, units, _ = self.waiting.pop(id_, (0, 1, 0))
        if state == "offered":
            self._hold(id_, units, home)

    def _hold(self, id_: str, units: int, home: int) -> None:
        created_ms, ms = self._of(home, Verb.GET, id_)[3:5]
        self.holds[id_] = (units, home, created_ms + ms)

    def leave(self, which: int) -> None:
        if self.waiting:
            id_ = sorted(self.waiting)[which % len(self.waiting)]
            self.leave_entry(id_, self.waiting[id_][2])

    def press(self, which: int) -> bool:
        """Somebody of the open sale tries each shard."""
        for home in range(SHARDS):
            shard = (which + home) % SHARDS
            id_ = self._new("h")
            lines = ["unit", 1]
            result = self._of(shard, Verb.RESERVE, id_, 1, f"c-{id_}", lines, False, 0, SHARDS)
            if result[0] == "held":
                self._hold(id_, 1, shard)
                small = [each for each, (_, units, _) in self.waiting.items() if units == 1]
                assert not small, f"{small} wait, and the open sale got a unit"
                return True
            assert result[0] == "sold-out"
        return False

    def back(self, which: int) -> None:
        """The units of a hold come back."""
        if self.holds:
            id_ = sorted(self.holds)[which % len(self.holds)]
            _, shard, _ = self.holds.pop(id_)
            assert self._of(shard, Verb.RELEASE, id_)[0] == "released"

    def wait(self, which: int) -> None:
        """Time passes, and holds of that time expire."""
        self._kernel.clock_ms += (1, 1_000, OFFER_MS // 2, OFFER_MS)[which % 4]
        for shard in range(SHARDS):
            self._of(shard, Verb.EXPIRE)
        now = self._kernel.clock_ms
        self.holds = {id_: hold for id_, hold in self.holds.items() if hold[2] > now}

    async def _ask(self, shard: SaleId, request: tuple[Any, ...]) -> Result | None:
        self._between()
        number = shard_number(shard)
        hazard = self._hazard
        struck = hazard is not None and hazard[:2] == (request[0], number)
        if struck and hazard is not None and not hazard[2]:
            return None  # it did not arrive
        result = read_result(Verb.SERVE_LIST, self._of(number, Verb.SERVE_LIST, *request))
        return None if struck else result

    def _between(self) -> None:
        self._first_steps = [(after - 1, step) for after, step in self._first_steps]
        for after, (name, which) in list(self._first_steps):
            if after < 0:
                self._first_steps.remove((after, (name, which)))
                getattr(self, name)(which)

    async def _move(self, counter: str, units: int, donor: SaleId, receiver: SaleId) -> bool:
        self._between()
        key = self._new("transfer:list-")
        left = self._of(shard_number(donor), Verb.RESTOCK, counter, -units, receiver, f"{key}:out", 1, 10_000)
        if left[0] != "restocked":
            return False
        if self._hazard is not None and self._hazard[0] == "move":
            self._under_way.append((units, shard_number(receiver), key))
            return False
        self._arrive(units, shard_number(receiver), key)
        return True

    def _arrive(self, units: int, receiver: int, key: str) -> None:
        arrived = self._of(receiver, Verb.RESTOCK, "unit", units, "shard", f"{key}:in", 1, 10_000)
        assert arrived[0] == "restocked"

    def round(self, which: int) -> None:
        """The recorder's, and before it the repair of transfers. `which`: what of it goes wrong, mostly
        nothing."""
        for move in self._under_way:
            self._arrive(*move)
        self._under_way = []
        if which < 2 * SHARDS * len(STEPS):
            self._hazard = STEPS[which % len(STEPS)], which // 2 % SHARDS, which % 2 == 1
        before, clean = dict(self.waiting), self._hazard is None and not self._first_steps
        asyncio.run(self._lists.serve(SALE, SHARDS))
        self._hazard, self._first_steps = None, []
        self._hear(before if clean else {})
        if clean:
            self._nothing_idles()

    def busy(self, which: int) -> None:
        """A round, with something else between two of its steps."""
        names = ("join", "back", "leave", "press")
        self._first_steps = [(which, (names[which % 4], which // 4))]
        self.round(CLEAN)

    def _hear(self, before: dict[str, tuple[int, int, int]]) -> None:
        for id_, (_, units, home) in list(self.waiting.items()):
            state = self._of(home, Verb.WAITING_LIST, "see", id_)[0]
            assert state in ("waiting", "offered")
            if state == "offered":
                self._hold(id_, units, home)
                del self.waiting[id_]
        for id_ in before.keys() - self.waiting.keys():
            place, units, _ = before[id_]
            passed = [each for each, (first, n, _) in self.waiting.items() if first < place and n <= units]
            assert not passed, f"{passed} joined before {id_}, and want no more"

    def _counters(self) -> tuple[int, int]:
        """Units that are free, and units in all, also those under way."""
        free, stock = 0, sum(units for units, _, _ in self._under_way)
        for shard in range(SHARDS):
            _, of_shard, held, sold = self._of(shard, Verb.GET, "")[6][:4]
            assert held == sum(units for units, home, _ in self.holds.values() if home == shard)
            free, stock = free + of_shard - held - sold, stock + of_shard
        return free, stock

    def _nothing_idles(self) -> None:
        free, stock = self._counters()
        assert stock == self.stock
        wanted = [units for _, units, _ in self.waiting.values()]
        if wanted and free:
            first = min(self.waiting.values())[1]
            assert first > free or min(wanted) > free, f"{free} are free, and {wanted} wait"
            ahead = [n for place, n, _ in self.waiting.values() if n <= free]
            assert not ahead or first > free

    def drains(self) -> None:
        """Whatever went wrong, all are offered units once there are enough."""
        for _ in range(len(self.waiting) + len(self.holds)):
            self.round(CLEAN)
            if self.waiting:
                self.back(0)
        self.round(CLEAN)
        self.wait(3)
        self.round(CLEAN)
        free, _ = self._counters()
        assert all(units > free for _, units, _ in self.waiting.values())
        assert not self.waiting or self.stock < 3
        if free and not self.waiting:
            assert self.press(0), "what no entry waits for is for the open sale"


steps = st.tuples(
    st.sampled_from(["join"] * 5 + ["back"] * 5 + ["round"] * 3 + ["busy"] * 3 + ["press", "leave", "wait"]),
    st.integers(0, 60),
)
PRESSED = [("join", 1), ("back", 0), ("press", 0), ("round", CLEAN)]
UNSEEN = [("join", 0), ("busy", 9), ("press", 0)]
"""A unit comes back after the round read that none is free."""
STRUCK = [
    *[("join", 0), ("join", 1), ("back", 0), ("back", 1)],
    *[("round", which) for which in range(2 * SHARDS * len(STEPS))],
]
BUSY = [step for n in range(0, 60, 7) for step in (("join", n), ("back", n), ("busy", n))]


def try_crowds(valkey: Wire, how: settings) -> None:
    kernel = Kernel(valkey)  # type: ignore[arg-type]
    valkey.run(kernel.load_scripts())

    @how
    @example(3, PRESSED)
    @example(4, STRUCK)
    @example(4, BUSY)
    @example(3, UNSEEN)
    @given(st.integers(1, 7), st.lists(steps, max_size=30))
    def every_crowd(stock: int, doings: list[tuple[str, int]]) -> None:
        crowd = Crowd(valkey, kernel, stock)
        for what, which in doings:
            getattr(crowd, what)(which)
        crowd.drains()

    every_crowd()


MANY = settings(
    report_multiple_bugs=False,
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_over_shards_units_go_to_entries_in_order_and_none_idles(valkey: Wire) -> None:
    try_crowds(valkey, MANY)


BROKEN = {
    "a returned unit is not set aside": ("if gained > 0 then", "if false then"),
    "a round opens what it did not see": ("(item.until_ms or 0) == versions[i + 1]", "true"),
    "an entry of another shard sets nothing aside": (
        "shard_list.close(sale, counters[i], version)", "local _ = version",
    ),
    "places are those of the shard": (
        "math.max(newest + 1000, NOW * 1000 + tonumber(string.match(sale.id, '~(%d+)$') or 0))", "newest + 1",
    ),
    "the rest is never for the open sale": (
        "not forget and item.until_ms or nil, nil)", "item.until_ms, item.set_aside)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_list_over_shards_is_noticed(
    broken: str, valkey: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = BROKEN[broken]
    sources = {verb: script_source(verb) for verb in Verb}
    assert any(old in source for source in sources.values())
    monkeypatch.setattr(kernel_module, "script_source", lambda verb: sources[verb].replace(old, new))
    unshrunk = settings(MANY, phases=(Phase.explicit, Phase.generate), derandomize=True)
    with pytest.raises(AssertionError):
        try_crowds(valkey, unshrunk)
