"""Partitions: the partition of a sale, and positions in a partition's journal."""

import zlib
from functools import lru_cache

from msgspec import Struct

from .names import SaleId


class Position(Struct, frozen=True, order=True):
    """A position in a partition's journal: the newest entry that a reader has processed."""

    epoch: int
    seq: int
    token: str


@lru_cache(maxsize=4096)
def partition_of(sale: SaleId, partitions: int) -> int:
    """Return the partition of a sale: CRC-32 of its id, modulo the installation's fixed number of partitions.
    Shard number n of a spread sale is n partitions further: see shards.py."""
    public, _, shard = sale.partition("~")
    return (zlib.crc32(public.encode()) + int(shard or 0)) % partitions
