"""What the command line writes."""

import contextlib
import sys
from typing import Any, TextIO, cast


def unfailing_output() -> TextIO:
    """Return standard output for a process that must go on without it.

    A full disk, or a reader that has gone, loses lines and nothing else.
    """
    return cast("TextIO", _UnfailingOutput())


class _UnfailingOutput:
    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stdout.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)
