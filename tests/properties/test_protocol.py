"""Kernel, recorder and ledger against the protocol's specification: real Valkey, real PostgreSQL, any crash.

After every step both sides are the same, in memory and in the ledger, and the always-line holds in both.
FLASHGUARD_LONG=1 plays many more sequences; a failing one is printed with what replays it.
"""

import asyncio
import contextlib
import copy
import itertools
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from flashguard.embedded import EmbeddedServers
from flashguard.journal import decode_entry, last_position
from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel, Reply
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.model import Position, SaleId
from flashguard.recorder.partition import PartitionRecorder
from flashguard.recorder.rebuild import LEASE_MS, Overtaken
from flashguard.recorder.states import Recording
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.properties.model import Config, Item, Sale
from tests.properties.protocol import Protocol
from tests.support.service import migrated_servers

LONG = os.environ.get("FLASHGUARD_LONG") == "1"
SEQUENCES = 2_000 if LONG else 60
PARTITION = 3
START_MS = 1_700_000_000_000
HOLD_MS, MAX_HOLD_MS, LIMIT = 1_000, 4_000, 4
NEVER = 99


class Crash(Exception):
    """The recorder is killed here."""


class Mortal(Kernel):
    """A kernel whose process dies before its n-th script call from now."""

    calls_left = NEVER

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.verbs: list[Verb] = []

    async def run(self, *args: Any, **more: Any) -> Reply:
        if self.calls_left == 0:
            raise Crash
        self.calls_left -= 1
        self.verbs.append(args[0])
        return await super().run(*args, **more)


async def _dies(*_: object) -> None:
    raise Crash


class Real:
    """The real partition: what a recorder does, one step at a time."""

    def __init__(self, servers: EmbeddedServers, ledger: Ledger) -> None:
        self.settings = Settings()
        self.client = connect_kernel(servers.redis_url, self.settings)
        self.kernel = Mortal(self.client)
        self.buyers = Kernel(self.client)
        """Another process, which learns of an epoch only from its own calls."""
        self.ledger = ledger
        self.replica: dict[bytes, bytes] = {}

    async def ask(self, *command: Any) -> Any:
        return await self.client.execute_command(*command)

    async def keys(self) -> list[bytes]:
        return list(await self.ask("KEYS", f"fg:{{{PARTITION}}}:*"))

    async def flush(self) -> None:
        for key in await self.keys():
            await self.ask("DEL", key)

    async def save(self) -> None:
        self.replica = {key: await self.ask("DUMP", key) for key in await self.keys()}

    async def fall_back(self) -> None:
        await self.flush()
        for key, value in self.replica.items():
            await self.ask("RESTORE", key, 0, value)

    async def execute(self, sql: str, *args: Any) -> None:
        async with self.ledger.connection() as connection:
            await connection.execute(sql, *args)

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        async with self.ledger.connection() as connection:
            return await connection.fetch(sql, *args)

    def recorder(self) -> PartitionRecorder:
        """A recorder that has just been started."""
        return PartitionRecorder(PARTITION, self.kernel, self.ledger, self.settings)


