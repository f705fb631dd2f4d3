"""A partition: which one a sale lives on, and a place in its journal."""

import zlib
from functools import lru_cache

from msgspec import Struct

from .names import SaleId


class Position(Struct, frozen=True, order=True):
    """A place in a partition's journal: the newest entry that a reader has dealt with."""

    epoch: int
    seq: int
    token: str


@lru_cache(maxsize=4096)
def partition_of(sale: SaleId, partitions: int) -> int:
    """The partition a sale lives on: CRC-32 of its id, modulo the installation's fixed count. A part of a
    spread sale lives as many partitions further: see shards.py."""
    public, _, part = sale.partition("~")
    return (zlib.crc32(public.encode()) + int(part or 0)) % partitions
