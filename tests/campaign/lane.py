"""Runs rounds one after the other on one installation: sell, fault, heal, wait for the end, compare."""

import asyncio
import time
import traceback
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Protocol

import aiohttp
import msgspec

from flashguard.engine.receipts import Signer
from tests.campaign.buyers import Clients
from tests.campaign.checker import Violation, check
from tests.campaign.goods import new_history, sale_body
from tests.campaign.history import History, Ledger, Record
from tests.campaign.linearize import Verdict
from tests.campaign.list_check import IdleUnits, bound_seconds, waiting_for_free
from tests.campaign.nemesis import KILL, fault_of
from tests.campaign.operations import decide, failures
from tests.campaign.plan import MEASURED_FROM_STRIKE, Plan
from tests.campaign.processes import hit
from tests.campaign.reading import asks_of, counters_of, read_ledger, record_of, short_ids
from tests.campaign.scene import AnyStack, Scene
from tests.campaign.up_stack import ADMIN_KEY, START_SECONDS, until_ready

READY_SECONDS = 30.0
SERVE_SECONDS = 30.0
"""Seconds without service after the fault that are a violation."""
SETTLE_SECONDS = 20.0
LIST_SETTLES_SECONDS = 60.0
"""Entries that no buyer looks after are offered units, one after the other, and let them go."""
RULES_END_MS = 3_600_000
AFTERWARDS_SECONDS = 0.4
"""How long buyers continue after they are served again."""
REPLAYS_AT_ONCE = 16
REPLAYS_MOST = 150

Stack = AnyStack


class Result(msgspec.Struct):
    """The record of one round."""

    plan: dict[str, Any]
    violations: list[Violation]
    words: dict[str, int]
    seconds: float
    serve_seconds: float | None = None
    note: str = ""
    orders: int = 0
    refused_by_ledger: int = 0
    lost_holds: int = 0
    """Allowed losses: memory's newest entries, if the fault loses those."""
    refused_then_sold: int = 0
    decided: int = 0
    """The parts of the round's history that a sequential sale explains."""
    undecided: int = 0
    """The parts that the search did not decide within its budget."""
    idle_seconds: float = 0.0
    """The longest time that units were free beside an entry that they fitted, once all servers were back."""
    offers: int = 0
    """The entries of the waiting list that were offered units."""
    commit: str = ""


class Notes(Protocol):
    """Receives the results."""

    @property
    def enough(self) -> bool: ...
    def write(self, result: Result) -> None: ...
    def keep(self, the: Plan, history: History) -> None: ...
    def keep_record(self, the: Plan, record: Record) -> None: ...


