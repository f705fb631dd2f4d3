"""A payment provider in a run: servers of a third party, which fail by themselves.

It makes one session and one refund per id, takes the buyers' money, and tells of it in events, which come
late, twice, in any order, or never. Now and then it says that a session ended which did not.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Literal, TypeVar

import msgspec

from flashguard.payments import (
    Event,
    Forged,
    ProviderAway,
    ProviderRefused,
    RefundNow,
    RefundRequest,
    Session,
    SessionNow,
    SessionRequest,
)
from flashguard.settings import Settings
from tests.campaign.checker import Violation
from tests.simulation.world import World

TIMEOUT_SECONDS: Final = 10.0
"""After which a caller gives up, as the clients of the real providers do."""
AMOUNTS: Final = (0, 0, 0, 0, 0, -1, 30)
"""What a buyer pays more than was asked."""
BANK_SECONDS: Final = 3.0
"""How long a bank takes at most to send money, or to make a refund."""
BANK_FAILED: Final = "failed at the provider"
"""What the log says of a refund that the bank can't make."""
SIGNATURE: Final = {"signature": "of the provider"}
T = TypeVar("T")


class ProviderSession(msgspec.Struct):
    """A session, as the provider has it."""

    id: str
    provider: str
    asked: SessionRequest
    status: Literal["open", "processing", "ended", "paid"] = "open"
    paid: int = 0
    currency: str = ""


class ProviderRefund(msgspec.Struct):
    """A refund, as the provider has it."""

    id: str
    asked: RefundRequest
    status: Literal["pending", "done", "failed"]


