"""FlashGuard as a discrete-event simulation: workers, coalescers, partitions' Valkey, recorders, PostgreSQL.

Requests differ only in when they were sent. The input is each part's cost (`Costs`); the results are the
sizes of batches, the waits, and which part is full. Use it where every busy process has a core of its own:
where they outnumber the cores, its rates are too high by up to a half (docs/explanation/growth.md).
"""

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final

import simpy

Steps = Generator[simpy.Event, Any, None]
MAX_BATCH: Final = 512
GROUP_ENTRIES: Final = 256
TURN: Final = 64
"""Requests that a worker's loop reads at a time."""
PRESS: Final = 32
"""Answers that the client reads before it sends again."""
SLICE: Final = 0.0002
"""Seconds after which a part that shares cores yields to others."""


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU, and of waiting for disk or network."""

    client: float
    api: float
    """The API's per request."""
    turn: float
    """The API's per script call: to send it, and to read its answers."""
    call: float
    """Valkey's per script call, whatever its size."""
    decide: float
    """Valkey's per request."""
    read: float
    """Valkey's per group of the recorder: to read the journal and announce the watermark."""
    group: float
    """The recorder's per group."""
    fold: float
    """The recorder's per order."""
    transaction: float
    """PostgreSQL's per group."""
    row: float
    """PostgreSQL's per order."""
    fsync: float
    network: float
    """One way, between machines."""


@dataclass
class Plan:
    """The workers, partitions and buyers of a run."""

    workers: int
    partitions: int
    cores: int | None = None
    """Cores that all parts share; None: each part has its own."""
    connections: int = 0
    """Clients that send again after each answer; 0: buyers arrive at the rate `offered`."""
    offered: float = 0.0
    affinity: bool = True
    """Whether a worker serves the buyers of one partition only; else each calls every partition."""
    durable: bool = True
    """Whether an answer waits for its commit (a buy), or not (a hold)."""
    recorded: bool = True
    """Whether there is anything to record (not for a rejection)."""
    ledger_cores: int = 8


