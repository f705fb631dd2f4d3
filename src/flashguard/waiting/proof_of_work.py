"""Proof of work before a ticket: challenges of the ALTCHA kind, signed here, and each solution good once.

A challenge costs a browser about a second, and this process a few hashes. Nothing is stored of a challenge
until it is solved; the kernel sees to it that a solution counts once.
"""

import time
from typing import Any, Final

from flashguard.engine.receipts import Signer
from flashguard.model import SaleId

ALGORITHM: Final = "SHA-256"
PREFIX: Final = "0000"
"""What the hash must start with, in hex: 65,536 tries on average."""
SOLVE_SECONDS: Final = 300
"""Lifetime of a challenge."""
MAX_PROOF: Final = 4096
"""Characters of a solution."""

NO_PROOF: Final = ("", 0)


class Proofs:
    """Makes challenges, and verifies their solutions."""

    def __init__(self, signer: Signer) -> None:
        self._secret = signer.secret_for("altcha")

    def challenge(self, sale: SaleId) -> dict[str, Any]:
        """Return a challenge for this sale's waiting room."""
        import altcha  # imported here: few sales demand proofs

        made: dict[str, Any] = altcha.create_challenge(
            ALGORITHM,
            1,
            key_prefix=PREFIX,
            expires_at=int(time.time()) + SOLVE_SECONDS,
            data={"sale": sale},
            hmac_secret=self._secret,
        ).to_dict()
        return made

    def verify(self, sale: SaleId, text: str) -> tuple[str, int]:
        """Return the name of the solved challenge and its end in milliseconds; `NO_PROOF` where the solution
        is wrong, too late, or another sale's."""
        if len(text) > MAX_PROOF:
            return NO_PROOF
        import altcha

        try:
            payload = altcha.Payload.from_base64(text)
            good = altcha.verify_solution(payload, self._secret).verified
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            return NO_PROOF  # a stranger may send anything
        asked = payload.challenge.parameters
        if not good or asked.data != {"sale": sale} or not asked.expires_at:
            return NO_PROOF
        return f"proof {asked.nonce}", int(asked.expires_at) * 1000
