"""Spread sales as a process serves them: buyers go to their home parts, units go to where the buyers are."""

from .routing import ShardRouter
from .whole import NO_LIST, Whole, as_in_memory, drafts_of, unfit

__all__ = ["NO_LIST", "ShardRouter", "Whole", "as_in_memory", "drafts_of", "unfit"]