@dataclass
class Seen:
    """The result of one run."""

    seconds: float
    waits: list[float] = field(default_factory=list)
    calls: int = 0
    decided: int = 0
    busy: dict[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return len(self.waits) / self.seconds

    @property
    def batch(self) -> float:
        return self.decided / max(self.calls, 1)

    def wait_ms(self, share: float) -> float:
        """Return this quantile of the waits."""
        ordered = sorted(self.waits)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0


class Place:
    """One run of one plan."""

    def __init__(self, plan: Plan, costs: Costs, seed: int, seconds: float, warm: float) -> None:
        self.plan, self.costs, self.random = plan, costs, random.Random(seed)
        self.env = simpy.Environment()
        self.warm, self.seen = warm, Seen(seconds)
        self.shared = simpy.Resource(self.env, plan.cores) if plan.cores else None
        self.ledger = simpy.Resource(self.env, plan.ledger_cores)
        self.parts = [Partition(self, number) for number in range(plan.partitions)]
        self.workers = [Worker(self, number) for number in range(plan.workers)]
        self.answered: list[int] = []
        self.woken = self.env.event()
        if plan.connections:
            self.env.process(self._client())

    def run(self) -> Seen:
        """Warm up, then measure."""
        self.env.run(until=self.warm + self.seen.seconds)
        return self.seen

    def work(self, part: str, seconds: float) -> Steps:
        """Use CPU, on the shared cores or on the part's own."""
        if self.env.now >= self.warm:
            self.seen.busy[part] = self.seen.busy.get(part, 0.0) + seconds
        if self.shared is None:
            yield self.env.timeout(seconds)
            return
        while seconds > 0:
            with self.shared.request() as core:
                yield core
                step = min(seconds, SLICE)
                yield self.env.timeout(step)
                seconds -= step

    def answer(self, worker: int, sent: list[float]) -> None:
        """Count these requests as answered."""
        if self.env.now >= self.warm:
            self.seen.waits += [self.env.now - each for each in sent]
        if self.plan.connections:
            self.answered += [worker] * len(sent)
            if not self.woken.triggered:
                self.woken.succeed()

    def _client(self) -> Steps:
        self.answered = [number % self.plan.workers for number in range(self.plan.connections)]
        while True:
            while self.answered:
                some, self.answered = self.answered[:PRESS], self.answered[PRESS:]
                yield from self.work("client", self.costs.client * len(some))
                for worker in some:
                    self.workers[worker].take(self.env.now)
            self.woken = self.env.event()
            yield self.woken


class Partition:
    """One partition: its Valkey's only thread, its journal, and the recorder that reads it."""

    def __init__(self, place: Place, number: int) -> None:
        self.place, self.env, self.number = place, place.env, number
        self.calls: list[tuple[float, simpy.Event]] = []
        self.journal: list[tuple[int, list[float]]] = []
        self.called, self.written = self.env.event(), self.env.event()
        self.env.process(self._serve())
        self.env.process(self._record())

    def call(self, cost: float) -> simpy.Event:
        """Queue work for the server; return the event of its answer."""
        done = self.env.event()
        self.calls.append((cost, done))
        if not self.called.triggered:
            self.called.succeed()
        return done

    def _serve(self) -> Steps:
        """Do all waiting work, then one fsync, then answer all: `appendfsync always`."""
        while True:
            if not self.calls:
                self.called = self.env.event()
                yield self.called
            calls, self.calls = self.calls, []
            yield from self.place.work("valkey", sum(cost for cost, _ in calls))
            yield self.env.timeout(self.place.costs.fsync)
            for _, done in calls:
                done.succeed()

    def note(self, worker: int, sent: list[float]) -> None:
        """Append a journal entry."""
        self.journal.append((worker, sent))
        if not self.written.triggered:
            self.written.succeed()

    def _record(self) -> Steps:
        costs, place = self.place.costs, self.place
        while True:
            if not self.journal:
                self.written = self.env.event()
                yield self.written
            entries, self.journal = self.journal[:GROUP_ENTRIES], self.journal[GROUP_ENTRIES:]
            orders = sum(len(sent) for _, sent in entries)
            yield from place.work("recorder", costs.group + costs.fold * orders)
            yield self.env.timeout(2 * costs.network)
            with place.ledger.request() as core:
                yield core
                yield from place.work("postgres", costs.transaction + costs.row * orders)
            yield self.env.timeout(costs.fsync)
            yield self.call(costs.read)
            yield self.env.timeout(costs.network)
            if place.plan.durable:
                for worker, sent in entries:
                    place.answer(worker, sent)


class Worker:
    """One API process: a turn reads new requests; each partition's coalescer has one call in flight."""

    def __init__(self, place: Place, number: int) -> None:
        self.place, self.env, self.number = place, place.env, number
        plan = place.plan
        self.homes = [number % plan.partitions] if plan.affinity else list(range(plan.partitions))
        self.inbox: list[float] = []
        self.queues: dict[int, list[float]] = {home: [] for home in self.homes}
        self.under_way: set[int] = set()
        self.turns = 0
        """Calls sent, whose own cost the next turn pays: a worker has one thread."""
        self.woken = self.env.event()
        self.env.process(self._turns())

    def take(self, sent: float) -> None:
        """Accept a request."""
        self.inbox.append(sent)
        if not self.woken.triggered:
            self.woken.succeed()

    def _turns(self) -> Steps:
        plan, costs = self.place.plan, self.place.costs
        rate = plan.offered / plan.workers
        came = self.env.now
        while True:
            if plan.connections and not self.inbox:
                self.woken = self.env.event()
                yield self.woken
            elif not plan.connections:
                while (came := came + self.place.random.expovariate(rate)) < self.env.now:
                    self.inbox.append(came)
                if not self.inbox:  # `came` is the next one
                    yield self.env.timeout(came - self.env.now)
                    self.inbox.append(came)
                else:
                    came = self.env.now
            some, self.inbox = self.inbox[:TURN], self.inbox[TURN:]
            turns, self.turns = self.turns, 0
            yield from self.place.work("api", costs.api * len(some) + costs.turn * turns)
            for sent in some:
                home = self.homes[0] if len(self.homes) == 1 else self.place.random.choice(self.homes)
                self.queues[home].append(sent)
                if home not in self.under_way:
                    self.under_way.add(home)
                    self.env.process(self._call(home))

    def _call(self, home: int) -> Steps:
        """Send one call after the other while requests wait."""
        place, costs = self.place, self.place.costs
        yield self.env.timeout(0)  # requests of the same turn go into the same call
        while self.queues[home]:
            batch, self.queues[home] = self.queues[home][:MAX_BATCH], self.queues[home][MAX_BATCH:]
            self.turns += 1
            yield self.env.timeout(costs.network)
            yield place.parts[home].call(costs.call + costs.decide * len(batch))
            yield self.env.timeout(costs.network)
            if self.env.now >= place.warm:
                place.seen.calls += 1
                place.seen.decided += len(batch)
            if place.plan.recorded:
                place.parts[home].note(self.number, batch)
            if not (place.plan.durable and place.plan.recorded):
                place.answer(self.number, batch)
        self.under_way.discard(home)
