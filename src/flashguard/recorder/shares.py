"""Shares the partitions among the live recorders: each computes its own share from the heartbeats of all.

No promise depends on it: compare-and-set on the ledger's position guards them. Two recorders that see
different heartbeats may both claim a partition for a moment; the one that loses the race for a group steps
back.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

DEAD_SECONDS: Final = 2.0
"""A recorder is dead after this time without a heartbeat: several beats, so that a slow recorder stays."""
MISSED_SECONDS: Final = 1.0
"""How long a recorder whose heartbeat vanished from memory still counts: memory itself may be new."""


def share(recorders: Iterable[str], me: str, partitions: int) -> frozenset[int]:
    """Return the partitions of `me` while these recorders live; all recorders compute the same shares.

    Rendezvous hashing (Thaler and Ravishankar, 1998) with bounded loads: each partition goes to the recorder
    that it ranks highest among those that have room. No recorder has more than an even share, rounded up.
    """
    names = sorted(set(recorders))
    room = dict.fromkeys(names, -(-partitions // max(1, len(names))))
    mine = set()
    for number in range(partitions):
        for name in sorted(names, key=lambda name: _rank(name, number), reverse=True):
            if room[name]:
                room[name] -= 1
                if name == me:
                    mine.add(number)
                break
    return frozenset(mine)


def _rank(name: str, number: int) -> bytes:
    return hashlib.blake2b(f"{number}\0{name}".encode(), digest_size=8).digest()


class Roll:
    """The live recorders, as one of them sees them."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def note(self, beats: Mapping[str, float], now: float) -> list[str]:
        """Return the live recorders, sorted by name.

        Parameters:
            beats: the seconds since each recorder's heartbeat; negative when it leaves.
            now: seconds, by a clock that only goes forward.
        """
        for name, silent_seconds in beats.items():
            if silent_seconds < 0:
                self._seen.pop(name, None)
            elif silent_seconds < DEAD_SECONDS:
                self._seen[name] = now
        self._seen = {
            name: at
            for name, at in self._seen.items()
            if at == now or (name not in beats and now - at < MISSED_SECONDS)
        }
        return sorted(self._seen)
