"""The kernel against its model: thousands of sequences of calls, on a real server.

Each sequence is played on two partitions: on one, a step's requests go into one script call, on the other
each makes a call of its own. FLASHGUARD_LONG=1 plays many more.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flashguard.kernel import kernel as kernel_module
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb, script_source
from tests.properties.memory import SERVERS, Partition, Wire, memory_server
from tests.properties.model import Config, Item, Sale

LONG = os.environ.get("FLASHGUARD_LONG") == "1"
SEQUENCES = 50_000 if LONG else 1_000
TO_NOTICE = 4_000
"""Of each server."""
START_MS = 1_000_000
SALES = ("one", "two")
NOBODY = "three"
"""A sale that memory has never heard of."""

Step = tuple[Any, ...]


def any_of(*choices: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """One of each, in a single draw: most of the time goes into drawing. The first is the simplest."""
    return st.sampled_from(list(itertools.product(*choices)))


NOTHING = 9
BACK = [*range(NOTHING)] * 2 + [NOTHING]
"""Which reservation: so many before the newest; NOTHING: one that nobody made."""
NAMES = [*SALES * 6, NOBODY]
SKUS = [*"ab" * 6, "c"]  # nobody sells c
BODIES = [1, 1, 1, 1, 2]
AT_MS = [0] * 6 + [START_MS + ms for ms in (500, 1_500, 6_000)]
HOLD_MS = [1_000, 1_000, 2_500]
LIMITS = [0, 0, 3, 6]
RULES = [
    {}, {}, {}, {"room": {}}, {"max_held": 2}, {"max_held": 4, "cool_down_ms": 1_500, "cool_down_after": 1},
    {"cool_down_ms": 3_000, "cool_down_after": 2}, {"waiting_most": 3}, {"waiting_most": 9},
    {"waiting_most": 9, "waiting_hold_ms": 700}, {"waiting_most": 9, "max_held": 3, "cool_down_ms": 1_000},
    {"waiting_most": 9, "room": {}},
]  # fmt: skip
CHANGES = [
    {}, {"limit": 0}, {"limit": 4}, {"hold_ms": 1_500}, {"hold_ms": 1_000, "max_hold_ms": 2_000, "limit": 2},
    {"describe": ["A new name", ""]}, {"describe": ["", "{}"], "rules": {"room": {}}},
    *({name: ms} for name in ("starts_ms", "ends_ms") for ms in AT_MS[5:]),
    *({"rules": {"room": rule}} for rule in ({}, False)),
    *({"rules": {"max_held": most}} for most in (2, 3, False)),
    *({"rules": {"waiting_most": most}} for most in (0, 5)),
    {"rules": {"cool_down_ms": 2_000, "cool_down_after": 1}}, {"rules": {"cool_down_ms": False}},
]  # fmt: skip
CHANGE_KEYS = ["", "", "sale-change:1", "sale-change:2"]
LINES = [
    *([sku, quantity] for quantity in (1, 2, 3) for sku in "ababc"),
    *([*one, *other] for one in (["a", 1], ["b", 2]) for other in (["a", 2], ["b", 1], ["a", 3], ["c", 1])),
    ["a", 1, "b", 1, "a", 1],
    ["b", 3, "b", 3, "b", 1],
]
requests = {
    Verb.RESERVE: any_of(
        NAMES, [None] * 5 + [0, 1, 4], BODIES, "xyz", LINES, [False, True], [0, START_MS + 1_500]
    ),
    Verb.CONFIRM: any_of(
        BACK, [*[None] * 4, *itertools.product("xyz", ["ok", "ok", "late", "forged"])], LINES
    ),
    Verb.RELEASE: any_of(BACK),
    Verb.CANCEL: any_of(BACK, [0, 0, 0, 1], [False, True]),
    Verb.EXTEND: any_of(BACK, [1, 2, 3]),
    Verb.EXPIRE: any_of(NAMES),
    Verb.WAITING_LIST: any_of(
        NAMES,
        ["join"] * 4 + ["leave", "see"],
        [None] * 4 + [0, 1, 2],
        BODIES,
        "wxyz",
        SKUS,
        [1, 1, 2, 3],
        [0, START_MS + 1_500],
    ),
    Verb.RESTOCK: st.one_of(
        any_of(NAMES, SKUS, range(-4, 7), ["why"], [f"restock:{n}" for n in range(5)], BODIES, [25]),
        any_of(
            NAMES, SKUS, range(-3, 0), ["to another shard"], ["transfer:1:out", "transfer:2:out"], [1], [25]
        ),
        any_of(NAMES, SKUS, range(1, 4), ["from another"], ["transfer:3:in", "transfer:4:in"], [1], [25]),
    ),
    Verb.SURVEY: any_of(NAMES, SKUS),
    Verb.CHANGE_SALE: st.one_of(
        any_of(NAMES, ["open", "open", "open", "pause", "close"], [{}], CHANGE_KEYS),
        any_of(NAMES, ["patch"], CHANGES, [""]),
    ),
}
opened = any_of(["open"], [0], AT_MS, HOLD_MS, [1_400, 4_000], LIMITS, RULES)
unopened = any_of(["scheduled", "draft"], AT_MS, AT_MS, HOLD_MS, [1_400, 4_000], LIMITS, RULES)
sales = st.builds(
    lambda config, stock: Sale(
        Config(*config), {sku: Item(units) for sku, units in zip("ab", stock, strict=True)}
    ),
    st.one_of(opened, opened, opened, unopened),
    any_of(range(13), range(13)),
)


def call(verb: Verb) -> st.SearchStrategy[Step]:
    once = (lambda one: one[0],) if verb is Verb.EXPIRE else None  # the sweep names a sale once per call
    return st.tuples(st.just(verb), st.lists(requests[verb], min_size=1, max_size=6, unique_by=once))


often = [Verb.RESERVE] * 4 + [Verb.CONFIRM] * 2 + [Verb.RELEASE, Verb.CANCEL, Verb.EXTEND, Verb.EXTEND]
often += [Verb.RELEASE, Verb.WAITING_LIST, Verb.WAITING_LIST]
seldom = [Verb.RESTOCK, Verb.CHANGE_SALE, Verb.EXPIRE, Verb.SURVEY]
loads = st.one_of(st.tuples(st.just("load"), st.sampled_from(NAMES), sales), any_of(["unload"], NAMES))
actions = st.one_of(*map(call, often + seldom), any_of(["note_recorded", "rebuild"]), loads)
steps = st.tuples(st.sampled_from([0, 0, 0, 0, 1, 499, 1_000, 1_000]), actions)
"""So many milliseconds later, this."""
rush = st.tuples(
    st.just(0), st.tuples(st.just(Verb.RESERVE), st.lists(requests[Verb.RESERVE], min_size=4, max_size=10))
)
plays = st.tuples(st.tuples(sales, sales), rush, st.lists(steps, min_size=4, max_size=20))


# A play of its own for the waiting list: little stock, and buyers who wait for what comes back.
few_units = any_of(
    ["open"], [0], [0], HOLD_MS, [4_000], [0, 3],
    [
        {"waiting_most": 2}, {"waiting_most": 9}, {"waiting_most": 9, "waiting_hold_ms": 700},
        {"waiting_most": 9, "waiting_hold_ms": 1_500}, {"waiting_most": 9, "max_held": 2},
        {"waiting_most": 9, "cool_down_ms": 1_500, "cool_down_after": 1}, {"waiting_most": 9, "room": {}},
    ],
)  # fmt: skip
one_sku = [["a", units] for units in (1, 1, 2, 3)] + [["b", 1]]
waits = any_of(
    SALES,
    ["join"] * 6 + ["leave", "see"],
    [None] * 6 + [0, 1],
    [1],
    "uvwxyz",
    "aaab",
    [1, 1, 2, 3],
    [0, START_MS + 1_500],
)
waiting_requests = {
    Verb.WAITING_LIST: waits,
    Verb.RESERVE: any_of(SALES, [None], [1], "wxyz", one_sku, [False, False, True], [START_MS + 1_500]),
    Verb.CONFIRM: any_of(range(NOTHING), [None], [[]]),
    Verb.RELEASE: any_of(range(NOTHING)),
    Verb.CANCEL: any_of(range(NOTHING), [0], [True, True, False]),
    Verb.RESTOCK: any_of(SALES, "aab", [-1, 1, 2, 4], ["why"], [f"restock:{n}" for n in range(9)], [1], [25]),
    Verb.CHANGE_SALE: any_of(SALES, ["pause", "open", "open"], [{}], [""]),
}
waiting_actions = st.one_of(
    *(
        st.tuples(st.just(verb), st.lists(asked, min_size=1, max_size=4))
        for verb, asked in waiting_requests.items()
    ),
    *(st.tuples(st.just(Verb.WAITING_LIST), st.lists(waits, min_size=2, max_size=6)) for _ in range(3)),
    st.just((Verb.EXPIRE, [(sale,) for sale in SALES])), any_of(["note_recorded", "rebuild"]),
)  # fmt: skip
few = st.builds(
    lambda config, stock: Sale(Config(*config), {sku: Item(n) for sku, n in zip("ab", stock, strict=True)}),
    few_units, any_of(range(1, 5), range(3)),
)  # fmt: skip
sell_out = st.tuples(
    st.just(0),
    st.tuples(st.just(Verb.RESERVE), st.lists(waiting_requests[Verb.RESERVE], min_size=6, max_size=10)),
)
waiting_plays = st.tuples(
    st.tuples(few, few), sell_out,
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 500, 1_000]), waiting_actions), min_size=6, max_size=20),
)  # fmt: skip


class Play:
    """One sequence, on two partitions beside their models: on the first a step's requests make one call."""

    def __init__(self, wire: Wire, kernel: Kernel, number: int, started: Sequence[Sale]) -> None:
        self.sides = [Partition(wire, kernel, number + n, batched=n == 0) for n in (0, 1)]
        self._ids = itertools.count()
        for side in self.sides:
            side.model.now_ms = START_MS
        for name, sale in zip(SALES, started, strict=True):
            self.step(0, ("load", name, sale))

    def step(self, later_ms: int, action: tuple[Any, ...]) -> None:
        for side in self.sides:
            side.model.now_ms += later_ms
        verb, *rest = action
        if isinstance(verb, Verb):
            requests = self._named(verb, *rest)
            batched, single = (side.call(verb, requests) for side in self.sides)
            assert batched == single
        else:
            for side in self.sides:
                getattr(side, verb)(*rest)
        for side in self.sides:
            side.check()
        batched, single = ({n: sale.items for n, sale in side.model.sales.items()} for side in self.sides)
        assert batched == single

    def _named(self, verb: Verb, requests: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The requests with the ids of sale and reservation in place of "so many before the newest"."""
        model = self.sides[0].model
        known = [(name, id_) for name, sale in model.sales.items() for id_ in sale.reservations]
        known.sort(key=lambda one: one[1])
        named = []
        for request in requests:
            if verb is Verb.RESERVE:
                name, back, *rest = request
                if back is None or not known:
                    known.append((name, f"r{next(self._ids):03}"))
                    back = 0
                named.append((*known[-1 - back % len(known)], *rest))
            elif verb is Verb.WAITING_LIST:
                named.append(self._entry(*request))
            elif verb is Verb.CONFIRM and request[1] is not None:
                named.append(self._with_receipt(known, *request))
            elif verb is Verb.CONFIRM:
                back = request[0]
                named.append(
                    known[-1 - back % len(known)] if known and back != NOTHING else (SALES[0], "nobody")
                )
            elif verb is Verb.CANCEL:
                named.append(self._of_an_order(known, *request))
            elif verb is Verb.SURVEY:  # a spread sale has no waiting list
                sale = model.sales.get(request[0])
                waits = sale is not None and "waiting_most" in sale.config.rules
                named.append((NOBODY, request[1]) if waits else request)
            elif verb in (Verb.RELEASE, Verb.EXTEND):
                back, *rest = request
                made = known and back != NOTHING
                named.append((*(known[-1 - back % len(known)] if made else (SALES[0], "nobody")), *rest))
            else:
                named.append(request)
        return named

    def _of_an_order(
        self, known: list[tuple[str, str]], back: int, other: int, restock: bool
    ) -> tuple[Any, ...]:
        """A cancel, with what the ledger has of the order; `other`: of another than the one memory has."""
        name, id_ = known[-1 - back % len(known)] if known and back != NOTHING else (SALES[0], "nobody")
        sale = self.sides[0].model.sales.get(name)
        one = sale.reservations.get(id_) if sale is not None else None
        if one is None:
            return name, id_, 1, "x", ["a", 1], restock, "why"
        return name, id_, one.fingerprint + other, one.customer, one.lines, restock, "why"

    def _entry(self, name: str, verb: str, back: int | None, *asked: Any) -> tuple[Any, ...]:
        """A request of the waiting list: a new entry, or one that is there."""
        sale = self.sides[0].model.sales.get(name)
        entries = sorted(sale.waiting) if sale else []
        if verb != "join":
            return name, verb, entries[-1 - (back or 0) % len(entries)] if entries else "nobody"
        if back is None or not entries:
            return name, verb, f"r{next(self._ids):03}", *asked
        return name, verb, entries[-1 - back % len(entries)], *asked

    def _with_receipt(
        self, known: list[tuple[str, str]], back: int, how: tuple[str, str], lines: list[Any]
    ) -> tuple[Any, ...]:
        """A confirm that shows a receipt: of a hold that was made, or of one that memory has forgotten."""
        (customer, kind), model = how, self.sides[0].model
        if known and back != NOTHING:
            name, id_ = known[-1 - back % len(known)]
            if (one := model.sales[name].reservations.get(id_)) is not None:
                held_ms = one.extensions[-1] - one.created_ms if one.extensions else one.hold_ms
                body = one.fingerprint + (kind == "forged")
                return name, id_, [body, one.customer, one.lines, one.created_ms, held_ms]
        created_ms = model.now_ms - (1_500 if kind == "late" else 500)
        return SALES[back % 2], f"r{next(self._ids):03}", [1, customer, lines, created_ms, 1_000]

    def close(self) -> None:
        for side in self.sides:
            side.close()


@pytest.fixture(scope="module")
def valkey() -> Iterator[Wire]:
    with memory_server("valkey") as started:
        yield started


@pytest.fixture(scope="module", params=SERVERS)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    with memory_server(request.param) as started:
        yield started


MANY = settings(
    max_examples=SEQUENCES,
    deadline=None,
    database=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def play_many(wire: Wire, how: settings, drawn_from: st.SearchStrategy[Any] = plays) -> None:
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    numbers = itertools.count(step=2)

    @how
    @given(drawn_from)
    def every_sequence(drawn: tuple[tuple[Sale, Sale], Step, list[Step]]) -> None:
        started, rush, steps = drawn
        wire.ask("FLUSHALL")
        play = Play(wire, kernel, next(numbers), started)
        for step in (rush, *steps):
            play.step(*step)
        play.close()

    every_sequence()


@pytest.mark.timeout(7200 if LONG else 180)
def test_the_kernel_decides_as_its_model_whether_batched_or_one_by_one(wire: Wire) -> None:
    play_many(wire, MANY)


@pytest.mark.timeout(7200 if LONG else 180)
def test_the_waiting_list_is_served_as_its_model_whether_batched_or_one_by_one(wire: Wire) -> None:
    play_many(wire, settings(MANY, max_examples=SEQUENCES // 3), waiting_plays)


BROKEN = {
    "a limit that is off by one": ("+ units > config.limit", "+ units > config.limit + 1"),
    "lines of one sku that don't add up": ("(sums[sku] or 0) + lines[i + 1]", "lines[i + 1]"),
    "a release that is not journalled": (
        "note(start .. string_head(id) .. id .. packed_lines",
        "local _ = status == RELEASED or note(start .. string_head(id) .. id .. packed_lines",
    ),
    "a sold-out that forgets the ended holds": ("if not expire_page(sale) then", "if true then"),
    "a hold that lives a millisecond longer": (
        "    if NOW >= record.expires_ms",
        "    if NOW > record.expires_ms",
    ),
    "an ended hold that still counts for the limit": ("add_used(sale, customer, -units_of(lines))", ""),
    "a budget of holds that is off by one": ("held + units > most", "held + units > most + 1"),
    "a budget that counts what is confirmed": (
        "  if sale.history then count_held(sale, customer, -units_of(lines)) end\n"
        "  if status == CONFIRMED then",
        "  if sale.history and status ~= CONFIRMED then count_held(sale, customer, -units_of(lines)) end"
        "\n"
        "  if status == CONFIRMED then",
    ),
    "an expired hold that is not counted": (
        "if sale.history then count_expired(sale, customer, ended_ms, 1) end",
        "",
    ),
    "an expired hold that an order does not make good": ("record.ended_ms, -1)", "record.ended_ms, 0)"),
    "a cool-down that does not look for what has just ended": (
        "while history.held > 0 and expire_page(sale) do",
        "while false do",
    ),
    "a budget that begins in the middle and forgets the holds of before": (
        "if record and record.status == HELD then\n        local customer",
        "if false then\n        local customer",
    ),
    "a key that is looked up once per batch only": ("  sale.records[name] = blob\n", ""),
    "a key that takes any body": ("record.fingerprint ~= fingerprint", "false"),
    "a replay that is not told from a first time": (
        "return {'held', true, created_ms, hold_ms, 0",
        "return {'held', false, created_ms, hold_ms, 0",
    ),
    "an extension without end": ("created_ms + config.max_hold_ms", "NOW + config.hold_ms"),
    "a change of a sale that forgets its key": ("local record = key ~= '' and", "local record = false and"),
    "a transfer that is not counted": ("if is_transfer(key) then count_moved", "if false then count_moved"),
    "a survey that forgets the ended holds": (
        "while sale.looked_at < EXPIRE_MOST and expire_page(sale) do end",
        "sale.drained = true",
    ),
    "a restock below what is held": ("if available + delta < 0 or", "if"),
    "a receipt that is honoured beyond the stock": ("    no = shortage(sale, customer, lines)", ""),
    "a receipt that revives whatever ended": (
        "if not over then return nil end",
        "if not over and held then return nil end",
    ),
    "a receipt for another basket under the same id": (
        "if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end\n  end",
        "end",
    ),
    "a waiting room that anybody walks past": ("if config.rules.room and", "if false and"),
    "an admission without end": (
        "NOW >= (admitted_until_ms or 0) then return",
        "not admitted_until_ms then return",
    ),
    "a change that forgets the rules": ("  if next(c.rules) then", "  if false then"),
    "a cancelled order that still counts for the limit": (
        "  add_used(sale, customer, -units_of(lines))\n  if sale.touched",
        "  if sale.touched",
    ),
    "units that stay in the stock when they left it": ("if not restock then move", "if false then move"),
    "an order that is cancelled twice": (
        "if status == CANCELLED then return",
        "if status == CANCELLED then status, record.status = 2, 2 elseif nil then return",
    ),
    "a cancel of another order": (
        "  if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end\n  for",
        "  for",
    ),
    "an entry that forgets the one before it": ("'p', LAST_TOKEN", "'p', ''"),
}
BROKEN_LIST = {
    "a list that lets smaller ones pass": (
        "set_aside = free\n        break\n      elseif",
        "break\n      elseif",
    ),
    "units that are set aside for ever": (
        "passing and free or item.stock - item.sold",
        "item.stock - item.sold",
    ),
    "units that are set aside again and again": (
        "if free == 0 then until_ms = nil end",
        "if not owed then until_ms = nil end",
    ),
    "a list whose last is served first": (
        "string.format('%015.0f', place)",
        "string.format('%015.0f', 1000 - place)",
    ),
    "a place that is kept by who left": (
        "    redis.call('ZREM', sale.queue_key, place_member(sku, place, id))\n    if waits",
        "    if waits",
    ),
    "a customer who waits twice": ("if other then return {'already-waiting', other.id} end", ""),
    "a list beyond its bound": (">= rules.waiting_most then", "> rules.waiting_most then"),
    "an offer that lasts too long": (
        "sale.config.rules.waiting_hold_ms or sale.config.hold_ms",
        "sale.config.hold_ms",
    ),
    "a reopened sale that forgets who waits": (
        "if sale.touched then -- who waits",
        "if false then -- who waits",
    ),
    "a beat that does not look at what is due": (
        "if not touched or sale.serving or (#touched == 0 and room_is_empty == nil)",
        "if not touched or sale.serving or #touched == 0",
    ),
    "an ended hold of their own that costs a place": (
        "      expire_page(sale)\n      wake_due(sale)",
        "      wake_due(sale)",
    ),
    "an offer to who cools down": ("return until_ms > NOW and until_ms or nil", "return nil"),
    "an entry for more than is left, past the room": (
        "not short_line(sale, {sku, 1})",
        "not short_line(sale, {sku, quantity})",
    ),
    "an offer to whom the room did not admit": (
        "      if not room then -- in a sale",
        "      if true then -- in a sale",
    ),
}


@pytest.mark.parametrize("broken", [*BROKEN, *BROKEN_LIST])
def test_the_model_notices(broken: str, valkey: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (BROKEN | BROKEN_LIST)[broken]
    sources = {verb: script_source(verb) for verb in Verb}
    assert any(old in source for source in sources.values())
    monkeypatch.setattr(kernel_module, "script_source", lambda verb: sources[verb].replace(old, new))
    unshrunk = settings(
        MANY,
        max_examples=TO_NOTICE,
        phases=(Phase.generate,),
        derandomize=True,
        report_multiple_bugs=False,
        print_blob=False,
    )
    with pytest.raises(AssertionError):
        play_many(valkey, unshrunk, waiting_plays if broken in BROKEN_LIST else plays)


def wait_and_buy_elsewhere(wire: Wire) -> list[str]:
    """One who waits reaches the limit by another purchase before units come back: the fates of the entry."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    started = Sale(Config(limit=1, rules={"waiting_most": 9}), {"a": Item(1), "b": Item(1)})
    play = Play(wire, kernel, 0, [started] * 2)
    play.step(0, (Verb.RESERVE, [("one", None, 1, "first", ["a", 1], False, 0)]))
    play.step(0, (Verb.WAITING_LIST, [("one", "join", None, 1, "second", "a", 1, 0)]))
    play.step(0, (Verb.RESERVE, [("one", None, 1, "second", ["b", 1], True, 0)]))
    play.step(0, (Verb.RELEASE, [(1,)]))
    states = [entry.state for side in play.sides for entry in side.model.sales["one"].waiting.values()]
    play.close()
    return states


def test_who_waits_and_reaches_the_limit_elsewhere_is_dropped_not_offered(wire: Wire) -> None:
    assert wait_and_buy_elsewhere(wire) == ["limit-reached"] * 2


def hold_elsewhere_while_waiting(wire: Wire) -> list[str]:
    """One who waits holds all that one may hold when units come back; that hold ends: the states then."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    rules = {"waiting_most": 9, "max_held": 1, "waiting_hold_ms": 60_000}
    play = Play(wire, kernel, 0, [Sale(Config(hold_ms=4_000, rules=rules), {"a": Item(1), "b": Item(1)})] * 2)
    play.step(0, (Verb.RESERVE, [("one", None, 1, "first", ["a", 1], False, 0)]))
    play.step(
        0, (Verb.WAITING_LIST, [("one", "join", None, 1, who, "a", 1, 0) for who in ("second", "third")])
    )
    play.step(0, (Verb.RESERVE, [("one", None, 1, "second", ["b", 1], False, 0)]))
    play.step(0, (Verb.RELEASE, [(3,)]))  # third has it: second may hold no more
    states = [entry.state for entry in play.sides[0].model.sales["one"].waiting.values()]
    play.step(0, (Verb.RELEASE, [(0,)]))  # second holds nothing now
    play.step(0, (Verb.RESTOCK, [("one", "a", 1, "found", "restock:1", 1, 25)]))
    states += [entry.state for entry in play.sides[0].model.sales["one"].waiting.values()]
    play.close()
    return states


def test_who_waits_and_holds_all_they_may_keeps_the_place_and_is_next_when_that_ends(wire: Wire) -> None:
    assert hold_elsewhere_while_waiting(wire) == ["waiting", "offered", "offered", "offered"]


def wait_unadmitted(wire: Wire) -> list[str]:
    """One whom the room did not admit waits for three; three come back, one by one: the state then."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    rules: dict[str, Any] = {"waiting_most": 9, "room": {}}
    play = Play(wire, kernel, 0, [Sale(Config(rules=rules), {"a": Item(3)})] * 2)
    for who in ("ann", "bob", "eve"):
        play.step(0, (Verb.RESERVE, [("one", None, 1, who, ["a", 1], False, 10 * START_MS)]))
    play.step(0, (Verb.WAITING_LIST, [("one", "join", None, 1, "outsider", "a", 3, 0)]))
    for back in (0, 1, 2):
        play.step(0, (Verb.RELEASE, [(back,)]))
        play.step(0, (Verb.EXPIRE, [("one",)]))
    states = [entry.state for side in play.sides for entry in side.model.sales["one"].waiting.values()]
    play.close()
    return states


def test_units_that_are_free_for_the_admitted_are_not_saved_up_for_an_outsider(wire: Wire) -> None:
    assert wait_unadmitted(wire) == ["waiting"] * 2


def change_by_one_key(wire: Wire) -> str:
    """A sale is paused, then opened by the pause's key: its status then."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    play = Play(wire, kernel, 0, [Sale(Config(), {"a": Item(1)})] * 2)
    for verb in ("pause", "pause", "open"):
        play.step(0, (Verb.CHANGE_SALE, [("one", verb, {}, "sale-change:1")]))
    status = play.sides[0].model.sales["one"].config.status
    play.close()
    return status


def test_the_key_of_one_change_of_a_sale_makes_no_other(wire: Wire) -> None:
    assert change_by_one_key(wire) == "paused"


@pytest.mark.parametrize(
    ("old", "new", "play"),
    [
        ("record.verb ~= verb", "false", change_by_one_key),
        (
            "#heads_of(sale, 'r', sku) > 0 then keep_aside(sale, sku, item, nil, NOW) end",
            "false then keep_aside(sale, sku, item, nil, NOW) end",
            wait_unadmitted,
        ),
        (
            "if config.limit > 0 and used_by(sale, customer) -",
            "if false and used_by(sale, customer) -",
            wait_and_buy_elsewhere,
        ),
        (
            "if over_limit(sale, customer, quantity, true) then return NOW + offer_ms(sale) end",
            "",
            hold_elsewhere_while_waiting,
        ),
        ("  if sale.touched then wake(sale, customer) end\n", "", hold_elsewhere_while_waiting),
    ],
)
def test_the_model_notices_by_a_play_of_its_own(
    old: str, new: str, play: Callable[[Wire], object], valkey: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {verb: script_source(verb) for verb in Verb}
    assert any(old in source for source in sources.values())
    monkeypatch.setattr(kernel_module, "script_source", lambda verb: sources[verb].replace(old, new))
    with pytest.raises(AssertionError):
        play(valkey)


def test_a_crowd_of_ended_holds_is_taken_back_page_by_page_and_nobody_is_told_sold_out(wire: Wire) -> None:
    wire.ask("FLUSHALL")
    crowd = 450
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    play = Play(wire, kernel, 0, [Sale(Config(), {"a": Item(crowd)})] * 2)
    everybody = [("one", None, 1, f"c{n}", ["a", 1], False) for n in range(crowd)]
    for _ in range(2):
        play.step(1_000, (Verb.RESERVE, everybody))
    late = [("one", None, 1, "late", ["a", units], True) for units in (1, 199, 1, 240, 9, 1)]
    play.step(1_000, (Verb.RESERVE, late))
    assert [side.model.sales["one"].items["a"].sold for side in play.sides] == [crowd, crowd]
    play.step(0, (Verb.EXPIRE, [("one",)]))
    play.close()


def commands(wire: Wire) -> int:
    """How many commands the server has run, those of scripts included."""
    lines = wire.ask("INFO", "commandstats").decode().splitlines()
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in lines if "calls=" in line)


def crowd_that_waits(wire: Wire, items: dict[str, Item], wanted: list[tuple[str, int]]) -> Partition:
    """A sale with these who wait: sku and quantity each."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    side = Partition(wire, kernel, 0, batched=True)
    side.model.now_ms = START_MS
    side.load("one", Sale(Config(rules={"waiting_most": 100_000, "waiting_hold_ms": 60_000}), items))
    for at in range(0, len(wanted), 500):
        some = enumerate(wanted[at : at + 500], at)
        asked = [(0, "join", f"e{n:05}", 1, f"w{n}", sku, quantity, 0) for n, (sku, quantity) in some]
        assert not side.run(Verb.WAITING_LIST, ["one"], asked).status
    return side


STEP = 50
"""SERVE_MOST of scripts/lib/waiting.lua."""


def test_a_restock_for_many_who_wait_is_served_in_steps_and_nobody_else_has_a_unit_before(wire: Wire) -> None:
    many = 1_000
    side = crowd_that_waits(wire, {"a": Item(0)}, [("a", 1)] * many)
    reply = side.run(Verb.RESTOCK, ["one"], [(0, "a", many + 1, "why", "restock:1", 1, 10_000)])
    assert reply.results[0][0] == "restocked"
    stolen, calls, more = 0, 0, True
    while more:
        before = held_of(side)
        [[_, more]] = side.run(Verb.EXPIRE, ["one"], [(0,)]).results
        assert held_of(side) - before <= STEP
        calls += 1
        if more:
            [result] = side.run(Verb.RESERVE, ["one"], [(0, "r", 1, "open", ["a", 1], True, 0)]).results
            stolen += result[0] != "sold-out"
    assert (held_of(side), stolen) == (many, 0)
    assert calls <= many / STEP
    [result] = side.run(Verb.RESERVE, ["one"], [(0, "r", 1, "open", ["a", 1], True, 0)]).results
    assert result[0] == "confirmed", "the one unit that nobody waits for"


def held_of(side: Partition) -> int:
    [[*_, counters]] = [result[:7] for result in side.run(Verb.GET, ["one"], [(0, "")]).results]
    return int(counters[2])


def test_a_refund_costs_the_same_however_many_want_more_than_is_left(wire: Wire) -> None:
    costs = []
    for many in (10, 2_000):
        side = crowd_that_waits(wire, {"a": Item(5)}, [("a", 7 + n % 3) for n in range(many)])
        side.run(Verb.RESERVE, ["one"], [(0, "r", 1, "b", ["a", 5], True, 0)])
        before = commands(wire)
        [result] = side.run(Verb.CANCEL, ["one"], [(0, "r", 1, "b", ["a", 5], True, "why")]).results
        costs.append(commands(wire) - before)
        assert result[0] == "cancelled"
    assert costs[0] == costs[1]


def test_the_beat_costs_the_same_however_many_items_somebody_waits_for(wire: Wire) -> None:
    costs = []
    for many in (1, 2_000):
        items = {f"i{n}": Item(0) for n in range(many)}
        side = crowd_that_waits(wire, items, [(sku, 1) for sku in items])
        before = commands(wire)
        assert side.run(Verb.EXPIRE, ["one"], [(0,)]).results == [[0, False]]
        costs.append(commands(wire) - before)
    assert costs[0] == costs[1]
