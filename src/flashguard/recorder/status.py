"""Reports recorders and partitions from memory and ledger alone, so that any process may ask."""

import sys
from collections.abc import Container
from typing import Final

from msgspec import Struct

from flashguard.journal import decode_sound
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import Position

from .shares import Roll, share

SILENT_MS: Final = 5_000
"""A recorder is reported dead after this time without a heartbeat; it sends two a second."""


class RecorderState(Struct, frozen=True):
    """The recorders and all partitions at one moment."""

    recorders: int
    lag_entries: int
    """Journal entries that the ledger does not have yet, of all partitions."""
    lag_seconds: float
    """How long the oldest of them has waited, by memory's clock."""
    fenced: dict[int, str]
    """Partitions that answer 503 until they are rebuilt, and why."""
    shares: dict[str, list[int]]
    """Each recorder's partitions, as it computes them."""
    behind: dict[int, Position]
    """Partitions with entries that the ledger does not have yet, and the ledger's position in each."""


async def recorder_state(
    kernel: Kernel, ledger: Ledger, partitions: int, away: Container[int] = ()
) -> RecorderState:
    """Return the state at this moment.

    Parameters:
        away: partitions whose Valkey server does not answer; they are left out.

    Raises:
        MemoryAway, LedgerAway: a server does not answer.
    """
    fenced: dict[int, str] = {}
    behind: dict[int, Position] = {}
    lag = oldest_ms = 0
    positions = await ledger.positions.all()
    for partition in range(partitions):
        if partition in away:
            continue
        head = await kernel.head(partition)
        position = positions[partition]
        if "fence" in head or not (head.get("epoch", "").isdigit() and head.get("seq", "").isdigit()):
            fenced[partition] = head.get("why", "memory is missing")
        elif int(head["epoch"]) != position.epoch:
            fenced[partition] = "memory and ledger are at different epochs"
        else:
            missing = max(0, int(head["seq"]) - position.seq)
            lag += missing
            if missing:
                behind[partition] = position
                raw = await kernel.entries(partition, position.epoch, position.seq + 1, count=1)
                next_ones, _ = decode_sound(raw)
                oldest_ms = min([oldest_ms or sys.maxsize, *(entry.body.at_ms for entry in next_ones)])
    waited_ms = await kernel.now_ms() - oldest_ms if 0 < oldest_ms < sys.maxsize else 0
    names = Roll().note(await kernel.sharing(), 0.0)
    shares = {name: sorted(share(names, name, partitions)) for name in names}
    running = len(await kernel.recorders(SILENT_MS))
    return RecorderState(running, lag, max(0, waited_ms) / 1000, fenced, shares, behind)
