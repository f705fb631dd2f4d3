"""Real HTTP clients that record their requests and the answers."""

import asyncio
import json
import random
import time
from datetime import datetime
from typing import Any

import aiohttp

from flashguard.model.locations import counter_at
from tests.campaign.goods import OTHER, PLACES, PROBE, SCARCE
from tests.campaign.history import UNANSWERED, Ask, History, Told
from tests.campaign.plan import Plan
from tests.campaign.up_stack import ADMIN_KEY, HasUrl

REQUEST_SECONDS = 2.5
GIVE_UP_SECONDS = 40.0
"""Seconds without an answer after which a client has found a defect."""
AGAIN_SECONDS = 0.1
"""The wait after a failed connection, which has no `Retry-After`."""
PACE_SECONDS = 0.12
PROBE_EVERY_SECONDS = 0.05
PROBES_MOST = 50
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 4.0
"""How long a buyer waits in the list before leaving it."""


NOUNS = {"hold": "reservations", "buy": "orders", "join": "waiting-list"}
METHODS = {"see": "GET", "leave": "DELETE"}
AFTER_HOLD = (
    ("confirm",), ("confirm",), ("confirm", "confirm"), ("release",), ("extend", "confirm"),
    ("confirm", "release"), ("release", "confirm"), (), ("amend", "confirm"), ("amend", "amend"),
    ("amend", "confirm", "part"), ("extend late", "confirm late"), ("extend late", "confirm late"),
)  # fmt: skip
"""What buyers do with a hold, one after the other; `late`: about when it would end."""
AFTER_OFFER = (("confirm",), ("confirm",), ("release",), (), ("extend", "confirm"), ("amend", "confirm"))


