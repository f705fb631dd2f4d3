"""What it means when Valkey does not answer a script, or answers with an error."""

from typing import Final

from flashguard.errors import FlashGuardError
from flashguard.valkey.errors import MovedError, ResponseError

BROKEN: Final = ("WRONGTYPE", "attempt to ")
"""In an error: a command met a key of another type; a script met nil where a value should be."""
WRITE_REFUSALS: Final = {
    "OOM": "memory is full: maxmemory is reached, and every write is refused",
    "MISCONF": "memory takes no writes: it can't write its append-only file or snapshot; is the disk full?",
    "READONLY": "memory takes no writes: it is a replica",
    "NOREPLICAS": "memory takes no writes: it has fewer replicas than min-replicas-to-write",
}
"""What a server answers that is there and takes no writes."""


class MemoryAway(FlashGuardError):
    """Valkey/Redis did not answer. Whether the call took effect is not known; its keys tell later."""


class MemoryGone(MemoryAway):
    """Nobody answered at all: the server is down, hangs, or can't be reached."""


class MemoryBroken(MemoryAway):
    """A key of ours holds something else, or lacks a part: memory answers, but can't be used before it is
    built again."""


def away(what: object, error: Exception) -> MemoryAway:
    """What an error of the client means to those who called."""
    kind: type[MemoryAway] = MemoryGone
    if isinstance(error, MovedError):
        return MemoryAway(f"{what}: moved to {error.host}:{error.port}; for a cluster use redis+cluster://")
    if isinstance(error, ResponseError):
        broken = any(sign in str(error) for sign in BROKEN)
        kind = MemoryBroken if broken else MemoryAway
    return kind(f"{what}: {error}")
