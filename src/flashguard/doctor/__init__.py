"""Is this deployment able to keep FlashGuard's promises? Findings, each with what to do."""

from flashguard.doctor.examine import examine, examine_at_start
from flashguard.doctor.finding import Finding, State

__all__ = ["Finding", "State", "examine", "examine_at_start"]
