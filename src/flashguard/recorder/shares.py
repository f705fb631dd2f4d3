"""Which recorder takes which partition: each works it out by itself, from who is there.

Nothing here guards a promise: the ledger's position does, by compare-and-set. Two recorders that see
different things may both try a partition for a moment; one of them loses the race for a group, and looks
again.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

DEAD_SECONDS: Final = 2.0
"""A recorder that was not heard of for so long has died; several missed beats, so that a slow one stays."""
MISSED_SECONDS: Final = 1.0
"""How long somebody who vanished from memory without a word is still counted: memory itself may be new."""


def share(recorders: Iterable[str], me: str, partitions: int) -> frozenset[int]:
    """The partitions that are `me`'s, when these recorders are there: the same for everybody who asks.

    Rendezvous hashing (Thaler and Ravishankar, 1998) with bounded loads: each partition goes to the recorder
    that it ranks highest among those that have room, and nobody gets more than an even share, rounded up.
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
    """The recorders that are there, as one of them sees it."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def note(self, beats: Mapping[str, float], now: float) -> list[str]:
        """Who is there.

        Parameters:
            beats: the seconds since each recorder was heard of; negative for one that said it leaves.
            now: a clock that only goes forward, in seconds.
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
