"""The mixed load: every verb of buyers and shop at random, on three sales with different rules."""

import asyncio
import json
import random
import time
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import msgspec

from tests.campaign.history import RETRY, UNANSWERED
from tests.campaign.mixed_verbs import EXPECTED, FAIR, PLAIN, RULES, SKUS, WIDE, Asked
from tests.campaign.up_stack import ADMIN_KEY, HasUrl

REQUEST_SECONDS: Final = 5.0
GIVE_UP_SECONDS: Final = 40.0
ADMIT_SECONDS: Final = 20.0
CLIENTS: Final = 10
CUSTOMERS: Final = 8
"""Fewer than the parallel requests, so that limits, budgets and keys of one customer collide."""
VISITORS: Final = 16
"""Buyers who only stand in the room: more than it admits in the second that its pace saves up."""
LOOK_SECONDS: Final = 0.6
REPEATED_MOST: Final = 60
AGAIN_WEIGHT: Final = 12
AGAIN_WEIGHT_AFTER_A_FAULT: Final = 60
REMEMBERED: Final = 40
"""The number of reservations, orders and entries of a sale that clients use again."""


class Known(msgspec.Struct):
    """The knowledge of the clients of one sale."""

    id: str
    reservations: list[str] = msgspec.field(default_factory=list)
    """Ids of holds, offers and orders, the newest last."""
    entries: list[str] = msgspec.field(default_factory=list)
    receipts: dict[str, str] = msgspec.field(default_factory=dict)
    """The newest of each hold."""
    bought: list[Asked] = msgspec.field(default_factory=list)
    """The orders that were bought without a hold, whose keys are used again."""
    admissions: dict[str, str] = msgspec.field(default_factory=dict)
    """By customer, the newest from the room; one dictionary for all sales that share it."""
    room: bool = False
    """Whether buyers need an admission, to this sale's own room or to that of another one."""


