"""One run: a whole installation in a world, its buyers, its faults, and what must be true in the end."""

import asyncio
import random
import traceback
from collections import Counter
from functools import partial
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from flashguard import FlashGuard
from flashguard.engine.receipts import Signer
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import SaleId
from flashguard.settings import Settings
from flashguard.shop.new_sale import NewSale
from tests.campaign.checker import Violation, check, transfers
from tests.campaign.goods import new_history
from tests.campaign.history import History, Ledger
from tests.campaign.linearize import Verdict
from tests.campaign.operations import decide, failures
from tests.campaign.reading import short_ids
from tests.simulation.agreement import differences
from tests.simulation.buyers import SimulatedClients
from tests.simulation.crowd_sales import CROWD, door_sale
from tests.simulation.defects import Defects
from tests.simulation.faults import (
    FORGETTING,
    KINDS,
    LEDGER_KIND,
    Fault,
    fall_back_quietly,
    faults_of,
    is_of_a_missing_key,
    strike,
)
from tests.simulation.gate import Gate
from tests.simulation.invariants import Invariants
from tests.simulation.last_fall import fall_behind_rebuild, is_last
from tests.simulation.lost_keys import lose_counts
from tests.simulation.network import Network
from tests.simulation.paid_check import judge
from tests.simulation.payers import PAID, Payers
from tests.simulation.postgres import Postgres
from tests.simulation.processes import Api, NoAnswer, Process, RecorderProcess, ServerError
from tests.simulation.provider import BANK_FAILED, PROVIDERS
from tests.simulation.repeats import changed, repeat_requests
from tests.simulation.sales import DURABILITIES, new_sale, plan_of
from tests.simulation.servers import PARTITIONS, SECRET, Servers
from tests.simulation.settlers import Settler
from tests.simulation.state import counters_in_memory, read_ledger
from tests.simulation.valkey import Valkey
from tests.simulation.virtual import START_SECONDS, Virtual, real_seconds
from tests.simulation.waiters import Waiters
from tests.simulation.world import Stuck, World

READY_SECONDS: Final = 60.0
QUIET_SECONDS: Final = 60.0
WATCH_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 0.5
WAKES_SECONDS: Final = 4.0
"""With a waiting list nothing must be held for so long: an entry may sleep, or have units set aside."""
PAID_SECONDS: Final = 6.0
"""How long after the others a fault of payments may come."""
STEPS_OF_SEARCH: Final = 30_000
VALKEY: Final = "/simulation/valkey.sock"
POSTGRES: Final = "/simulation"


class Result(Struct):
    """What became of one seed."""

    seed: str
    trace: str
    violations: list[Violation]
    kind: str
    faults: list[str]
    seconds: float
    simulated_seconds: float
    answers: Counter[str]
    events: list[str]
    steps: int
    undecided: int = 0


