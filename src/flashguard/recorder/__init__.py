"""Journal to ledger: the loop, ended holds, and recovery."""

from flashguard.recorder.recorder import Recorder

__all__ = ["Recorder"]