class Bank:
    """The provider's servers.

    Parameters:
        tell: sends an event. It may fail to, unless it must come.
    """

    def __init__(self, world: World, rng: random.Random, tell: "Callable[[Event, bool], None]") -> None:
        self._world, self._rng, self._tell = world, rng, tell
        self.sessions: dict[str, ProviderSession] = {}
        """By the payment's id."""
        self.refunds: dict[str, ProviderRefund] = {}
        """By our id."""
        self.violations: list[Violation] = []
        self.under_way = 0
        """Money, and refunds, on their way."""
        self.hangs_until = 0.0
        self.loses = rng.choice([0.0, 0.0, 0.1, 0.4])
        """How likely a request gets lost, and an answer."""
        self._slow_seconds = rng.choice([0.0, 0.0, 0.3, 4.0])
        self._banks = rng.choice([0.0, 0.2, 0.5])
        """How likely money takes its time, both ways."""
        self._fails = rng.choice([0.0, 0.0, 0.2])
        """How likely a refund fails at first, or after it was done."""
        self._lies = rng.choice([0.0, 0.0, 0.1, 0.4])
        """How likely an event says of a session that it ended, while it is open or paid."""

    def heal(self) -> None:
        """Answer every request from now on."""
        self.loses = self._slow_seconds = self._fails = self.hangs_until = 0.0

    async def ask(self, what: str, work: Callable[[], T]) -> T:
        """Have the provider do this, from one of our processes; return its answer.

        Raises:
            ProviderAway: there is no answer, whether it was done or not.
            ProviderRefused: it was refused.
        """
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._send(self._arrive, what, work, answered)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await answered  # type: ignore[no-any-return]
        except TimeoutError:
            raise ProviderAway("no answer in time") from None

    def _send(self, call: Callable[..., object], *given: Any) -> None:
        slow = self._slow_seconds * self._rng.random() ** 4
        self._world.at(self._world.now + self._world.delay() + slow, call, *given)

    def _arrive(self, what: str, work: Callable[[], Any], answered: "asyncio.Future[Any]") -> None:
        if self.hangs_until > self._world.now:
            self._world.at(self.hangs_until, self._arrive, what, work, answered)
            return
        if self._rng.random() < self.loses:  # or it answers 500
            self._send(_answer, answered, None, ProviderAway("away"))
            return
        result, error = None, None
        try:
            result = work()
        except ProviderRefused as refused:
            error = refused
        self._world.note("provider", f"{what}: {result or error!r}")
        if self._rng.random() < self.loses:
            self._world.note("provider", "the answer gets lost")
        else:
            self._send(_answer, answered, result, error)

    # What it is asked

    def create(self, provider: str, asked: SessionRequest) -> Session:
        """Return the session of a payment: the same one each time."""
        made = self.sessions.get(asked.id)
        if made is None:
            made = self.sessions[asked.id] = ProviderSession(f"ses-{len(self.sessions)}", provider, asked)
            if self._rng.random() < self._lies:
                self._after("ended", asked.id)
        elif made.asked != asked:
            self._broken("two payments under one id", f"{made.asked}, then {asked}")
        return Session(id=made.id, url=f"https://provider/{made.id}")

    def expire(self, session: str) -> SessionNow:
        """End a session, unless money is on its way or there."""
        made = self._session(session)
        if made.status == "open":
            made.status = "ended"
            self._after("ended", made.asked.id)
        return SessionNow(status=made.status, amount_minor=made.paid, currency=made.currency)

    def refund(self, asked: RefundRequest) -> RefundNow:
        """Make a refund once, never of more than was paid."""
        made = self.refunds.get(asked.id)
        if made is None:
            session = self._session(asked.session)
            back = self._rng.random() < self._banks
            if self.kept(session.asked.id) < asked.amount_minor:
                self._broken("refunded twice", f"{asked} of {session}")
            made = ProviderRefund(f"ref-{len(self.refunds)}", asked, "pending" if back else "done")
            self.refunds[asked.id] = made
            fails = self._rng.random() < self._fails
            if back or fails:
                self._soon(self._ends, made, "failed" if fails else "done")
        elif (made.asked.session, made.asked.amount_minor) != (asked.session, asked.amount_minor):
            self._broken("two refunds under one id", f"{made.asked}, then {asked}")
        return RefundNow(status=made.status, provider_id=made.id)

    def _ends(self, made: ProviderRefund, status: Literal["done", "failed"]) -> None:
        was, made.status = made.status, status
        self._world.note("provider", f"the refund {made.asked.id} was {was}, is {status}")
        payment = made.asked.id.rpartition("-")[0]
        event = Event(
            id=f"evt-{self._rng.getrandbits(48):x}", kind="refund", payment=payment, refund=made.asked.id
        )
        self._tell(event, was == "done")

    def _session(self, session: str) -> ProviderSession:
        return next(each for each in self.sessions.values() if each.id == session)

    def _broken(self, promise: str, what: str) -> None:
        self.violations.append(Violation(promise, what))
        raise ProviderRefused(promise)

    # What its buyers do

    def pay(self, payment: str) -> None:
        """A buyer pays what was asked, seldom otherwise, unless the session is over."""
        made, rng = self.sessions.get(payment), self._rng
        if made is None or made.status != "open":
            return
        made.status = "processing"
        amount = max(1, made.asked.amount_minor + rng.choice(AMOUNTS))
        currency = made.asked.currency if rng.random() < 0.98 else "USD"
        if rng.random() < self._banks:
            self._soon(self._money, made, amount, currency)
        else:
            self._money(made, amount, currency)

    def _soon(self, call: Callable[..., object], *given: Any) -> None:
        """Have the bank do this, in its time."""

        def come() -> None:
            self.under_way -= 1
            call(*given)

        self.under_way += 1
        self._world.at(self._world.now + BANK_SECONDS * self._rng.random(), come)

    def _money(self, made: ProviderSession, amount: int, currency: str) -> None:
        rng, payment = self._rng, made.asked.id
        is_there = rng.random() < 0.95
        made.status = "paid" if is_there else "ended"
        self._world.note("provider", f"{payment} is {made.status}")
        if not is_there:
            self._after("ended", payment)
            return
        made.paid, made.currency = amount, currency
        self._after("paid", payment)
        if rng.random() < self._lies:
            self._after("ended", payment)

    def _after(self, kind: Literal["paid", "ended"], payment: str) -> None:
        """Tell of a session: it takes a moment to reach those who send events."""
        made = self.sessions[payment]
        event = Event(
            id=f"evt-{self._rng.getrandbits(48):x}", kind=kind, payment=payment, session=made.id,
            amount_minor=made.paid, currency=made.currency,
        )  # fmt: skip
        self._tell(event, False)

    def kept(self, payment: str) -> int:
        """Return what a payment's session has of its money."""
        made = self.sessions[payment]
        back = (each for each in self.refunds.values() if each.asked.session == made.id)
        return made.paid - sum(each.asked.amount_minor for each in back if each.status != "failed")


def _answer(answered: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if not answered.done():
        answered.set_result(result) if error is None else answered.set_exception(error)


class Card:
    """The provider, as FlashGuard speaks with it."""

    bank: ClassVar[Bank]
    """Of the run."""

    def __init__(self, settings: Settings) -> None:
        pass

    async def create(self, asked: SessionRequest) -> Session:
        name = type(self).__name__.lower()
        return await self.bank.ask(f"a session for {asked.id}", lambda: self.bank.create(name, asked))

    def event(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        if headers != SIGNATURE:
            raise Forged("not signed")
        return msgspec.json.decode(body, type=Event)

    async def expire(self, session: str) -> SessionNow:
        return await self.bank.ask(f"to end {session}", lambda: self.bank.expire(session))

    async def refund(self, asked: RefundRequest) -> RefundNow:
        return await self.bank.ask(f"the refund {asked.id}", lambda: self.bank.refund(asked))

    async def close(self) -> None:
        pass


class Wallet(Card):
    """A second provider, with the same servers."""


PROVIDERS: Final = (f"{__name__}:Card", f"{__name__}:Wallet")
NAMES: Final = ("card", "wallet")
