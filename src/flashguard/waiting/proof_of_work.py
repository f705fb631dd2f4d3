"""Proof of work before a ticket: challenges of the ALTCHA kind, signed here, and each solution good once.

A challenge hides a number. To find it, a browser derives one key after another with scrypt, which is bound by
memory: a bot in C gains little over WebAssembly. This process derives one key, in a thread, to make the
challenge, and none to verify a solution: the challenge has a signature of the key that solves it. It also
signs whose ticket a solution is for, so that all attempts to use it twice meet in one script: the home
shard's. Nothing is stored of a challenge until it is solved.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from flashguard.engine.customers import WHAT_IT_IS
from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import refused_by_status
from flashguard.engine.receipts import Signer
from flashguard.errors import Code
from flashguard.kernel.room_results import RoomNow
from flashguard.kernel.verbs import Verb
from flashguard.model import CustomerId, Refused, Sale, SaleId, SaleStatus, WaitingRoom, unknown_sale

ALGORITHM: Final = "SCRYPT"
COST: Final = 2048
BLOCK_SIZE: Final = 8
"""With COST: 2 MiB for each key, more than a core of a graphics card has at hand. What this costs a bot:
docs/explanation/fairness.md."""
HARDEST: Final = 16
"""A crowd makes a challenge at most this many times as hard."""
SOLVE_SECONDS: Final = 300
"""Lifetime of a challenge."""
MAX_PROOF: Final = 4096
"""Characters of a solution."""
MAX_CHALLENGES: Final = 128
"""Challenges that are being made or wait for it in one process: half a second of one core."""
RETRY_SECONDS: Final = 1.0

NO_PROOF: Final = ("", 0)
NO_ROOM: Final = Refused(code=Code.INVALID_REQUEST, detail="The sale has no waiting room: buy directly.")
NONE_DEMANDED: Final = Refused(code=Code.INVALID_REQUEST, detail="The waiting room demands no proof of work.")
TOO_MANY: Final = Refused(
    code=Code.OVERLOADED, detail="Too many challenges are asked for.", retry_after_seconds=RETRY_SECONDS
)


class Proofs:
    """Makes challenges, and verifies their solutions.

    Parameters:
        customer_of: returns the spelling of a customer's id that limits count by; None where it can't be an
            id.
        read: returns a sale as it was at most 100 ms ago; None where there is none.
    """

    def __init__(
        self,
        signer: Signer,
        decisions: Decisions,
        customer_of: Callable[[str], CustomerId | None],
        read: Callable[[SaleId], Awaitable[Sale | None]],
    ) -> None:
        self._signer = signer
        self._customer_of = customer_of
        self._secret = signer.secret_for("altcha")
        self._key_secret = signer.secret_for("altcha key")
        self._decisions = decisions
        self._read = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="challenges")
        self._making = 0

    def close(self) -> None:
        """Make no more challenges."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def challenge(self, sale: SaleId, customer: str) -> dict[str, Any] | Refused:
        """Return a challenge for this customer's ticket, as hard as the sale demands it now."""
        one = self._customer_of(customer)
        if one is None:
            return Refused(code=Code.INVALID_REQUEST, detail=WHAT_IT_IS)
        found = await self._read(sale)
        if found is None or found.status is SaleStatus.DRAFT:
            return unknown_sale(sale)
        if found.room is not None:
            sale, found = found.room, await self._read(found.room)
        room = None if found is None else found.waiting_room
        if found is None or room is None:
            return NO_ROOM
        if not room.proof_of_work:
            return NONE_DEMANDED
        waiting = 0
        if room.proof_harder_at is not None:
            decision = await self._decisions.ask(Verb.GET_ROOM, sale, (0, 0))
            refused = refused_by_status(decision)
            if refused:
                return refused
            of_first_shard = decision.result.waiting if isinstance(decision.result, RoomNow) else 0
            waiting = of_first_shard * found.spread
        if self._making >= MAX_CHALLENGES:
            return TOO_MANY
        self._making += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._make, sale, one, tries(room, waiting)
            )
        finally:
            self._making -= 1

    def _make(self, sale: SaleId, customer: CustomerId, average: int) -> dict[str, Any]:
        import altcha  # imported here: few sales demand proofs

        made: dict[str, Any] = altcha.create_challenge(
            ALGORITHM,
            COST,
            memory_cost=BLOCK_SIZE,
            parallelism=1,
            counter=secrets.randbelow(2 * average),
            expires_at=int(time.time()) + SOLVE_SECONDS,
            data={**self._names(sale, customer), "tries": average},
            hmac_secret=self._secret,
            hmac_key_secret=self._key_secret,
        ).to_dict()
        return made

    def _names(self, sale: SaleId, customer: CustomerId) -> dict[str, str]:
        """Return whose a challenge is. The customer as a digest: any id is short then, and plain ASCII."""
        return {"sale": sale, "customer": self._signer.challenge_for(sale, customer)}

    def verify(self, sale: SaleId, customer: CustomerId, text: str) -> tuple[str, int]:
        """Return the name of the solved challenge and its end in milliseconds; `NO_PROOF` where the solution
        is wrong, too late, another sale's or another customer's. It costs a few hashes, whatever a stranger
        sends.

        Parameters:
            customer: in the spelling that limits count by.
        """
        if len(text) > MAX_PROOF:
            return NO_PROOF
        import altcha

        try:
            payload = altcha.Payload.from_base64(text)
            asked = payload.challenge.parameters
            data, names = asked.data or {}, self._names(sale, customer)
            if any(data.get(name) != value for name, value in names.items()):
                return NO_PROOF
            if not asked.expires_at or not asked.key_signature:
                return NO_PROOF
            good = altcha.verify_solution(payload, self._secret, hmac_key_secret=self._key_secret).verified
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            return NO_PROOF  # a stranger may send anything
        return (f"proof {asked.nonce}", int(asked.expires_at) * 1000) if good else NO_PROOF


def tries(room: WaitingRoom, waiting: int) -> int:
    """Return how many keys a solution takes on average while this many buyers wait."""
    if room.proof_harder_at is None:
        return room.proof_tries
    crowd = min(max(1.0, waiting / room.proof_harder_at), HARDEST)
    return round(room.proof_tries * crowd)