class Shop:
    """Clients that do everything that the contract allows, in any order, until `closing`."""

    def __init__(self, stack: HasUrl, seed: str, http: aiohttp.ClientSession) -> None:
        self.asked: list[Asked] = []
        self.closing = False
        self.wary_until = 0.0
        """Until then clients repeat more requests: something went wrong."""
        self.sales: dict[str, Known] = {}
        self.lost_admissions: list[str] = []
        """Sentences about visitors who were in and, before their time was over, no longer."""
        self._stack = stack
        self._seed = seed
        self._http = http
        self._count = 0

    def __getitem__(self, kind: str) -> Known:
        return self.sales[kind]

    async def create(self, kind: str, sale: str, stock: int, **rules: Any) -> None:
        """Create and open one of the three sales, with these rules, too."""
        items = [
            {"sku": sku, "name": sku, "price_minor": 100, "currency": "EUR", "stock": stock} for sku in SKUS
        ]
        body = {"id": sale, "name": f"{kind} sale", "hold_seconds": 1, "items": items, **RULES[kind], **rules}
        await self.must("POST", "sales", body)
        await self.must("POST", f"sales/{sale}/open")
        known = self.sales[kind] = Known(sale, room="room" in body or "waiting_room" in body)
        if "room" in body:
            known.admissions = self.sales[FAIR].admissions

    async def must(self, method: str, path: str, body: Any = None) -> Any:
        """Make a call of the shop that must succeed; repeat it with its key while the answer is a retry."""
        self._count += 1
        asked = Asked("must", path, f"{self._seed}-must-{self._count}")
        seen = await self._settle(asked, method, path, body)
        if asked.http >= 300:
            raise AssertionError(f"{method} {path}: {asked.http} {seen}")
        return seen

    async def run(self) -> None:
        """Run all clients at once."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._visit())
            for number in range(CLIENTS):
                tasks.create_task(self._client(random.Random(f"{self._seed}/client {number}")))

    async def _visit(self) -> None:
        """Let a crowd come at once and ask until it is admitted or the round ends. Then each looks whether it
        is still in, and leaves the room."""
        known, waiting = self.sales[FAIR], {f"visitor-{number}" for number in range(VISITORS)}
        path, is_last = f"sales/{known.id}/tickets", False
        inside: dict[str, datetime] = {}
        while waiting and not is_last:
            is_last = self.closing
            for customer in sorted(waiting):
                status, seen = await self._once("POST", path, {"customer": customer}, "")
                if not 0 < status < 300:
                    continue
                until, is_in = inside.get(customer), seen["status"] == "admitted"
                if until and not is_in and datetime.now(UTC) < until:
                    self.lost_admissions.append(
                        f"{customer} was admitted until {until}, and is {seen['status']}"
                    )
                if until or is_last:
                    await self._once("POST", f"{path}/{seen['id']}/leave", None, "")
                    waiting.discard(customer)
                elif is_in:
                    inside[customer] = datetime.fromisoformat(seen["admitted_until"])
            await asyncio.sleep(0 if self.closing else LOOK_SECONDS)

    async def _client(self, rng: random.Random) -> None:
        while not self.closing:
            known = self.sales[rng.choice((PLAIN, FAIR, FAIR, WIDE))]
            await self._act(known, rng)
            await asyncio.sleep(rng.uniform(0, 0.05))

    async def _act(self, known: Known, rng: random.Random) -> None:
        again = AGAIN_WEIGHT_AFTER_A_FAULT if time.monotonic() < self.wary_until else AGAIN_WEIGHT
        verb = rng.choices(
            ("hold", "buy", "again", "end", "join", "entry", "room", "shop"),
            (26, 10, again, 24, 14, 8, 10, 8),
        )[0]
        customer = f"c{rng.randrange(CUSTOMERS)}"
        lines: tuple[tuple[str, int], ...]
        lines = rng.choice(((("a", 1),), (("a", 1),), (("a", 2),), (("b", 1),), (("a", 1), ("b", 1))))
        if verb in ("hold", "buy"):
            await self.take(verb, known, customer, lines, admission=known.admissions.get(customer))
        elif verb == "again" and known.bought:
            first = rng.choice(known.bought[-REMEMBERED:])
            lines = first.lines if rng.random() < 0.5 else lines
            for _ in range(rng.choice((1, 1, 3))):
                await self._again(known, first, lines)
        elif verb == "end" and known.reservations:
            id_ = rng.choice(known.reservations[-REMEMBERED:])
            verbs = (
                "confirm",
                "confirm",
                "release",
                "extend",
                "cancel",
                "amend",
                "amend",
                "part",
                "transfer",
            )
            shows = rng.random() < 0.7
            await self._change(rng.choice(verbs), known, id_, customer, lines, shows_receipt=shows)
        elif verb == "join":
            customer = rng.choice((customer, f"w{rng.randrange(CUSTOMERS)}"))  # the others only wait
            await self.join(known, customer, ((rng.choice(SKUS), rng.choice((1, 1, 2, 3, 5))),))
        elif verb == "entry" and known.entries:
            await self._entry(rng.choice(("see", "leave")), known, rng.choice(known.entries[-REMEMBERED:]))
        elif verb == "room" and known.room:
            await self.admit(known, customer, seconds=1.0)
        elif verb == "shop":
            await self._shopkeeper(known, rng)

    def _new(self, verb: str, known: Known, **more: Any) -> Asked:
        self._count += 1
        asked = Asked(verb, known.id, f"{verb}-{self._count}", **more)
        self.asked.append(asked)
        return asked

    async def take(
        self,
        verb: str,
        known: Known,
        customer: str,
        lines: tuple[tuple[str, int], ...],
        *,
        admission: str | None = None,
    ) -> Asked:
        """Hold or buy a basket."""
        asked = self._new(verb, known, customer=customer, lines=lines)
        body = {"customer": customer, "items": [{"sku": sku, "quantity": n} for sku, n in lines]}
        if admission:
            body["admission"] = admission
        path = f"sales/{known.id}/{'reservations' if verb == 'hold' else 'orders'}"
        await self._settle(asked, "POST", path, body)
        if asked.id:
            known.reservations.append(asked.id)
        if asked.word == "confirmed":
            known.bought.append(asked)
        return asked

    async def _again(self, known: Known, first: Asked, lines: tuple[tuple[str, int], ...]) -> Asked:
        """Use the key of an order again, for the same basket or for another one."""
        asked = Asked("again", known.id, first.key, first.customer, lines, first.id)
        self.asked.append(asked)
        body = {"customer": first.customer, "items": [{"sku": sku, "quantity": n} for sku, n in lines]}
        await self._settle(asked, "POST", f"sales/{known.id}/orders", body)
        return asked

    async def repeat_all(self, kind: str) -> list[Asked]:
        """Use the key of every order again, for the same basket; return those that had another outcome."""
        known = self.sales[kind]
        done = [await self._again(known, first, first.lines) for first in known.bought[-REPEATED_MOST:]]
        return [each for each in done if each.http >= 300 or each.id != each.about]

    async def join(self, known: Known, customer: str, lines: tuple[tuple[str, int], ...]) -> Asked:
        """Join the waiting list."""
        asked = self._new("join", known, customer=customer, lines=lines)
        body = {"customer": customer, "items": [{"sku": sku, "quantity": n} for sku, n in lines]}
        await self._settle(asked, "POST", f"sales/{known.id}/waiting-list", body)
        if asked.id:
            known.entries.append(asked.id)
        if asked.word == "offered":
            known.reservations.append(asked.id)
        return asked

    async def admit(self, known: Known, customer: str, seconds: float = ADMIT_SECONDS) -> str | None:
        """Return an admission to a sale with a room, if its turn comes in time."""
        deadline, ticket = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            if ticket:
                status, seen = await self._once("GET", f"sales/{known.id}/tickets/{ticket}", None, "")
            else:
                body = {"customer": customer}
                status, seen = await self._once("POST", f"sales/{known.id}/tickets", body, "")
            ticket = seen["id"] if status and status < 300 else ""
            if ticket and seen.get("admission"):
                known.admissions[customer] = seen["admission"]
                return str(seen["admission"])
            await asyncio.sleep(0.1)
        return None

    async def _change(
        self,
        verb: str,
        known: Known,
        id_: str,
        customer: str,
        lines: tuple[tuple[str, int], ...],
        *,
        shows_receipt: bool,
    ) -> None:
        """Change a reservation. The ledger keeps the key of an amend as its reason."""
        asked = self._new(verb, known, about=id_)
        body: dict[str, Any] | None = None
        if verb == "confirm" and shows_receipt and id_ in known.receipts:
            body = {"receipt": known.receipts[id_]}
        elif verb == "transfer":
            asked.customer = customer
            body = {"customer": customer}
        elif verb in ("amend", "part", "cancel"):
            body = {"restock": True, "reason": asked.key}
        if verb in ("amend", "part") and body is not None:
            asked.lines = lines
            body["items"] = [{"sku": sku, "quantity": n} for sku, n in lines]
        path = f"orders/{id_}/cancel" if verb in ("cancel", "part") else f"reservations/{id_}/{verb}"
        await self._settle(asked, "POST", path, body)

    async def _entry(self, verb: str, known: Known, id_: str) -> None:
        asked = self._new(verb, known, about=id_)
        await self._settle(asked, "GET" if verb == "see" else "DELETE", f"waiting-list/{id_}", None)
        if asked.word == "offered":
            known.reservations.append(id_)

    async def _shopkeeper(self, known: Known, rng: random.Random) -> None:
        verb = rng.choice(("restock", "restock", "patch", "pause", "audit", "orders"))
        path = f"sales/{known.id}"
        if verb == "restock":
            asked = self._new(verb, known, lines=((rng.choice(SKUS), rng.choice((1, 2, 4, -1, -3))),))
            ((sku, delta),) = asked.lines
            body = {"delta": delta, "reason": "mixed"}
            await self._settle(asked, "POST", f"{path}/items/{sku}/restock", body)
        elif verb == "patch":
            changes: dict[str, Any] = {"name": f"name {rng.random()}"}
            if rng.random() < 0.5:
                changes = {"hold_seconds": rng.choice((1, 2))}
            await self._settle(self._new(verb, known), "PATCH", path, changes)
        elif verb == "pause":
            await self._settle(self._new("pause", known), "POST", f"{path}/pause", None)
            await asyncio.sleep(rng.uniform(0, 0.2))
            await self._settle(self._new("open", known), "POST", f"{path}/open", None)
        else:
            await self._settle(self._new(verb, known), "GET", f"{path}/{verb}", None)

    async def _settle(self, asked: Asked, method: str, path: str, body: Any) -> Any:
        """Repeat the request with the same key until the answer is not a retry; then record it."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            asked.http, seen = await self._once(method, path, body, asked.key)
            if not asked.http:
                asked.word = UNANSWERED
            elif asked.http < 300:
                asked.id = seen.get("id", "") if asked.verb in ("hold", "buy", "again", "join") else ""
                self._keep_receipt(asked.sale, seen)
                states = EXPECTED.get(asked.verb, {"done"})
                asked.word = "done" if "done" in states else seen["status"]
            else:
                asked.word = seen.get("code", f"http {asked.http}")
            if asked.word not in RETRY or time.monotonic() > deadline:
                return seen
            await asyncio.sleep(0.1)

    def _keep_receipt(self, sale: str, seen: dict[str, Any]) -> None:
        hold = seen.get("reservation") or seen
        for known in self.sales.values():
            if known.id == sale and hold.get("receipt"):
                known.receipts[hold["id"]] = hold["receipt"]

    async def _once(self, method: str, path: str, body: Any, key: str) -> tuple[int, Any]:
        """Make one attempt; return the HTTP status, 0 without an answer, and the JSON."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"} | ({"Idempotency-Key": key} if key else {})
        try:
            async with self._http.request(
                method, f"{self._stack.url}/v1/{path}", json=body, headers=headers
            ) as answer:
                return answer.status, json.loads(await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 0, {}
