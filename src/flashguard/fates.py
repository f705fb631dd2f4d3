"""What a decision's fate means to whoever asked."""

from typing import Final

from flashguard.decisions import Decision, Fate
from flashguard.errors import Code
from flashguard.model import Refused

RETRY_SECONDS: Final = 1.0


def refused_by_fate(decision: Decision) -> Refused | None:
    """The refusal that a decision's fate means; None when it was decided and, where needed, committed."""
    match decision.fate:
        case Fate.DECIDED:
            return None
        case Fate.REFUSED_BY_LEDGER:
            return Refused(code=Code.LEDGER_REFUSED)
        case Fate.OVERLOADED:
            return Refused(code=Code.OVERLOADED, retry_after_seconds=RETRY_SECONDS)
        case Fate.UNKNOWN:
            return Refused(
                code=Code.OVERLOADED,
                detail="Not committed in time. The same idempotency key tells the outcome.",
                retry_after_seconds=RETRY_SECONDS,
            )
        case Fate.LOST | Fate.RECOVERING:
            return Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
