"""The errors of a call to Valkey: no answer, or one that says that memory can't be used."""

from typing import Final

from flashguard.errors import FlashGuardError
from flashguard.valkey.errors import MovedError, ResponseError

BROKEN: Final = ("WRONGTYPE", "attempt to ")
"""Parts of an error message: a command met a key of another type; a script met nil in place of a value."""
WRITE_REFUSALS: Final = {
    "OOM": "memory is full: maxmemory is reached, and every write is refused",
    "MISCONF": "memory takes no writes: it can't write its append-only file or snapshot; is the disk full?",
    "READONLY": "memory takes no writes: it is a replica",
    "NOREPLICAS": "memory takes no writes: it has fewer replicas than min-replicas-to-write",
}
"""The errors of a server that answers and refuses writes."""


class MemoryAway(FlashGuardError):
    """Valkey/Redis did not answer. It is not known whether the call took effect; its keys tell later."""


class MemoryGone(MemoryAway):
    """The server is down, hangs, or can't be reached."""


class MemoryBroken(MemoryAway):
    """A key has another type or lacks a part: memory can't be used before it is rebuilt."""


def away(what: object, error: Exception) -> MemoryAway:
    """Return the error to raise for an error of the client."""
    kind: type[MemoryAway] = MemoryGone
    if isinstance(error, MovedError):
        return MemoryAway(f"{what}: moved to {error.host}:{error.port}; for a cluster use redis+cluster://")
    if isinstance(error, ResponseError):
        broken = any(sign in str(error) for sign in BROKEN)
        kind = MemoryBroken if broken else MemoryAway
    return kind(f"{what}: {error}")