class Clients:
    """All buyers of one round, and the shop."""

    def __init__(self, plan: Plan, stack: HasUrl, history: History, http: aiohttp.ClientSession) -> None:
        self.plan = plan
        self.history = history
        self.closing = False
        self.pace_seconds = PACE_SECONDS
        self.served: list[tuple[float, float]] = []
        """The times of request and answer of each confirmed probe."""
        self._stack = stack
        self._http = http

    async def ask(self, ask: Ask, *, phase: str = "selling") -> Told:
        """Make one attempt."""
        sale, method = self.history.sale, METHODS.get(ask.verb, "POST")
        body: dict[str, Any] | None = None
        headers = {"Idempotency-Key": ask.key}
        if ask.verb in NOUNS:
            path = f"sales/{sale}/{NOUNS[ask.verb]}"
            body = {"customer": ask.customer, "items": _items(ask)}
            if ask.card:
                body["identities"] = {"card": ask.card}
                headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        elif ask.verb == "restock":
            [(sku, units)] = ask.lines
            path = f"sales/{sale}/items/{sku}/restock"
            body = {"delta": units, "reason": "campaign"}
            if ask.places:
                body["location"] = ask.places[0][1]
            headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        elif ask.verb in METHODS:
            path = f"waiting-list/{ask.about}"
        else:
            part = ask.verb == "part"
            path = f"orders/{ask.about}/cancel" if part else f"reservations/{ask.about}/{ask.verb}"
            if ask.lines:
                body = {"items": _items(ask), "restock": True, "reason": "campaign"}
            if part:
                headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        started = time.monotonic()
        word, status, id_, replayed, expires_in = UNANSWERED, 0, "", False, 0.0
        at: tuple[tuple[str, int], ...] = ()
        try:
            async with self._http.request(
                method, f"{self._stack.url}/v1/{path}", json=body, headers=headers
            ) as answer:
                status, raw = answer.status, await answer.read()
                seen = json.loads(raw)
                replayed = answer.headers.get("Idempotent-Replayed") == "true"
            if status < 300:
                word = "restocked" if ask.verb == "restock" else seen["status"]
                id_ = seen.get("id", "")
                at = located(seen)
                hold = seen.get("reservation") or seen
                if hold.get("expires_at") and hold["status"] == "held":
                    expires_in = datetime.fromisoformat(hold["expires_at"]).timestamp() - time.time()
            else:
                word = seen["code"]
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            word = UNANSWERED
        told = Told(ask, started, time.monotonic(), word, status, id_, replayed, expires_in, phase, at)
        self.history.told.append(told)
        return told

    async def settle(self, ask: Ask, *, phase: str = "selling") -> Told | None:
        """Retry with the same key until the outcome is known. None: given up."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            told = await self.ask(ask, phase=phase)
            if told.settles:
                return told
            if time.monotonic() > deadline:
                self.history.unsettled.append(ask)
                return None
            await asyncio.sleep(AGAIN_SECONDS if told.word == UNANSWERED else 1.0)

    async def shop(self) -> None:
        """Run all buyers, the prober and sometimes the shop, until `closing`."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.plan.buyers):
                tasks.create_task(self._buyer(number))
            tasks.create_task(self._prober())
            tasks.create_task(self._shopkeeper())

    async def _buyer(self, number: int) -> None:
        rng = self.plan.rng(f"buyer {number}")
        count = 0
        while not self.closing:
            count += 1
            await self._visit(f"{number}-{count}", rng)
            await asyncio.sleep(rng.uniform(0, self.pace_seconds))

    async def _visit(self, key: str, rng: random.Random) -> None:
        customer = f"c{rng.randrange(self.plan.customers)}"
        lines = rng.choice([
            ((SCARCE, 1),), ((SCARCE, 1),), ((SCARCE, 2),), ((OTHER, 1),), ((OTHER, 3),),
            ((SCARCE, 1), (OTHER, 2)),
        ])  # fmt: skip
        places = self._places(lines, rng)
        card = f"card-{rng.randrange(self.plan.cards)}" if self.plan.card_limit else ""
        verb = "buy" if rng.random() < 0.4 else "hold"
        got = await self.settle(Ask(f"{verb}-{key}", verb, customer, lines, places=places, card=card))
        if got is not None and got.word == "held":
            await self._end(key, customer, got, rng.choice(AFTER_HOLD), rng)
        elif got is not None and got.word == "sold-out" and self.plan.waiting_list:
            await self._wait(key, customer, rng.choice(lines), card, rng)

    async def _end(
        self, key: str, customer: str, hold: Told, verbs: tuple[str, ...], rng: random.Random
    ) -> None:
        """Do these with a hold, one after the other."""
        id_, ends = hold.id or hold.ask.about, hold.ended + hold.expires_in
        for words in verbs:
            verb, _, late = words.partition(" ")
            await asyncio.sleep(rng.uniform(0, self.pace_seconds))
            if late:
                share = rng.uniform(-0.5, -0.1) if verb == "extend" else rng.uniform(0, 0.3)
                await self._sleep_until(ends + share * self.plan.hold_seconds)
            changes = {"amend": ((SCARCE, 2), (OTHER, rng.randint(1, 2))), "part": ((SCARCE, 1),)}
            ask = Ask(f"{verb}-{key}-{rng.random():.6f}", verb, customer, changes.get(verb, ()), id_)
            told = await self.settle(ask)
            if told is None or (verb == "amend" and told.word != "held"):
                return

    async def _sleep_until(self, moment: float) -> None:
        """Wait until then, or until the shop closes."""
        while not self.closing and (rest := moment - time.monotonic()) > 0:
            await asyncio.sleep(min(rest, LOOK_SECONDS))

    async def _wait(
        self, key: str, customer: str, line: tuple[str, int], card: str, rng: random.Random
    ) -> None:
        """Join the list; confirm, decline or forget what is offered, or leave, or wait on without looking."""
        told = await self.settle(Ask(f"join-{key}", "join", customer, (line,), card=card))
        if told is None or told.word not in ("waiting", "offered"):
            return
        id_, count, deadline = told.id, 0, time.monotonic() + PATIENCE_SECONDS
        while told is not None and told.word == "waiting":
            if self.closing or time.monotonic() > deadline:
                if rng.random() < 0.6:
                    await self.settle(Ask(f"leave-{key}", "leave", customer, about=id_))
                return
            await asyncio.sleep(LOOK_SECONDS)
            count += 1
            told = await self.settle(Ask(f"see-{key}-{count}", "see", customer, about=id_))
        if told is not None and told.word == "offered":
            await self._end(key, customer, told, rng.choice(AFTER_OFFER), rng)

    def _places(self, lines: tuple[tuple[str, int], ...], rng: random.Random) -> tuple[tuple[str, str], ...]:
        """Return which of these lines are picked up, and where."""
        if self.plan.goods != "locations":
            return ()
        return tuple((sku, rng.choice(PLACES)) for sku, _ in lines if rng.random() < 0.3)

    async def _shopkeeper(self) -> None:
        rng = self.plan.rng("shopkeeper")
        count = 0
        while not self.closing:
            await asyncio.sleep(rng.uniform(0.1, 1.5))
            count += 1
            lines = ((SCARCE, rng.randint(1, 10)),)
            places = ((SCARCE, rng.choice(PLACES)),) if self.plan.goods == "locations" else ()
            await self.settle(Ask(f"restock-{count}", "restock", lines=lines, places=places))

    async def _prober(self) -> None:
        """Send a probe at every moment, each once: how long until one is served again?"""
        count = 0
        running: set[asyncio.Task[None]] = set()
        while not self.closing:
            if len(running) < PROBES_MOST:
                count += 1
                task = asyncio.create_task(self._probe(count))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(PROBE_EVERY_SECONDS)
        if running:
            await asyncio.wait(running)

    async def _probe(self, count: int) -> None:
        told = await self.ask(Ask(f"probe-{count}", "buy", f"prober-{count}", ((PROBE, 1),)))
        if told.word == "confirmed":
            self.served.append((told.started, told.ended))

    def served_after(self, moment: float, *, asked_after: bool) -> float | None:
        """Return when the first probe was served after this moment, and if `asked_after`, sent after it."""
        return min(
            (
                ended
                for started, ended in self.served
                if ended > moment and (started > moment or not asked_after)
            ),
            default=None,
        )


def _items(ask: Ask) -> list[dict[str, Any]]:
    places = dict(ask.places)
    return [
        {"sku": sku, "quantity": units} | ({"location": places[sku]} if sku in places else {})
        for sku, units in ask.lines
    ]


def located(seen: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    """Return the units at each location that an answer about a reservation says."""
    return tuple(
        (counter_at(line["sku"], each["location"]), each["quantity"])
        for line in seen.get("items", ())
        for each in line.get("allocations") or ()
    )
