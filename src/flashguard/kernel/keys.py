"""The names of all keys.

All keys of a partition share its hash tag, so that every script runs on a cluster.
"""

from functools import lru_cache
from typing import NamedTuple

from flashguard.model import SaleId
from flashguard.valkey.slots import HOME_TAG


class SaleKeys(NamedTuple):
    """The six keys of a sale, in the order that every script expects."""

    sale: str
    reservations: str
    deadlines: str
    used: str
    history: str
    queue: str


@lru_cache(maxsize=1024)
def partition(number: int) -> str:
    """Hash: epoch, seq, token, recorded; while fenced also fence, why, builder, building_ms, loads, and stuck
    where an operator must decide."""
    return f"fg:{{{number}}}:partition"


@lru_cache(maxsize=1024)
def journal(number: int) -> str:
    """Stream: one entry per script call that changed something."""
    return f"fg:{{{number}}}:journal"


@lru_cache(maxsize=1024)
def sales(number: int) -> str:
    """Set: the ids of the sales in this partition's memory."""
    return f"fg:{{{number}}}:sales"


@lru_cache(maxsize=1024)
def recorded(number: int) -> str:
    """Channel: the entries that the recorder has committed."""
    return f"fg:{{{number}}}:recorded"


@lru_cache(maxsize=16_384)
def sale(number: int, sale_id: SaleId) -> SaleKeys:
    """The keys of one sale on its partition."""
    tag = f"fg:{{{number}}}:"
    return SaleKeys(
        f"{tag}sale:{sale_id}",
        f"{tag}reservations:{sale_id}",
        f"{tag}deadlines:{sale_id}",
        f"{tag}used:{sale_id}",
        f"{tag}habits:{sale_id}",
        f"{tag}line:{sale_id}",
    )


class RoomKeys(NamedTuple):
    """The keys of a sale's waiting room, in the order that its scripts expect."""

    room: str
    waiting: str
    active: str
    lottery: str
    spent: str


@lru_cache(maxsize=16_384)
def room(number: int, sale_id: SaleId) -> RoomKeys:
    """The keys of a sale's waiting room: see scripts/lib/room.lua."""
    tag = f"fg:{{{number}}}:room"
    return RoomKeys(
        f"{tag}:{sale_id}",
        f"{tag}-waiting:{sale_id}",
        f"{tag}-active:{sale_id}",
        f"{tag}-lottery:{sale_id}",
        f"{tag}-spent:{sale_id}",
    )


def staged(number: int, sale_id: SaleId, fence: str) -> tuple[str, str]:
    """Hashes that expire: the rebuild of this epoch renames them to the sale's reservations and used."""
    tag = f"fg:{{{number}}}:staged:{fence}:"
    return f"{tag}reservations:{sale_id}", f"{tag}used:{sale_id}"


def bucket(kind: str, name: str) -> str:
    """String: the token bucket of a caller; expires when it is full. All buckets share one slot."""
    return f"fg:{{limits}}:{kind}:{name}"


def recorders() -> str:
    """Sorted set: the running recorders, by their last heartbeat in milliseconds."""
    return f"fg:{HOME_TAG}"


def sharing() -> str:
    """Sorted set: the recorders that share the partitions, by their last heartbeat in milliseconds, which is
    negative once a recorder leaves."""
    return f"fg:{HOME_TAG}:sharing"


@lru_cache(maxsize=1024)
def mark(number: int) -> str:
    """String: written only to wait for its replication on the server of this partition."""
    return f"fg:{{{number}}}:mark"


def limits() -> str:
    """Never written: a key in the slot of the buckets, to find their server."""
    return "fg:{limits}"


# Simulations share a hash tag of their own.


def simulation_running() -> str:
    """String: the id of the running simulation; expires unless its process renews it."""
    return "fg:{simulation}:running"


def simulation_events(id_: str) -> str:
    """Stream: the events of a simulation; bounded, and expires an hour after the last one."""
    return f"fg:{{simulation}}:events:{id_}"


def simulation_stop(id_: str) -> str:
    """String: exists when the simulation must end early; expires."""
    return f"fg:{{simulation}}:stop:{id_}"
