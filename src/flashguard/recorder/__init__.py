"""Journal to ledger: the loop, ended holds, and recovery."""

from flashguard.recorder.sharing import Recorder

__all__ = ["Recorder"]
