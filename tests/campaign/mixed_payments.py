"""Buyers who pay in the mixed load, at a provider that is slow, doubles, reorders and loses."""

import asyncio
import random
import signal
import time
from typing import Any, Final

import aiohttp
import asyncpg

from tests.campaign.checker import Violation
from tests.campaign.mixed_check import SaleState
from tests.campaign.mixed_payments_check import Paid, check_payments
from tests.campaign.mixed_shop import Shop
from tests.campaign.mixed_verbs import PLAIN, WIDE
from tests.campaign.up_stack import UpStack, until_ready
from tests.support.stand_in import StandIn

PAYERS: Final = 4
CUSTOMERS: Final = 400
"""Many, so that limits and cool-downs leave most of them holds to pay."""
BEGIN_SECONDS: Final = 2.0
EVENT_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 60.0
LEASE_SECONDS: Final = 60
"""Of a claim by the settler: a step whose process was killed is taken up only then."""
SESSIONS: Final = ["", "", "away", "lose", "slow"]
REFUNDS: Final = ["", "", "away", "lose", "slow", "pending"]
UNFINISHED: Final = (
    "SELECT id, state, why, error FROM flashguard.payments WHERE state IN ('new', 'open', 'paid') UNION ALL "
    "SELECT payment || '-' || number, state, reason, error FROM flashguard.payment_refunds "
    "WHERE state = 'pending'"
)
END_LEASES: Final = (
    "UPDATE flashguard.{} SET due_at = now() "
    "WHERE due_at > now() + interval '10 s' AND due_at <= $1::timestamptz + make_interval(secs => $2)"
)


class Payers:
    """Some buyers of a round, who hold on the same sales as the others, and pay."""

    def __init__(
        self, stack: UpStack, shop: Shop, provider: StandIn, http: aiohttp.ClientSession, seed: str
    ) -> None:
        self.paid = Paid()
        self._stack, self._shop, self._provider, self._http, self._seed = stack, shop, provider, http, seed
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Hold and pay until the shop closes."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(PAYERS):
                tasks.create_task(self._payer(random.Random(f"{self._seed}/payer {number}")))

    async def _payer(self, rng: random.Random) -> None:
        while not self._shop.closing:
            known = self._shop[rng.choice((PLAIN, PLAIN, WIDE))]
            lines = rng.choice(((("a", 1),), (("b", 1),), (("a", 1), ("b", 1))))
            hold = await self._shop.take("hold", known, f"payer{rng.randrange(CUSTOMERS)}", lines)
            if hold.id:
                self._provider.plan.setdefault("sessions", []).append(rng.choice(SESSIONS))
                self._provider.plan.setdefault("refunds", []).append(rng.choice(REFUNDS))
                payment = await self._begin(hold.id)
                if payment:
                    await asyncio.sleep(rng.choice((0, 0, 0.2, 1.5)))
                    self._pay(payment, rng)
            await asyncio.sleep(rng.uniform(0, 0.1))

    async def _begin(self, hold: str) -> str | None:
        """Return the id of the hold's payment; None where it can't be paid, or nothing answers in time."""
        deadline = time.monotonic() + BEGIN_SECONDS
        url, body = f"{self._stack.url}/v1/reservations/{hold}/payment", {"provider": "signed"}
        while time.monotonic() < deadline:
            try:
                async with self._http.post(url, json=body) as answer:
                    if answer.status == 200:
                        return str((await answer.json())["id"])
                    if answer.status != 503:
                        return None
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                pass
            await asyncio.sleep(0.1)
            url = f"{self._stack.url}/v1/reservations/{hold}/payment"
        return None

    def _pay(self, payment: str, rng: random.Random) -> None:
        """Pay what was asked, too little or too much, unless the session is over."""
        session = self._provider.sessions[payment]
        if session["status"] != "open" or rng.random() < 0.1:
            return
        asked = session["amount_minor"]
        paid = self._provider.pay(payment, rng.choice((asked, asked, asked, asked, asked - 1, asked + 30)))
        events = rng.sample([paid, paid, self._provider.event("payment.ended", payment)], 3)
        for event in rng.choice([events, events, events, events[:1], []]):  # the last: all are lost
            task = asyncio.create_task(self._send(event, rng.uniform(0, 0.5)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, event: dict[str, Any], wait_seconds: float) -> None:
        """Send an event as a provider does: again until it is taken."""
        deadline = time.monotonic() + EVENT_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(wait_seconds)
            try:
                status, _ = await self._provider.send(self._http, self._stack.url, event)
                if status == 200:
                    return
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                pass
            wait_seconds = 0.2
        self.paid.never_taken.append(event["id"])

    async def settled(self) -> None:
        """Wait until every payment has ended. Leases of processes that were killed end before their time."""
        await asyncio.gather(*self._sending)
        self._provider.plan.clear()
        connection = await asyncpg.connect(self._stack.database_url, timeout=10)
        try:
            if await self._is_leased(connection):
                for part in ("api", "deliverer"):
                    self._stack.hit(part, signal.SIGKILL)
                killed_at = await connection.fetchval("SELECT clock_timestamp()")
                for table in ("payments", "payment_refunds"):
                    await connection.execute(END_LEASES.format(table), killed_at, LEASE_SECONDS)
                await until_ready(self._stack)
            deadline = time.monotonic() + SETTLE_SECONDS
            while time.monotonic() < deadline:
                self.paid.unfinished = [dict(row) for row in await connection.fetch(UNFINISHED)]
                if not self.paid.unfinished:
                    break
                await asyncio.sleep(0.2)
        finally:
            await connection.close()

    async def _is_leased(self, connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
        """Return whether a step is not taken up soon, after those of living processes have had their time."""
        await asyncio.sleep(1.0)
        late = "SELECT EXISTS (SELECT FROM flashguard.{} WHERE due_at > now() + interval '10 s')"
        return any([await connection.fetchval(late.format(t)) for t in ("payments", "payment_refunds")])

    async def check(self, finals: list[SaleState]) -> list[Violation]:
        """Return every broken promise about the payments of these sales."""
        sales = [known.id for known in self._shop.sales.values()]
        connection = await asyncpg.connect(self._stack.database_url, timeout=10)
        try:
            rows = await connection.fetch(
                "SELECT id, sale_id || '.' || reservation AS hold, state, why, paid_minor, refunded_minor "
                "FROM flashguard.payments WHERE split_part(sale_id, '~', 1) = ANY ($1::text[])",
                sales,
            )
            refunds = await connection.fetch(
                "SELECT r.payment || '-' || r.number AS id, r.state FROM flashguard.payment_refunds r "
                "JOIN flashguard.payments p ON p.id = r.payment "
                "WHERE split_part(p.sale_id, '~', 1) = ANY ($1::text[]) AND r.state <> 'void'",
                sales,
            )
        finally:
            await connection.close()
        self.paid.payments = {row["id"]: dict(row) for row in rows}
        self.paid.refunds = {row["id"]: row["state"] for row in refunds}
        for payment, session in self._provider.sessions.items():
            hold = session["reservation_id"]
            if hold.partition(".")[0].partition("~")[0] in sales:
                taken = session.get("paid", 0)
                self.paid.sessions[payment] = (hold, session["status"], taken, self._provider.kept(payment))
        return check_payments(self.paid, finals, self._shop.asked)
