"""How the recorders and their partitions do, from memory and ledger alone: any process may ask."""

from typing import Final

from msgspec import Struct

from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger

SILENT_MS: Final = 5_000
"""A recorder that was not heard of for so long is taken for dead; it says so every second."""


class RecorderState(Struct, frozen=True):
    recorders: int
    lag_entries: int
    """Journal entries that the ledger does not have yet, of all partitions."""
    fenced: dict[int, str]
    """Partitions that answer 503 until they are rebuilt, and why."""


async def recorder_state(kernel: Kernel, ledger: Ledger, partitions: int) -> RecorderState:
    """The state at this moment.

    Raises:
        MemoryAway, LedgerAway: a server does not answer.
    """
    fenced: dict[int, str] = {}
    lag = 0
    positions = await ledger.positions()
    for partition in range(partitions):
        head = await kernel.head(partition)
        position = positions[partition]
        if "fence" in head or not (head.get("epoch", "").isdigit() and head.get("seq", "").isdigit()):
            fenced[partition] = head.get("why", "memory is missing")
        elif int(head["epoch"]) != position.epoch:
            fenced[partition] = "memory and ledger are at different epochs"
        else:
            lag += max(0, int(head["seq"]) - position.seq)
    return RecorderState(len(await kernel.recorders(SILENT_MS)), lag, fenced)
