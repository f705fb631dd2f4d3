"""Writes the journal into the ledger, expires holds, and rebuilds memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .process import Recorder

__all__ = ["Recorder"]


def __getattr__(name: str) -> object:
    """Import the recorder on first use: the API needs only the smaller modules, and starts sooner."""
    if name == "Recorder":
        from .process import Recorder

        return Recorder
    raise AttributeError(name)
