"""Proof of work before a ticket: challenges of the ALTCHA kind, signed here, and each solution good once.

A challenge costs a browser about a second and us a few hashes. Nothing is kept of one until it is solved;
that a solution counts once is the kernel's to see to.
"""

import time
from typing import Any, Final

from flashguard.engine.receipts import Signer
from flashguard.model import SaleId

ALGORITHM: Final = "SHA-256"
PREFIX: Final = "0000"
"""What the hash must start with, in hex: 65,536 tries on average."""
SOLVE_SECONDS: Final = 300
"""A challenge may be solved for so long."""
MAX_PROOF: Final = 4096
"""Characters."""

NO_PROOF: Final = ("", 0)


class Proofs:
    """Makes challenges and verifies their solutions."""

    def __init__(self, signer: Signer) -> None:
        self._secret = signer.secret_for("altcha")

    def challenge(self, sale: SaleId) -> dict[str, Any]:
        """A challenge for this sale's waiting room."""
        import altcha  # where it is needed: few sales ask for proofs

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
        """The name of the challenge that was solved, and until when it could be, in milliseconds; `NO_PROOF`
        where the solution is none, or is another sale's."""
        if len(text) > MAX_PROOF:
            return NO_PROOF
        import altcha

        try:
            payload = altcha.Payload.from_base64(text)
            good = altcha.verify_solution(payload, self._secret).verified
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            return NO_PROOF  # whatever a stranger may send
        asked = payload.challenge.parameters
        if not good or asked.data != {"sale": sale} or not asked.expires_at:
            return NO_PROOF
        return f"proof {asked.nonce}", int(asked.expires_at) * 1000
