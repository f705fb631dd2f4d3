"""One run of a farm of bots against people: see `farm.py`."""

import heapq
import json
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.model import IdentityLimit, SaleId, WaitingRoom
from flashguard.model.limits import limit_rules
from flashguard.model.lottery import number
from flashguard.model.room import room_rules
from flashguard.model.rules import Rules, to_kernel
from flashguard.recorder.load import more_keys
from flashguard.waiting.proof_of_work import tries
from tests.properties.memory import Wire, memory_server

RESULTS: Final = Path(__file__).parent / "results"
SALE = SaleId("drop")
SEED_OF_LOTTERY = "5e" * 32
OPENS_MS = 1_800_000_000_000
REGISTER_SECONDS = 600
"""Tickets are issued for this long before the opening."""
SALE_SECONDS = 1_200
HOLD_SECONDS = 120
SHARE_RESOLD = 0.5
"""Of a bot's holds: those that it finds a customer for, and pays."""
SHARE_PAID = 0.9
"""Of a person's holds."""
PEOPLE_MEAN_SECONDS = 30.0
"""After the opening, until a person asks; exponential."""
PAY_SECONDS = (20.0, 90.0)
COME_BACK_SECONDS = (30.0, 90.0)
PATIENCE_SECONDS = 600.0
BOT_RETRY_MS = 5_000
"""It also asks at once when a hold of its own ends."""
BOT_DELAY_MS = (1, 50)
POLL_MS = 10_000
PAGE_WORKERS = 4
"""Of a person's browser, which share the tries."""


class Scene(Struct, frozen=True, kw_only=True):
    """One row of the table: the rules of the sale, and what a name is.

    Parameters:
        tied: the shop's customer is the card or telephone behind a name, and a bot has one of them.
        by_card: requests name a card beside the customer, the rules count by it, too, and a bot has one.
    """

    name: str
    rules: Rules = field(default_factory=Rules)
    room: WaitingRoom | None = None
    tied: bool = False
    by_card: bool = False


class Crowd(Struct, frozen=True, kw_only=True):
    """Who wants what."""

    people: int = 5_000
    bots: int = 200
    identities: int = 20
    cores: int = 8
    """Of the whole farm, to solve proofs with."""
    stock: int = 1_000


class Outcome(Struct, frozen=True, kw_only=True):
    """What a run came to."""

    scene: str
    bots_orders: int
    people_orders: int
    left: int
    """Neither sold nor held for good when the sale ends."""
    bots_share: float
    """Of the units sold."""
    blocked_share: float
    """Of the stock's unit-seconds in the first ten minutes: held by bots, and not sold."""
    people_wait_seconds: float | None
    """Mean, from a person's first attempt to the hold that was paid; None where no person got a unit."""
    tickets_of_bots: int | None = None
    proof_cpu_hours: float | None = None
    """Of the farm."""
    person_proof_seconds: float | None = None
    """Mean CPU of a person's proof."""