class Play:
    """One sequence of steps, on both."""

    def __init__(self, real: Real, name: str) -> None:
        self.real, self.name = real, name
        self.ids = itertools.count()
        self.made: list[str] = []
        self.joined: list[str] = []
        self.stale: tuple[PartitionRecorder, list[Any], Position, Position] | None = None
        self.seen = 0
        self.died = False
        real.buyers, real.replica = Kernel(real.client), {}

    async def start(self, stock: int, rules: dict[str, Any]) -> None:
        real = self.real
        await real.flush()
        await real.execute("UPDATE flashguard.sales SET status = 'closed', closed_at = '2000-01-01'")
        await real.execute(
            "INSERT INTO flashguard.sales (id, name, status, partition, hold_seconds, max_hold_seconds,"
            " limit_per_customer, rules) VALUES ($1, 'x', 'open', $2, 1, 4, $3, $4::text::jsonb)",
            self.name, PARTITION, LIMIT, json.dumps(rules),
        )  # fmt: skip
        await real.execute(
            "INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock)"
            " VALUES ($1, 'a', 1, 'a', 1, 'EUR', $2)", self.name, stock,
        )  # fmt: skip
        position = await real.ledger.positions.get(PARTITION)
        config = Config("open", 0, 0, HOLD_MS, MAX_HOLD_MS, LIMIT, dict(rules))
        self.spec = Protocol({self.name: Sale(config, {"a": Item(stock)})}, position.epoch)
        self.spec.now_ms = START_MS
        await self.look(NEVER)

    # Steps

    async def buyers(self, verb: Verb, later_ms: int, wants: list[tuple[int, int, int, bool]]) -> None:
        self.spec.now_ms += later_ms
        requests: list[tuple[Any, ...]] = []
        for back, customer, units, buy in wants:
            if verb is Verb.RESERVE:
                if back == 0 or not self.made:
                    self.made.append(f"{next(self.ids):024x}")
                    back = 0
                id_ = self.made[-1 - back % len(self.made)]
                requests.append(
                    (self.name, id_, 7 + customer * 10 + units, f"c{customer}", ["a", units], buy)
                )
            elif verb is Verb.WAITING_LIST:
                requests.append(self._waits(back, customer, units, buy))
            elif verb is Verb.EXPIRE:
                requests = [(self.name,)]
            elif verb is Verb.CANCEL:
                requests += self._cancels(back, restock=buy)
            elif verb is Verb.AMEND:
                requests += self._amends(back, customer, units, give=buy)
            elif self.made:
                requests.append((self.name, self.made[-1 - back % len(self.made)]))
        if not requests:
            return
        kernel = self.real.buyers
        kernel.clock_ms = self.spec.now_ms
        reply = await kernel.run(verb, PARTITION, [SaleId(self.name)], [(0, *rest) for _, *rest in requests])
        expected = self.spec.call(verb, requests, self.seen)
        if expected is None:
            assert reply.status == "recovering"
            return
        assert self.spec.memory is not None
        state = self.spec.memory.state
        assert reply == Reply("", state.epoch, state.seq, state.now_ms, expected)
        self.seen = max(self.seen, state.epoch)

    def _waits(self, back: int, customer: int, units: int, leave: bool) -> tuple[Any, ...]:
        """Who joins the waiting list; or who joined it, with the same key or to leave."""
        if back == 0 or not self.joined:
            self.joined.append(f"{next(self.ids):024x}")
            back = 0
        id_ = self.joined[-1 - back % len(self.joined)]
        if leave:
            return self.name, "leave", id_
        return self.name, "join", id_, 7 + customer * 10 + units, f"c{customer}", "a", units, 0

    def _order(self, id_: str) -> dict[str, Any] | None:
        """An order as the ledger has it."""
        one = self.spec.sales[self.name].reservations.get(id_)
        if one is None or one.status != "confirmed":
            return None
        what = {"fingerprint": one.fingerprint, "customer": one.customer, "lines": one.lines}
        return {**what, "revision": one.revision}

    def _cancels(self, back: int, *, restock: bool) -> list[tuple[Any, ...]]:
        """A cancel of an order that the ledger has, in whatever state memory is."""
        orders = [id_ for id_ in self.spec.sales[self.name].reservations if self._order(id_)]
        if not orders:
            return []
        id_ = orders[-1 - back % len(orders)]
        return [(self.name, id_, self._order(id_), restock, "why")]

    def _amends(self, back: int, customer: int, units: int, *, give: bool) -> list[tuple[Any, ...]]:
        """An amend of what the ledger has as an order, else as of a hold; the same of each is one key."""
        if not self.made:
            return []
        id_ = self.made[-1 - back % len(self.made)]
        order = self._order(id_)
        give = give and order is None
        change = {"customer": f"c{customer}"} if give else {"lines": ["a", units], "restock": customer > 0}
        request = (self.name, id_, f"amend:{id_}:{customer}:{units}:{give}", 5, change)
        return [request if order is None else (*request, order)]

    async def cancel(self, back: int, restock: bool) -> None:
        """The shop takes an order back; to have one in the ledger, somebody buys first."""
        await self.buyers(Verb.RESERVE, 0, [(0, back, 1, True)])
        await self.record(NEVER, "never")
        await self.buyers(Verb.CANCEL, 1, [(back, 0, 0, restock)])

    async def record(self, count: int, crash: str) -> None:
        """A recorder reads a group of at most `count` entries; it may die before or after the commit."""
        if not self.spec.sound:
            return
        recorder = self.real.recorder()
        position = recorder.position = await self.real.ledger.positions.get(PARTITION)
        recorder.state = Recording()
        raw = await self.real.kernel.entries(PARTITION, position.epoch, position.seq + 1, count=count)
        run, end, whole = last_position([decode_entry(*each) for each in raw], position)
        assert whole
        assert len(run) == min(count, self.spec.unrecorded)
        if not run:
            return
        self.stale = (recorder, run, position, end)
        if crash == "before the commit":
            kernel = self.real.kernel
            kernel.verbs.clear()
            recorder._write = _dies  # type: ignore[method-assign]
            with pytest.raises(Crash):
                await recorder._follow()
            assert Verb.ANNOUNCE not in kernel.verbs
            self.stale = None
            return
        assert list(await recorder._write(run, position, end)) == []
        self.spec.record(len(run))
        if crash == "after the commit":
            return
        recorder.position = end
        await recorder._announce(run, ())
        assert self.spec.announce()

    async def second(self) -> None:
        """Another recorder comes late with a group that it read some time ago."""
        if self.stale is None:
            return
        recorder, run, position, end = self.stale
        still = await self.real.ledger.positions.get(PARTITION) == position
        if still:
            return  # it is not late
        with pytest.raises(Overtaken):
            await recorder._write(run, position, end)

    async def look(self, calls: int) -> None:
        """A recorder starts, looks at memory and mends it; it dies before its n-th script call."""
        kernel, spec = self.real.kernel, self.spec
        kernel.clock_ms, kernel.calls_left = spec.now_ms, calls
        before = spec.epoch
        wrong = not spec.sound
        try:
            await self.real.recorder()._settle()
            died = False
        except Crash:
            died = self.died = True
        except Overtaken:
            assert self.died, "nobody else is here"
            kernel.calls_left = NEVER
            spec.now_ms += LEASE_MS  # the dead builder's fence stands until its lease has run out
            await self.look(calls)
            return
        finally:
            kernel.calls_left = NEVER
        if not wrong:
            return
        if calls > 0:  # the first call fences
            spec.fence()
        raised = (await self.real.ledger.positions.get(PARTITION)).epoch > before
        if raised:
            spec.raise_epoch()
        elif calls > 0:
            spec.record_all()
        if not died:
            spec.build()

    async def save(self) -> None:
        await self.real.save()
        self.spec.save()

    async def fall_back(self) -> None:
        await self.real.fall_back()
        self.spec.fall_back()

    async def flush(self) -> None:
        await self.real.flush()
        self.spec.flush()

    # What must hold after every step

    async def check(self) -> None:
        spec = self.spec
        position = await self.real.ledger.positions.get(PARTITION)
        assert (position.epoch, position.seq) == (spec.epoch, spec.seq)
        [item] = await self.real.fetch("SELECT * FROM flashguard.items WHERE sale_id = $1", self.name)
        sale = spec.sales[self.name]
        theirs = sale.items["a"]
        assert (item["stock"], item["held"], item["sold"]) == (theirs.stock, theirs.held, theirs.sold)
        assert item["held"] + item["sold"] <= item["stock"]
        orders = [one for one in sale.reservations.values() if one.status == "confirmed"]
        assert item["sold"] == sum(sum(one.lines[1::2]) for one in orders)
        rows = await self.real.fetch(
            "SELECT id, status, customer, lines, details FROM flashguard.reservations WHERE sale_id = $1",
            self.name,
        )
        assert {
            row["id"]: (
                row["status"],
                row["customer"],
                json.loads(row["lines"]),
                json.loads(row["details"] or "{}"),
            )
            for row in rows
        } == {
            id_: (one.status, one.customer, one.lines, one.details or {})
            for id_, one in sale.reservations.items()
        }
        rows = await self.real.fetch(
            "SELECT key, revision FROM flashguard.amendments WHERE sale_id = $1", self.name
        )
        assert {tuple(row) for row in rows} == {(key, one.revision) for key, one in sale.amends.items()}
        assert await self.real.fetch("SELECT 1 FROM flashguard.refusals WHERE sale_id = $1", self.name) == []
        rows = await self.real.fetch(
            "SELECT id, state, customer, quantity, place FROM flashguard.waiting_list WHERE sale_id = $1",
            self.name,
        )
        assert {tuple(row) for row in rows} == {
            (id_, e.state, e.customer, e.quantity, e.place) for id_, e in sale.waiting.items()
        }
        if spec.memory is not None and not spec.memory.fenced:
            raw = await self.real.ask("HGET", keys.sale(PARTITION, SaleId(self.name)).sale, "item:a")
            of_sale = spec.memory.state.sales[self.name]
            here, aside = of_sale.items["a"], (of_sale.owed.get("a", 0), of_sale.until.get("a", 0))
            more = aside if any(aside) else ()  # units that are set aside, and until when
            assert tuple(map(int, raw.split())) == (here.stock, here.held, here.sold, *more)
            assert here.available >= 0


