"""The campaign's buyers and shop, without HTTP: they call the processes of a run over its network."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET

from flashguard import FlashGuard
from flashguard.errors import PROBLEMS
from flashguard.kernel.errors import MemoryAway
from flashguard.ledger import LedgerAway
from flashguard.model import Granted, Line, Refused, Reservation, SaleId, Sku
from flashguard.waiting.waiting_list import WaitingEntry
from tests.campaign.buyers import Clients, located
from tests.campaign.history import UNANSWERED, Ask, History, Told
from tests.campaign.plan import Plan
from tests.simulation.processes import Api, NoAnswer, ServerError

REQUEST_SECONDS = 2.5
GRANTED: Final = 200
Answer = tuple[str, int, dict[str, Any], bool]
"""The word, the status of HTTP, the reservation, and whether it is a replay."""


class SimulatedClients(Clients):
    """All buyers of one run, and the shop.

    Parameters:
        loses: how likely a request is lost, and an answer.
        doubles: how likely a request is sent to two processes.
        answered: called with each answer, at its moment.
    """

    def __init__(
        self,
        plan: Plan,
        history: History,
        apis: list[Api],
        rng: random.Random,
        *,
        loses: float,
        doubles: float,
        answered: Callable[[Told], None],
    ) -> None:
        super().__init__(plan, None, history, None)  # type: ignore[arg-type]
        self._apis, self._rng = apis, rng
        self.loses, self.doubles = loses, doubles
        self._answered = answered

    async def shop(self) -> None:
        """Run all buyers and the shop, until `closing`."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.plan.buyers):
                tasks.create_task(self._buyer(number))
            tasks.create_task(self._shopkeeper())

    async def ask(self, ask: Ask, *, phase: str = "selling") -> Told:
        started = time.monotonic()
        sends = 2 if self._rng.random() < self.doubles else 1
        attempts = [asyncio.ensure_future(self._send(ask)) for _ in range(sends)]
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                word, status, seen, replayed = await _best(attempts)
        except TimeoutError:
            word, status, seen, replayed = UNANSWERED, 0, {}, False
        for task in attempts:
            task.cancel()
        ended = time.monotonic()
        end = seen.get("expires_at")
        told = Told(
            ask, started, ended, word, status, seen.get("id", "") if ask.verb != "restock" else "", replayed,
            end.timestamp() - time.time() if end else 0.0, phase, located(seen),
        )  # fmt: skip
        self.history.told.append(told)
        self._answered(told)
        return told

    async def _send(self, ask: Ask) -> Answer:
        api = self._rng.choice(self._apis)
        try:
            outcome = await api.call(lambda guard: self._work(guard, ask), loses=self.loses)
        except NoAnswer:
            return UNANSWERED, 0, {}, False
        except (MemoryAway, LedgerAway):
            return "recovering", 503, {}, False
        except ServerError:
            return "internal-error", 500, {}, False
        if isinstance(outcome, Refused):
            return outcome.code, PROBLEMS[outcome.code].status, {}, False
        if isinstance(outcome, Granted):
            seen = _seen(outcome.reservation)
            return outcome.reservation.status, 200, seen, outcome.replayed
        entry = outcome[0] if isinstance(outcome, tuple) else outcome
        if isinstance(entry, WaitingEntry):
            return entry.status, 200, {"id": entry.id}, False
        return "restocked", 200, {}, outcome[1]

    async def _work(self, guard: FlashGuard, ask: Ask) -> Any:
        sale, places = self.history.sale, dict(ask.places)
        lines = [
            Line(sku=Sku(sku), quantity=units, location=places.get(sku, UNSET)) for sku, units in ask.lines
        ]
        match ask.verb:
            case "hold" | "buy":
                verb = guard.reserve if ask.verb == "hold" else guard.buy
                identities = {"card": ask.card} if ask.card else None
                return await verb(sale, ask.customer, lines, key=ask.key, identities=identities)
            case "confirm":
                return await guard.confirm(ask.about)
            case "release":
                return await guard.release(ask.about)
            case "extend":
                return await guard.extend(ask.about, key=ask.key)
            case "amend":
                return await guard.amend(ask.about, lines, key=ask.key)
            case "part":
                return await guard.orders.cancel(
                    ask.about, restock=True, reason="campaign", items=lines, key=ask.key
                )
            case "join":
                identities = {"card": ask.card} if ask.card else None
                [line] = lines
                return await guard.waiting.join(
                    sale, ask.customer, line.sku, line.quantity, key=ask.key, identities=identities
                )
            case "see":
                return await guard.waiting.see(ask.about)
            case "leave":
                return await guard.waiting.leave(ask.about)
            case "restock":
                [line] = lines
                return await guard.shop.restock(
                    SaleId(sale),
                    line.sku,
                    line.quantity,
                    "campaign",
                    location=places.get(line.sku),
                    key=ask.key,
                )
        raise AssertionError(ask.verb)


async def _best(attempts: list[asyncio.Task[Answer]]) -> Answer:
    """Return the first answer that grants what was asked; a refusal once all have refused it: one process may
    grant what another one has just refused."""
    answers = []
    for attempt in asyncio.as_completed(attempts):
        answers.append(await attempt)
        if answers[-1][1] == GRANTED:
            return answers[-1]
    return min(answers, key=lambda answer: answer[:2])


def _seen(reservation: Reservation) -> dict[str, Any]:
    seen: dict[str, Any] = msgspec.to_builtins(reservation, builtin_types=(type(reservation.created_at),))
    return seen
