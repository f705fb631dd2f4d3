"""Spread sales as a process serves them: buyers go to their home parts, units go to where the buyers are."""

from .routing import At, Spread
from .whole import NO_LIST, Whole, as_in_memory, drafts_of, unfit

__all__ = ["NO_LIST", "At", "Spread", "Whole", "as_in_memory", "drafts_of", "unfit"]
