"""The buyers: all press at the same moment, repeat what was not answered, and come back if refused."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tests.campaign.targets.target import About, Answer, Target, Word

ATTEMPTS: Final = 6
"""How often a buyer makes a call without an answer that decides; then it has found an error."""
AGAIN_SECONDS: Final = 0.25
"""Before the second attempt; twice as long before each later one."""
MOST_BUYERS: Final = 2_000
LOST = "the answer was lost on its way"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A round."""

    buyers: int = 500
    units: int = 50
    lost: float = 0.0
    """The share of calls whose first answer never reaches the buyer."""
    releases: float = 0.1
    """The share of holds that are given back, where the shop can."""
    seed: str = "1"
    number: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.buyers <= MOST_BUYERS:
            raise ValueError(f"buyers: 1 to {MOST_BUYERS}")
        if not 0 <= self.units <= self.buyers:
            raise ValueError("units: from 0 to the number of buyers")
        if not (0 <= self.lost <= 1 and 0 <= self.releases <= 1):
            raise ValueError("a share is from 0 to 1")


class Outcome(StrEnum):
    BOUGHT = "bought"
    SOLD_OUT = "sold out"
    RELEASED = "released"
    ERROR = "error"


@dataclass(frozen=True)
class Attempt:
    """One call as its buyer saw it."""

    verb: str
    """reserve, confirm or release."""
    key: str
    answer: Answer
    about: str = ""
    """The hold that is confirmed or released."""


@dataclass
class Visit:
    """A buyer's way through the shop."""

    buyer: int
    attempts: list[Attempt] = field(default_factory=list)
    outcome: Outcome = Outcome.ERROR
    order: str = ""

    @property
    def seconds(self) -> float:
        """From the first press to the answer that decided."""
        return self.attempts[-1].answer.ended - self.attempts[0].answer.started


class Rush:
    """The buyers of one round."""

    def __init__(self, plan: Plan, target: Target, about: About) -> None:
        self._plan = plan
        self._target = target
        self._about = about

    async def run(self) -> list[Visit]:
        """Sell one item to all buyers at once; then those who were refused come back, one after the other,
        until one is refused again."""
        await self._target.open(self._plan.units, self._plan.buyers)
        visits = list(await asyncio.gather(*(self._visit(buyer, "") for buyer in range(self._plan.buyers))))
        refused = [visit.buyer for visit in visits if visit.outcome is Outcome.SOLD_OUT]
        for buyer in refused[: self._plan.units + 1]:
            visits.append(await self._visit(buyer, "late-"))
            if visits[-1].outcome is Outcome.SOLD_OUT:
                break
        return visits

    async def _visit(self, buyer: int, prefix: str) -> Visit:
        rng = random.Random(f"{self._plan.seed}/{self._plan.number}/{prefix}{buyer}")
        visit = Visit(buyer)
        shop, key = self._target, f"{prefix}{{verb}}-{self._plan.seed}-{self._plan.number}-{buyer}"

        async def ask(verb: str, call: Callable[[str], Awaitable[Answer]], about: str = "") -> Answer:
            return await self._settle(visit, verb, key.format(verb=verb), call, rng, about)

        answer = await ask("reserve", lambda key: shop.reserve(buyer, key))
        hold = answer.id
        if answer.word is Word.GRANTED and self._about.has_holds:
            if self._about.has_release and not prefix and rng.random() < self._plan.releases:
                answer = await ask("release", lambda key: shop.release(buyer, hold, key), hold)
                visit.outcome = Outcome.RELEASED if answer.word is Word.GRANTED else Outcome.ERROR
                return visit
            answer = await ask("confirm", lambda key: shop.confirm(buyer, hold, key), hold)
        visit.order = answer.id
        visit.outcome = {
            Word.GRANTED: Outcome.BOUGHT, Word.REFUSED: Outcome.SOLD_OUT, Word.UNKNOWN: Outcome.ERROR
        }[answer.word]  # fmt: skip
        return visit

    async def _settle(
        self,
        visit: Visit,
        verb: str,
        key: str,
        call: Callable[[str], Awaitable[Answer]],
        rng: random.Random,
        about: str,
    ) -> Answer:
        """Repeat a call with its key until the answer decides."""
        loses = rng.random() < self._plan.lost
        for number in range(ATTEMPTS):
            answer = await call(key)
            if loses and number == 0:
                answer = Answer(Word.UNKNOWN, answer.started, answer.ended, why=LOST)
            visit.attempts.append(Attempt(verb, key, answer, about))
            if answer.word is not Word.UNKNOWN:
                break
            if number < ATTEMPTS - 1:
                await asyncio.sleep(AGAIN_SECONDS * 2**number * rng.uniform(0.8, 1.2))
        return answer