class Shop:
    """The installation of one seed."""

    def __init__(self, servers: Servers, seed: str) -> None:
        self.servers, self.seed = servers, seed
        self.world = World(seed)
        self.rng = random.Random(f"{seed} shop")
        self.network = Network(self.world)
        self.postgres = Postgres(self.world, servers.backends, servers.clock)
        self.primary = Valkey(self.world, "valkey-a", servers.wires[0], servers.ears)
        self.replica = Valkey(self.world, "valkey-b", servers.wires[1], servers.ears)
        self.replica.is_down = True
        self.network.servers[VALKEY] = lambda _: self.primary
        self.network.servers[f"{POSTGRES}/.s.PGSQL.5432"] = lambda _: self.postgres
        rng = self.rng
        self.partitions = rng.choice(PARTITIONS)
        self.world.latency = rng.choice([0.0001, 0.0005, 0.003])
        self.postgres.slow_seconds = rng.choice([0.0, 0.003, 0.03])
        self.settings = Settings(
            redis_url=f"unix://{VALKEY}",
            database_url=f"postgresql://flashguard@/flashguard?host={POSTGRES}",
            group_entries=rng.choice([1, 3, 16, 256]),
            max_batch=rng.choice([1, 4, 64]),
            journal_tail_seconds=rng.choice([5.0, 60.0]),
            memory_timeout_seconds=rng.choice([0.5, 2.0]),
            record_timeout_seconds=rng.choice([1.0, 5.0]),
            payment_providers=PROVIDERS,
        )
        self.apis = [Api(self.world, self.network, f"api-{n}", self.settings) for n in range(2)]
        recorders = rng.choice([1, 2, 2])
        self.recorders = [
            RecorderProcess(self.world, self.network, f"recorder-{n}", self.settings)
            for n in range(recorders)
        ]
        self.kind = rng.choice([*KINDS, *KINDS, "memory forgets"])
        self.plan = plan_of(seed, rng, self.partitions)
        self.history = new_history("sale", self.plan)
        self.history.wall_offset = START_SECONDS
        self.sale = new_sale(self.plan, self.history, rng.choice(DURABILITIES))
        self.faults = faults_of(self.kind, rng)
        self.falls_back_last = (
            self.kind == LEDGER_KIND and self.settings.journal_tail_seconds > 30 and rng.random() < 0.7
        )
        self.loses_counts = self.kind != LEDGER_KIND and rng.random() < 0.3
        self.memory_forgets = any(fault in FORGETTING for fault in self.faults)
        self.clients = SimulatedClients(
            self.plan, self.history, self.apis, random.Random(f"{seed} buyers"),
            loses=rng.choice([0.0, 0.0, 0.02]), doubles=rng.choice([0.0, 0.1]),
            answered=lambda told: self.invariants.answered(told),
        )  # fmt: skip
        self.clients.pace_seconds = rng.choice([0.03, 0.12, 0.3])
        self.violations: list[Violation] = []
        self.invariants = Invariants(self, self.violations.append)
        self.crowd = Waiters(
            self.apis, random.Random(f"{seed} crowd"), size=rng.choice([0, 2, 4]),
            partitions=self.partitions,
            promised=lambda id_, word: self.invariants.promised(id_, word),
            forgets=lambda: self.memory_forgets or self.invariants.ledger_went_back,
            is_order=lambda id_: self.invariants.is_order(id_),
        )  # fmt: skip
        self.failover = asyncio.Lock()
        """Held while a replica is promoted: none is overwritten once it is the primary."""
        self.primary.restored = self.replica.restored = self._have_orders_looked_at
        self.payers = Payers(
            self.world, self.apis, random.Random(f"{seed} payers"), self.invariants.promised,
            is_possible=self.kind != LEDGER_KIND,  # an older ledger forgets payments, as documented
        )  # fmt: skip
        self.settlers = [
            Settler(self.world, self.network, f"settler-{n}", self.settings)
            for n in range(self.payers.settlers)
        ]
        self.faults += self.payers.faults
        self.gate = Gate(self.apis, random.Random(f"{seed} gate"), self.invariants.promised, self.partitions)
        self.undecided = 0

    def _have_orders_looked_at(self) -> None:
        """Have buyers ask again for what they were told of before memory fell back."""
        told = self.clients.history.told
        self.crowd.look_again([t.id for t in told if (t.ask.verb, t.word) == ("confirm", "confirmed")])

    @property
    def processes(self) -> list[Process]:
        return [*self.apis, *self.recorders, *self.settlers]

    def run(self, defects: Defects) -> Result:
        """Run the seed to its end."""
        started = real_seconds()
        self.servers.reset(self.partitions)
        random.seed(f"{self.seed} process")
        Virtual.entropy = random.Random(f"{self.seed} entropy")
        asyncpg.connection._uid = 0  # type: ignore[attr-defined]  # it numbers the savepoints of a whole process
        defects.found.clear()
        defects.errors.clear()
        defects.world = self.world
        loop = self.world.loop("harness")
        main = loop.create_task(self._main(defects))
        try:
            self.world.run(main.done)
            main.result()
        except Stuck as error:
            self.violations.append(Violation("stuck", str(error)))
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            self.violations.append(Violation("harness or recovery failed", text[-2500:]))
        defects.world = None
        self.violations += [Violation("defect", what) for what in defects.found]
        self._judge_errors(defects)
        result = Result(
            self.seed, self.world.trace, self.violations, self.kind,
            [fault.__name__ for fault in self.faults], real_seconds() - started, self.world.now,
            self.crowd.words + Counter(told.word for told in self.history.told),
            list(self.world.events), self.world.steps, self.undecided,
        )  # fmt: skip
        for server in (self.primary, self.replica, self.postgres):
            server.is_down = True
            server.cut_all("the run is over")
        self.world.tape = None
        self.world.end()
        self.postgres.end()
        return result

    def _judge_errors(self, defects: Defects) -> None:
        """Check that no error was logged, where no server lost anything."""
        if not self.memory_forgets and not self.invariants.ledger_went_back:
            errors = [what for what in defects.errors if BANK_FAILED not in what]
            self.violations += [Violation("error in the log", what) for what in errors]

    async def _main(self, defects: Defects) -> None:
        for process in self.processes:
            process.start()
        await self._until_ready()
        await self._open(self.sale)
        await self._open(self.crowd.sale)
        await self._open(door_sale())
        if self.gate.size:
            await self._open(self.gate.sale())
        if self.payers.size:
            await self._open(self.payers.sale())
        shopping = asyncio.ensure_future(self.clients.shop())
        crowding = asyncio.ensure_future(self.crowd.run())
        queueing = asyncio.ensure_future(self.gate.run())
        paying = asyncio.ensure_future(self.payers.run())
        watching = asyncio.ensure_future(self._watch())
        lasts = self.rng.uniform(0.5, 5.0)
        faults = [asyncio.ensure_future(self._fault(fault, lasts)) for fault in self.faults]
        faults_of_payments = [
            asyncio.ensure_future(self._fault(fault, lasts + PAID_SECONDS))
            for fault in self.payers.later_faults
        ]
        await asyncio.sleep(lasts)
        for fault in faults:
            await fault
        await self._heal()
        self.clients.loses = 0.0
        self.payers.bank.heal()
        await asyncio.sleep(self.rng.uniform(0.0, 0.5))
        if self.falls_back_last:
            self.servers.copies.save("older")
        for each in (self.clients, self.crowd, self.gate, self.payers):
            each.closing = True
        await asyncio.gather(shopping, crowding, queueing, paying)
        while any(api.under_way for api in self.apis):  # for buyers who have given up
            await asyncio.sleep(0.1)
        if self.falls_back_last:
            await fall_back_quietly(self)
        ledger = await self._quiet(self.history)
        self._judge(ledger)
        of_crowd = History(CROWD, None, {}, waiting_list=True)
        crowd = await self._quiet(of_crowd)
        self._judge_crowd(crowd)
        self._compare_counts(ledger, crowd)
        if self.loses_counts:
            await lose_counts(self, ("sale", CROWD))
            self._compare_counts(ledger, crowd)
        if self.payers.size:
            await asyncio.gather(*faults_of_payments)
            quiet = partial(self._quiet, History(PAID, None, {}))
            self.violations += await judge(self.payers, self.servers.backends.own, quiet, self._restart)
        watching.cancel()
        self.violations += self.gate.violations() if not self.memory_forgets else ()
        self.violations += await repeat_requests(self.clients, self.rng, forgets=self.memory_forgets)
        await self.crowd.repeat()
        self.violations += changed(ledger, await self._quiet(self.history))
        self.violations += changed(crowd, await self._quiet(of_crowd))
        if is_last(self.seed):
            self._judge_errors(defects)
            self.violations += await fall_behind_rebuild(self)

    async def _watch(self) -> None:
        while True:
            self.invariants.check()
            await asyncio.sleep(WATCH_SECONDS)

    async def _fault(self, fault: Fault, lasts: float) -> None:
        rng = random.Random(self.rng.random())
        await asyncio.sleep(rng.uniform(0.0, lasts))
        self.world.note("fault", fault.__name__)
        await strike(fault, self, rng)
        self.world.note("fault", f"{fault.__name__} is over")

    async def _heal(self) -> None:
        self.world.note("harness", "heals")
        self.primary.is_down = self.postgres.is_down = False
        self.primary.refuses, self.primary.deaf, self.postgres.slow_seconds = b"", 0.0, 0.0
        self.world.log_seconds = 0.0
        for process in self.processes:
            if process.is_alive and process.task is not None and process.task.done():
                process.task.result()
                if isinstance(process, RecorderProcess):
                    raise AssertionError(f"{process.name} has ended by itself")
            if not process.is_alive:
                process.start()
        self.invariants.progress.healed()
        await self._until_ready()

    async def _restart(self) -> None:
        for process in (*self.apis, *self.settlers):
            process.kill()
            process.start()
        await self._until_ready()

    async def _until_ready(self) -> None:
        deadline = self.world.now + READY_SECONDS
        while any(api.guard is None for api in self.apis):
            if self.world.now > deadline:
                raise AssertionError("the API does not become ready")
            await asyncio.sleep(0.02)

    async def _ask(self, work: Any) -> Any:
        """Have a process do this, again and again until it does."""
        deadline = self.world.now + READY_SECONDS
        while True:
            try:
                return await self.apis[0].call(work)
            except (NoAnswer, MemoryAway, LedgerAway, ServerError) as error:
                if self.world.now > deadline:
                    raise
                self.world.note("harness", f"asks again: {error!r}")
                await asyncio.sleep(0.1)

    async def _open(self, sale: NewSale) -> None:
        async def create(guard: FlashGuard) -> Any:
            done = await guard.shop.create_sale(sale, key=f"create {sale.id}")
            if isinstance(done, tuple):
                done = await guard.shop.change(sale.id, "open", key=f"open {sale.id}")  # type: ignore[arg-type]
            return done

        deadline = self.world.now + READY_SECONDS
        while not isinstance(done := await self._ask(create), tuple):
            if self.world.now > deadline:
                raise AssertionError(f"the sale does not open: {done}")
            await asyncio.sleep(0.1)

    async def _quiet(self, history: History) -> Ledger:
        """Wait until every hold has ended and everything is recorded; then read the whole state."""
        deadline = self.world.now + QUIET_SECONDS
        since: float | None = None
        lasts = WAKES_SECONDS if history.waiting_list else 0.0
        while True:
            sale = await self._ask(lambda guard: guard.shop.sale(SaleId(history.sale)))
            memory = counters_in_memory(sale)
            ledger = read_ledger(self.servers.backends.own, history, memory)
            is_still = not any(item.held for item in memory.values()) and not any(transfers(ledger))
            is_quiet = is_still and ledger.items == memory
            since = (self.world.now if since is None else since) if is_quiet else None
            is_late = self.world.now > deadline
            if is_late or (since is not None and self.world.now - since >= lasts):
                report = await self._ask(lambda guard: guard.shop.audit(SaleId(history.sale)))
                if is_late or report.ok:  # else perhaps a key is missing, and it is not noticed yet
                    break
            await asyncio.sleep(LOOK_SECONDS)
        audit = None if report.ok else msgspec.to_builtins(report)
        return msgspec.structs.replace(ledger, audit_ok=report.ok, audit=audit)

    def _judge(self, ledger: Ledger) -> None:
        short_id = short_ids(self.history, Signer(SECRET), self.plan.spread)
        forgets = self.memory_forgets
        found = check(self.history, ledger, short_id, memory_forgets=forgets)
        self.violations += [each for each in found if not is_of_a_missing_key(each, self.faults)]
        if forgets:
            return
        decisions = decide(self.history, ledger, short_id, budget=STEPS_OF_SEARCH)
        self.undecided = sum(decision.verdict is Verdict.UNDECIDED for decision in decisions)
        self.violations += [Violation("not linearizable", what) for what in failures(decisions)]

    def _compare_counts(self, ledger: Ledger, crowd: Ledger) -> None:
        """Check that memory counts for each customer what the ledger has."""
        plan = self.plan
        history = bool(plan.waiting_list or plan.max_held or plan.cool_down_after)
        self.violations += differences(self.primary, "sale", ledger, keeps_history=history)
        self.violations += differences(self.primary, CROWD, crowd, keeps_history=True)

    def _judge_crowd(self, ledger: Ledger) -> None:
        """Judge the sale on which everything was done."""
        statuses = {f"{row.part}.{row.id}": row.status for row in ledger.rows}
        for order in sorted(self.crowd.orders):
            if statuses.get(order) not in ("confirmed", "cancelled"):
                self.violations.append(Violation("lost order", f"{order}: {statuses.get(order)}"))
        bought: Counter[str] = Counter()
        for row in ledger.rows:
            bought[row.customer] += sum(units for _, units in row.lines if row.status == "confirmed")
        for customer, units in bought.items():
            if self.crowd.limit is not None and units > self.crowd.limit:
                what = f"crowd's {customer} bought {units} of at most {self.crowd.limit}"
                self.violations.append(Violation("limit exceeded", what))
        self.violations += self.crowd.found(ledger)
        for sku, item in ledger.items.items():
            if ledger.memory.get(sku) != item or item.held:
                what = f"crowd's {sku}: memory has {ledger.memory.get(sku)}, the ledger {item}"
                self.violations.append(Violation("leaked", what))
        if not ledger.audit_ok:
            self.violations.append(Violation("audit", str(ledger.audit)))
