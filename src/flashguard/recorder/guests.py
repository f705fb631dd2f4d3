"""The sales that share another sale's waiting room: a recorder asks them for their units in each beat."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from flashguard.ledger import Ledger, LedgerAway
from flashguard.model import SaleId

log = logging.getLogger("flashguard.recorder")

ROUND_SECONDS: Final = 1.0


class Guests:
    """The guests of all shared rooms, as the ledger had them when it last answered."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._of: Mapping[SaleId, Sequence[SaleId]] = {}

    def of(self, host: SaleId) -> Sequence[SaleId]:
        """Return the sales that share this sale's room, and their shards; empty before the first reading."""
        return self._of.get(host, ())

    async def run(self) -> None:
        """Read the guests again and again until cancelled."""
        while True:
            try:
                guests: dict[SaleId, list[SaleId]] = {}
                for guest, host in await self._ledger.sales.in_rooms():
                    guests.setdefault(host, []).append(guest)
                self._of = guests
            except (LedgerAway, asyncpg.PostgresError) as error:
                log.debug("shared rooms: their sales are those known so far: %s", error)
            await asyncio.sleep(ROUND_SECONDS)
