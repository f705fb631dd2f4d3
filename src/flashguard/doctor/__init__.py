"""Checks whether a deployment can keep FlashGuard's promises: findings, each with what to do."""

from .examine import examine, examine_at_start
from .finding import Finding, State

__all__ = ["Finding", "State", "examine", "examine_at_start"]
