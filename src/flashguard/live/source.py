"""What a live view reads: the journal, and whole sales. The API implements it."""

from typing import Protocol

from msgspec import Struct

from flashguard.model import Position, Sale, SaleId

RawEntry = tuple[bytes, dict[bytes, bytes]]


class Snapshot(Struct, frozen=True):
    """A sale as memory had it right after the journal entry `epoch`-`seq`; `now_ms` by memory's clock."""

    sale: Sale
    epoch: int
    seq: int
    now_ms: int


class Source(Protocol):
    """Every method raises `FlashGuardError` while a server that it needs does not answer."""

    def partition(self, sale: SaleId) -> int:
        """Return the sale's partition; of a spread sale, the first shard's."""
        ...

    async def head(self, partition: int) -> Position:
        """Return the newest journal entry; raise also while the partition is fenced or not in memory."""
        ...

    async def entries(self, partition: int, after: Position, *, count: int, block_ms: int) -> list[RawEntry]:
        """Return journal entries after this one; wait up to `block_ms` for the first."""
        ...

    async def snapshot(self, sale: SaleId) -> Snapshot | None:
        """Return the sale as memory has it; None when there is no such sale."""
        ...

    async def last_known(self, sale: SaleId) -> Sale | None:
        """Return the sale as the ledger has it, for use while memory is away."""
        ...
