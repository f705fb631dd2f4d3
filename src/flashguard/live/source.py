"""Where the live view reads: the journal, and whole sales. The guard's side implements it."""

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

    def partition(self, sale: SaleId) -> int: ...

    async def head(self, partition: int) -> Position:
        """The newest journal entry. Raises also while the partition is fenced, or not in memory."""
        ...

    async def entries(self, partition: int, after: Position, *, count: int, block_ms: int) -> list[RawEntry]:
        """Journal entries after this one; waits so long for the first."""
        ...

    async def snapshot(self, sale: SaleId) -> Snapshot | None:
        """The sale as memory has it; None when there is no such sale."""
        ...

    async def last_known(self, sale: SaleId) -> Sale | None:
        """The sale as the ledger has it, for while memory is away."""
        ...
