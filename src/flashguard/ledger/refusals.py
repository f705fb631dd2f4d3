"""What the ledger refused of memory's journal: counted, and parked from the second time on.

See docs/decisions/0016.
"""

from collections.abc import Sequence

import asyncpg
from msgspec import Struct

from .connections import Connection, Connections
from .sql import query


class RefusedGrant(Struct, frozen=True):
    """A grant of memory that the ledger refused. `lines` is JSON: sku, units, sku, units, ..."""

    sale: str
    id: str
    customer: str
    lines: str
    reason: str


class RefusedTransition(Struct, frozen=True):
    """A transition that the ledger refused: what names it, and why."""

    sale: str
    kind: str
    id: str
    reason: str


class Refusals:
    """The refused transitions. Every method raises `LedgerAway` when PostgreSQL does not answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def reason(self, sale_id: str, id_: str) -> str | None:
        """Return why the ledger refused an order that memory granted; None when it did not."""
        row = await self._connections.row("refused_order", sale_id, id_)
        return None if row is None else str(row["reason"])

    async def is_parked(self, sale_id: str, kind: str, id_: str) -> bool:
        """Return whether this very transition was refused more than once, so that it is not retried."""
        return await self._connections.row("parked", sale_id, kind, id_) is not None

    async def has_parked(self, sale_id: str, id_: str) -> bool:
        """Return whether any transition under this id is parked."""
        return await self._connections.row("parked_of_id", sale_id, id_) is not None

    async def parked(self, limit: int) -> list[asyncpg.Record]:
        """Return the newest parked transitions, each with the total of all."""
        return await self._connections.rows("parked_transitions", limit)


async def record_grants(connection: Connection, grants: Sequence[RefusedGrant], epoch: int) -> None:
    """Write down refused grants, so that a buyer who asks again learns why.

    Parameters:
        epoch: the epoch of the memory that granted them.
    """
    await connection.execute(
        query("record_refusals"),
        [grant.sale for grant in grants],
        [grant.id for grant in grants],
        [grant.customer for grant in grants],
        [grant.lines for grant in grants],
        [grant.reason for grant in grants],
        epoch,
    )


async def count_refused(
    connection: Connection, transitions: Sequence[RefusedTransition], partition: int
) -> list[tuple[RefusedTransition, int]]:
    """Count one more refusal of each transition; return each with its number of refusals so far."""
    rows = await connection.fetch(
        query("count_refused"),
        [transition.sale for transition in transitions],
        [transition.kind for transition in transitions],
        [transition.id for transition in transitions],
        [transition.reason for transition in transitions],
        partition,
    )
    return [
        (RefusedTransition(row["sale_id"], row["kind"], row["id"], row["reason"]), row["times"])
        for row in rows
    ]


async def end_parked_entries(connection: Connection, entries: Sequence[tuple[str, str]]) -> None:
    """End these waiting list entries, named by sale and id: the next entry in the queue is served."""
    await connection.execute(
        query("end_parked_entries"), [sale for sale, _ in entries], [id_ for _, id_ in entries]
    )
