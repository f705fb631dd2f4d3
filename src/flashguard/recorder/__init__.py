"""Journal to ledger: the loop, ended holds, and recovery."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .process import Recorder

__all__ = ["Recorder"]


def __getattr__(name: str) -> object:
    """The recorder itself, when first asked for: who sells needs its parts alone, and no time to start."""
    if name == "Recorder":
        from .process import Recorder

        return Recorder
    raise AttributeError(name)
