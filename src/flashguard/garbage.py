"""Tuning of Python's garbage collector for a serving process."""

import gc
from typing import Final

THRESHOLDS: Final = (10_000, 20, 250)
"""Python's defaults (700, 10, 10) run full collections several times a second under load. With 2,000 open
streams each stops every buyer for 200 ms; see docs/decisions/0004. The first number bounds what faults leave:
an exception of a failed connection is part of a cycle, and as many objects of such cycles may wait for the
collector. 50,000 of them cost 7 MB, 10,000 cost 2 MB."""


def collect_rarely() -> None:
    """Collect less often, and never examine again the objects that exist when the process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