wants = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from([1, 1, 2]), st.booleans()),
    min_size=1, max_size=4,
)  # fmt: skip
verbs = st.sampled_from(
    [Verb.RESERVE] * 4
    + [Verb.CONFIRM, Verb.CONFIRM, Verb.RELEASE, Verb.EXPIRE]
    + [Verb.WAITING_LIST] * 2
    + [Verb.AMEND] * 3
)
rule_sets = st.sampled_from(
    [{}, {"waiting_most": 3}, {"waiting_most": 9, "waiting_hold_ms": 700},
     {"waiting_most": 9, "max_held": 2, "cool_down_ms": 2_000, "cool_down_after": 1}]
)  # fmt: skip
calls = st.tuples(st.just("buyers"), verbs, st.sampled_from([0, 1, 300, 1_000]), wants)
crashes = st.sampled_from(["never", "never", "before the commit", "after the commit"])
records = st.tuples(st.just("record"), st.integers(1, 4), crashes)
looks = st.tuples(st.just("look"), st.sampled_from([NEVER, NEVER, 0, 1, 2, 3, 4, 5]))
losses = st.sampled_from([("save",), ("fall_back",), ("flush",), ("second",)])
cancels = st.tuples(st.just("cancel"), st.integers(0, 2), st.booleans())
steps = st.one_of(calls, calls, calls, records, records, cancels, looks, losses)