class Lane:
    """Runs the rounds of one installation, one after the other."""

    def __init__(self, stack: Stack, commit: str, notes: Notes) -> None:
        self.stack = stack
        self._notes = notes
        self._commit = commit

    async def run(self, rounds: list[Plan]) -> None:
        async with aiohttp.ClientSession() as admin:
            self._admin = admin
            await self.stack.start()
            try:
                await until_ready(self.stack, START_SECONDS)
                for each in rounds:
                    self._notes.write(await self._round(each))
                    if self._notes.enough:
                        break
            finally:
                await self.stack.stop()

    async def _round(self, the: Plan) -> Result:
        started = time.monotonic()
        sale = f"s{the.number}-{zlib.crc32(the.seed.encode()):x}"
        history = new_history(sale, the)
        history.wall_offset = time.time() - time.monotonic()
        result = Result(the.as_json(), [], {}, 0.0, commit=self._commit)
        scene = Scene(the, self.stack, sale)
        steps = fault_of(the.kind)(scene)
        try:
            await self.stack.go_on()
            await anext(steps)
            await until_ready(self.stack, READY_SECONDS)
            ended = self.stack.watch_ends()
            await self._open_sale(the, history)
            await self._sell(the, history, scene, steps, result)
            ledger, short_id = await self._quiet(history, result, the.spread)
            result.violations += check(history, ledger, short_id, memory_forgets=the.memory_forgets)
            record = record_of(the, history, ledger, short_id)
            result.violations += await self._decide(record, result)
            self._notes.keep_record(the, record)
            result.violations += await self._replay(the, history, ledger)
            crashed = ended() - scene.expected
            result.violations += [Violation("crashed", part) for part in sorted(crashed)]
            _figures(result, history, ledger, short_id)
        except Exception as error:
            result.violations.append(
                Violation("harness or recovery failed", "".join(traceback.format_exception(error))[-1500:])
            )
        finally:
            await self._put_back(steps, result)
            await self._close_sale(sale)
        result.note = scene.note
        result.seconds = round(time.monotonic() - started, 3)
        if result.violations:
            self._notes.keep(the, history)
        return result

    @staticmethod
    async def _decide(record: Record, result: Result) -> list[Violation]:
        """Decide whether a sequential sale explains the round, where memory forgets nothing."""
        if record.memory_forgets:
            return []
        decisions = await asyncio.to_thread(decide, record.history, record.ledger, record.ids.__getitem__)
        result.decided = sum(decision.verdict is Verdict.LINEARIZABLE for decision in decisions)
        result.undecided = sum(decision.verdict is Verdict.UNDECIDED for decision in decisions)
        return [Violation("not linearizable", what) for what in failures(decisions)]

    @staticmethod
    async def _put_back(steps: AsyncIterator[None], result: Result) -> None:
        """Run the remaining steps of a fault, whatever the round's result."""
        try:
            async for _ in steps:
                pass
        except Exception as error:
            result.violations.append(Violation("harness or recovery failed", repr(error)))

    async def _sell(self, the: Plan, history: History, scene: Scene, steps: Any, result: Result) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=2.5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            clients = Clients(the, self.stack, history, http)
            shopping = asyncio.create_task(clients.shop())
            try:
                await asyncio.sleep(the.strike_after)
                before = time.monotonic()
                await anext(steps)
                if the.also:
                    part = "api" if the.also == "api" else the.also
                    hit(KILL, self.stack.processes_of(part)[0])
                if the.kind not in MEASURED_FROM_STRIKE:
                    await asyncio.sleep(the.lasts)
                with suppress(StopAsyncIteration):
                    await anext(steps)
                from_strike = the.kind in MEASURED_FROM_STRIKE
                moment = (scene.struck_at or before) if from_strike else time.monotonic()
                deadline = time.monotonic() + SERVE_SECONDS
                while (at := clients.served_after(moment, asked_after=from_strike)) is None:
                    if time.monotonic() > deadline:
                        result.violations.append(
                            Violation("not serving", f"{SERVE_SECONDS:g} s after the fault")
                        )
                        break
                    await asyncio.sleep(0.02)
                result.serve_seconds = None if at is None else round(at - moment, 3)
                await asyncio.sleep(AFTERWARDS_SECONDS)
            finally:
                clients.closing = True
                await shopping
                history.struck_at = scene.first_struck_at

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Make a call of the shop, and repeat it until it succeeds."""
        deadline = time.monotonic() + READY_SECONDS
        headers = {
            "Authorization": f"Bearer {ADMIN_KEY}",
            "Idempotency-Key": f"{path} {(body or {}).get('id')}",
        }
        while True:
            try:
                async with self._admin.request(
                    method,
                    f"{self.stack.url}/v1/{path}",
                    json=body,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=15),
                ) as answer:
                    seen = await answer.json(content_type=None)
                    if answer.status < 300:
                        return seen
                    problem = f"{answer.status} {seen}"
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                problem = repr(error)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}: {problem}")
            await asyncio.sleep(0.1)

    async def _open_sale(self, the: Plan, history: History) -> None:
        await self._call("POST", "sales", sale_body(the, history))
        await self._call("POST", f"sales/{history.sale}/open")

    async def _close_sale(self, sale: str) -> None:
        with suppress(Exception):
            await self._call("POST", f"sales/{sale}/close")

    async def _quiet(
        self, history: History, result: Result, spread: int
    ) -> tuple[Ledger, Callable[[str], str]]:
        """Wait until every hold has ended and everything is recorded, then read the whole state. Meanwhile no
        unit may idle beside an entry of the waiting list."""
        await until_ready(self.stack, READY_SECONDS)
        deadline = time.monotonic() + (LIST_SETTLES_SECONDS if history.waiting_list else SETTLE_SECONDS)
        idle = IdleUnits(bound_seconds(history, spread))
        while True:
            memory = counters_of(await self._call("GET", f"sales/{history.sale}"))
            ledger, secret = await read_ledger(self.stack.database_url, history, memory)
            short_id = short_ids(history, Signer(secret), spread)
            asks = asks_of(history, short_id)
            idle.look(time.monotonic(), waiting_for_free(history, ledger, asks))
            settled = (
                ledger.items == memory
                and not any(item.held for item in memory.values())
                and not waiting_for_free(history, ledger, asks, in_ms=RULES_END_MS)
            )
            if settled or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        result.idle_seconds = round(idle.worst, 3)
        result.violations += [Violation(promise, what) for promise, what in idle.violations()]
        report = await self._call("GET", f"sales/{history.sale}/audit")
        ledger = msgspec.structs.replace(
            ledger, audit_ok=report["ok"], audit=None if report["ok"] else report
        )
        return ledger, short_id

    async def _replay(self, the: Plan, history: History, ledger: Ledger) -> list[Violation]:
        """Repeat every key that bought: it must return the same order, and nothing new."""
        bought = {t.ask.key: t for t in history.told if t.ask.verb == "buy" and t.word == "confirmed"}
        again = list(bought.values())[-REPLAYS_MOST:]
        found: list[Violation] = []
        gate = asyncio.Semaphore(REPLAYS_AT_ONCE)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            clients = Clients(the, self.stack, history, http)

            async def once(first: Any) -> None:
                async with gate:
                    told = await clients.settle(first.ask, phase="replay")
                if told is None or (told.word, told.id) != ("confirmed", first.id):
                    found.append(
                        Violation("two outcomes", f"{first.ask.key}: {first.word}, when all was quiet {told}")
                    )

            await asyncio.gather(*map(once, again))
        return found


def _figures(result: Result, history: History, ledger: Ledger, short_id: Any) -> None:
    result.words = dict(Counter(f"{told.ask.verb} {told.word}" for told in history.told))
    result.orders = sum(row.status == "confirmed" for row in ledger.rows)
    result.offers = sum(entry.state == "offered" for entry in ledger.entries)
    result.refused_by_ledger = len(ledger.refused)
    sold = {row.id for row in ledger.rows if row.status == "confirmed"}
    last = {t.ask.key: t for t in history.told if t.ask.verb == "buy" and t.settles and t.phase == "selling"}
    result.refused_then_sold = sum(t.word != "confirmed" and short_id(key) in sold for key, t in last.items())
    result.lost_holds = sum(t.word == "unknown-reservation" for t in history.told)
