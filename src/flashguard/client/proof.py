"""Solves the challenge that a waiting room demands before a ticket."""

from collections.abc import Mapping
from typing import Any, Final

from .answers import ClientError

SOLVE_SECONDS: Final = 120.0
"""Time that one challenge may take; the service accepts its solution for longer."""


def solve(challenge: Mapping[str, Any]) -> str:
    """Return the solution of a challenge, as a ticket's `proof`. It keeps one core busy, about a second.

    Raises:
        ClientError: no solution was found in time.
    """
    import altcha  # imported here: few sales demand proofs

    asked = altcha.Challenge.from_dict(dict(challenge))
    solution = altcha.solve_challenge(asked, timeout=SOLVE_SECONDS)
    if solution is None:
        raise ClientError(f"The waiting room's challenge was not solved in {SOLVE_SECONDS:g} s.")
    return altcha.Payload(asked, solution).to_base64()