def _buys(customer: int, units: int = 1) -> tuple[Any, ...]:
    return ("buyers", Verb.RESERVE, 1, [(0, customer, units, True)])


AN_OLDER_EPOCH = [
    ("save",), ("flush",), ("look", NEVER), _buys(0), ("fall_back",), _buys(1), ("look", NEVER),
]  # fmt: skip
"""An old copy of memory comes back to a process that has seen a newer epoch."""
ANOTHER_HISTORY = [
    ("save",), _buys(0), ("record", 4, "never"), ("fall_back",), _buys(1, 2), ("record", 4, "never"),
    ("look", NEVER), _buys(2),
]  # fmt: skip
"""An old copy of memory decides on, as far as the entry that the ledger has from the other history."""
SET_ASIDE = [
    ("buyers", Verb.RESERVE, 0, [(0, 0, 1, False)]),
    ("buyers", Verb.WAITING_LIST, 0, [(0, 0, 1, False), (0, 0, 2, False)]),
    ("look", NEVER), ("record", 4, "never"),
]  # fmt: skip
"""A unit is set aside for an entry of the waiting list that wants two."""


@pytest.mark.timeout(7200 if LONG else 180)
def test_kernel_recorder_and_ledger_keep_to_the_protocol_whatever_dies() -> None:
    """On servers of its own: the other tests' recorder would take part."""
    numbers = itertools.count()

    async def play(stock: int, rules: dict[str, Any], some: list[tuple[Any, ...]]) -> None:
        one = Play(real, f"protocol-{os.getpid()}-{next(numbers)}")
        await one.start(stock, rules)
        for name, *rest in some:
            await getattr(one, name)(*rest)
            await one.check()
        await one.look(NEVER)
        await one.check()

    @settings(
        max_examples=SEQUENCES, deadline=None, database=None, print_blob=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @example(8, {}, AN_OLDER_EPOCH)
    @example(8, {}, ANOTHER_HISTORY)
    @example(3, {"waiting_most": 3}, SET_ASIDE)
    @given(st.integers(1, 8), rule_sets, st.lists(steps, min_size=5, max_size=30))
    def every_sequence(stock: int, rules: dict[str, Any], some: list[tuple[Any, ...]]) -> None:
        runner.run(play(stock, rules, copy.deepcopy(some)))

    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        servers = runner.run(stack.enter_async_context(migrated_servers()))
        ledger = runner.run(Ledger.connect(servers.database_url))

        async def connect() -> Real:
            return Real(servers, ledger)

        real = runner.run(connect())
        try:
            every_sequence()
        finally:
            runner.run(real.client.aclose())
            runner.run(ledger.close())
            runner.run(stack.aclose())
