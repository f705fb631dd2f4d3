"""How often Python looks for cyclic garbage in a process that serves."""

import gc
from typing import Final

THRESHOLDS: Final = (50_000, 20, 50)
"""Python's own (700, 10, 10) look through everything several times a second under load. With 2,000 open
streams such a look stops every buyer for 200 ms; see docs/decisions/0004."""


def spare_the_process() -> None:
    """Looks less often, and never again at what is there once the process has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
