"""Tuning of Python's garbage collector for a serving process."""

import gc
from typing import Final

THRESHOLDS: Final = (50_000, 20, 50)
"""Python's defaults (700, 10, 10) run full collections several times a second under load. With 2,000 open
streams each stops every buyer for 200 ms; see docs/decisions/0004."""


def collect_rarely() -> None:
    """Collect less often, and never examine again the objects that exist when the process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