class Run:
    """One scene, played from the first ticket to the end of the sale."""

    def __init__(
        self, wire: Wire, kernel: Kernel, scene: Scene, crowd: Crowd, costs: dict[str, float]
    ) -> None:
        self._wire, self._kernel, self.scene, self.crowd = wire, kernel, scene, crowd
        self._costs = costs
        self._random = random.Random(7)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._counter = 0
        self._ids = 0
        self.orders = {"bot": 0, "person": 0}
        self.blocked_ms = 0
        self.waits_ms: list[int] = []
        self.admissions: dict[str, int] = {}
        self._entering: dict[str, Callable[[], None]] = {}
        self._called: set[str] = set()
        self.tickets = {"bot": 0, "person": 0}
        self.proof_ms = {"bot": 0.0, "person": 0.0}
        self._names: deque[tuple[str, Callable[[], None]]] = deque()
        """Those of the farm that have no ticket yet."""
        self._set_up()

    def _set_up(self) -> None:
        start_ms = OPENS_MS - (REGISTER_SECONDS * 1_000 if self.scene.room else 1)
        self._kernel.clock_ms = start_ms
        self._wire.ask("FLUSHALL")
        self._run(Verb.FENCE, [], ["1"])
        self._run(Verb.UNFENCE, [], ["1", "t", "w", 0])
        rules = to_kernel(self.scene.rules)
        if self.scene.by_card:
            card = IdentityLimit("card", self.crowd.stock, hold_rules=True)
            rules |= limit_rules((), (card,))
        if self.scene.room:
            rules |= room_rules(self.scene.room, opened=False)
        hold_ms = HOLD_SECONDS * 1_000
        config = ["scheduled", OPENS_MS, 0, hold_ms, hold_ms, 0, *(["", rules] if rules else [])]
        load = ("new", "", config, ["item:unit", f"{self.crowd.stock} 0 0"], [], [], [])
        assert self._run(Verb.LOAD, [SALE], load, more_keys(0, SALE)) == ["loaded"]
        for bot in range(self.crowd.bots):
            self._add_bot(bot)
        for person in range(self.crowd.people):
            self._add_person(f"person-{person}")
        if self.scene.room:
            self.at(OPENS_MS, self._beat)
            self._random.shuffle(self._names)
            for _ in range(self.crowd.cores):
                self.at(start_ms + 1, self._next_name)

    def _run(self, verb: Verb, sales: Any, requests: Any, more: Any = ()) -> list[Any]:
        reply = self._wire.run(self._kernel.run(verb, 0, sales, requests, more_keys=more))
        assert reply.status == "", reply
        return reply.results

    @property
    def now_ms(self) -> int:
        return self._kernel.clock_ms

    def at(self, ms: float, what: Callable[[], None]) -> None:
        self._counter += 1
        heapq.heappush(self._events, (max(math.ceil(ms), self.now_ms), self._counter, what))

    def play(self) -> Outcome:
        until = OPENS_MS + SALE_SECONDS * 1_000
        while self._events and self._events[0][0] <= until and sum(self.orders.values()) < self.crowd.stock:
            self._kernel.clock_ms, _, what = heapq.heappop(self._events)
            what()
        sold = sum(self.orders.values())
        ten_minutes = self.crowd.stock * 600_000
        room = self.scene.room
        proofs = bool(room and room.proof_of_work)
        return Outcome(
            scene=self.scene.name,
            bots_orders=self.orders["bot"],
            people_orders=self.orders["person"],
            left=self.crowd.stock - sold,
            bots_share=round(self.orders["bot"] / max(1, sold), 3),
            blocked_share=round(self.blocked_ms / ten_minutes, 3),
            people_wait_seconds=(
                round(sum(self.waits_ms) / len(self.waits_ms) / 1_000, 1) if self.waits_ms else None
            ),
            tickets_of_bots=self.tickets["bot"] if room else None,
            proof_cpu_hours=round(self.proof_ms["bot"] / 3_600_000, 6) if proofs else None,
            person_proof_seconds=(
                round(self.proof_ms["person"] / max(1, self.tickets["person"]) / 1_000, 2) if proofs else None
            ),
        )

    # The calls

    def hold(self, customer: str, card: str | None = None) -> list[Any]:
        """Ask for a unit; return the kernel's result, with the hold's id first where there is one.

        Parameters:
            card: where the scene counts by it; None: one that no other customer has.
        """
        self._ids += 1
        id_ = f"r{self._ids}"
        request = (0, id_, 1, customer, ["unit", 1], False, self.admissions.get(customer, 0))
        if self.scene.by_card:
            request += (None, {"identities": {"card": card or customer}})
        [result] = self._run(Verb.RESERVE, [SALE], [request])
        if result[0] == "held" and self.scene.room:
            self._run(Verb.LEAVE_ROOM, [SALE], [(0, customer, 1)])
        return [id_, *result]

    def confirm(self, id_: str, who: str) -> None:
        [result] = self._run(Verb.CONFIRM, [SALE], [(0, id_)])
        assert result[0] == "confirmed", result
        self.orders[who] += 1

    # The room

    def _take_ticket(self, customer: str, who: str, then: Callable[[], None]) -> None:
        """Solve the proof, if one is demanded, then take a ticket; `then` when its turn has come."""
        room = self.scene.room
        assert room is not None
        cpu_ms = 0.0
        if room.proof_of_work:
            waiting = self._wire.ask("ZCARD", keys.room(0, SALE).waiting)
            cpu_ms = (self._random.randrange(2 * tries(room, waiting)) + 1) * self._costs[who]
        self.proof_ms[who] += cpu_ms
        solved_ms = self.now_ms + (cpu_ms / PAGE_WORKERS if who == "person" else cpu_ms)
        self.at(solved_ms, partial(self._ticket, customer, who, then))

    def _ticket(self, customer: str, who: str, then: Callable[[], None]) -> None:
        drawn, proof = number(SEED_OF_LOTTERY, customer), (f"proof {customer}", self.now_ms + 1)
        [result] = self._run(Verb.ISSUE_TICKET, [SALE], [(0, customer, drawn, [], *proof, customer)])
        if not result[0]:
            self.tickets[who] += 1
            self._entering[customer] = then
        if who == "bot":
            self._next_name()

    def _next_name(self) -> None:
        """Take a ticket for the farm's next name, now that a core is free."""
        if self._names:
            name, then = self._names.popleft()
            self._take_ticket(name, "bot", then)

    def _beat(self) -> None:
        """Once a second, see whose turn it is: they poll within ten seconds."""
        if self._entering:
            some = next(iter(self._entering))
            self._run(Verb.POLL_TICKET, [SALE], [(0, some)])
            for raw in self._wire.ask("ZRANGE", keys.room(0, SALE).active, 0, -1):
                customer = raw.decode()
                if customer in self._entering and customer not in self._called:
                    self._called.add(customer)
                    self.at(self.now_ms + self._random.randrange(POLL_MS), partial(self._enter, customer))
        self.at(self.now_ms + 1_000, self._beat)

    def _enter(self, customer: str) -> None:
        [standing] = self._run(Verb.POLL_TICKET, [SALE], [(0, customer)])
        if standing[0] == "admitted":
            self.admissions[customer] = int(standing[1])
            self._entering.pop(customer)()

    # People

    def _add_person(self, name: str) -> None:
        first_ms: list[int] = []
        pay_share = self._random.random()

        def come() -> None:
            if not first_ms:
                first_ms.append(self.now_ms)
            id_, word, *_ = self.hold(name)
            if word == "held":
                if pay_share < SHARE_PAID:
                    self.waits_ms.append(self.now_ms - first_ms[0])
                    pay_ms = self.now_ms + self._random.uniform(*PAY_SECONDS) * 1_000
                    self.at(pay_ms, lambda: self.confirm(id_, "person"))
            elif word == "sold-out" and self.now_ms - first_ms[0] < PATIENCE_SECONDS * 1_000:
                self.at(self.now_ms + self._random.uniform(*COME_BACK_SECONDS) * 1_000, come)

        if self.scene.room:
            before_ms = self._random.uniform(0, REGISTER_SECONDS) * 1_000
            self.at(OPENS_MS - before_ms, partial(self._take_ticket, name, "person", come))
        else:
            self.at(OPENS_MS + self._random.expovariate(1 / PEOPLE_MEAN_SECONDS) * 1_000, come)

    # Bots

    def _add_bot(self, bot: int) -> None:
        count = 1 if self.scene.tied else self.crowd.identities
        names = [f"bot-{bot}-{n}" for n in range(count)]
        ready: deque[str] = deque()
        waits = False

        def again(name: str) -> None:
            ready.append(name)
            grab()

        def retry() -> None:
            nonlocal waits
            waits = False
            grab()

        def grab() -> None:
            """Hold a unit with one name after another, until no name or no unit is left."""
            nonlocal waits
            while ready:
                id_, word, *more = self.hold(name := ready[0], f"card-{bot}")
                if word == "sold-out":
                    if not waits:
                        waits = True
                        self.at(self.now_ms + BOT_RETRY_MS, retry)
                    return
                ready.popleft()
                if word == "held":
                    if self.scene.rules.max_held_per_customer is None:
                        ready.append(name)
                        self._bot_holds(id_, grab)
                    else:
                        self._bot_holds(id_, partial(again, name))
                elif word == "cooling-down":
                    self.at(self.now_ms + more[0] + 1, partial(again, name))
                # else its turn in the room is over, or it has its budget

        if self.scene.room:
            self._names.extend((name, partial(again, name)) for name in names)
        else:
            ready.extend(names)
            self.at(OPENS_MS + self._random.randint(*BOT_DELAY_MS), grab)

    def _bot_holds(self, id_: str, again: Callable[[], None]) -> None:
        """Sell the unit on and pay it, or let it go; in both cases hold again."""
        over_ms = self.now_ms + HOLD_SECONDS * 1_000
        if self._random.random() < SHARE_RESOLD:
            over_ms = round(self._random.uniform(self.now_ms, over_ms - 1_000))
            self.at(over_ms, partial(self.confirm, id_, "bot"))
        self.blocked_ms += max(0, min(over_ms, OPENS_MS + 600_000) - self.now_ms)
        self.at(over_ms + self._random.randint(*BOT_DELAY_MS), again)


def measured_costs() -> dict[str, float]:
    """Return the ms of CPU of one key, as results/proof_of_work.json has them."""
    figures = json.loads((RESULTS / "proof_of_work.json").read_text())
    return {
        "bot": figures["proof_bot_cpu_ms"] / figures["tries"],
        "person": figures["proof_browser_cpu_ms"] / figures["tries"],
    }


def simulate(crowd: Crowd, scenes: Sequence[Scene]) -> list[Outcome]:
    """Play every scene on a Valkey of its own."""
    with memory_server("valkey") as wire:
        kernel = Kernel(wire, max_backlog=10**9)  # type: ignore[arg-type]
        wire.run(kernel.load_scripts())
        return [Run(wire, kernel, scene, crowd, measured_costs()).play() for scene in scenes]
