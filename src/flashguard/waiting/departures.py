"""Buyers who have bought leave the waiting room in the background, so that it admits the next ones."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from flashguard.engine.decisions import Decisions
from flashguard.kernel.verbs import Verb
from flashguard.ledger import LedgerAway
from flashguard.model import Refused, SaleId

from .hosts import Hosts
from .tickets import Tickets, shard_of

MOST: Final = 10_000
"""Buyers who are leaving at once. Further sessions end by time."""


class LeaveRoom(Protocol):
    """Gives up a ticket's place in its room; `at_guest`: for units of another sale than the room's own."""

    async def __call__(self, host: SaleId, id_: str, units: int, *, at_guest: bool) -> Refused | None: ...


class Departures:
    """The buyers who are leaving.

    Parameters:
        lottery: returns the seed of the lottery of a sale's room, and the number of the sale's shards.
    """

    def __init__(
        self,
        decisions: Decisions,
        hosts: Hosts,
        tickets: Tickets,
        lottery: Callable[[SaleId], Awaitable[tuple[str, int] | Refused]],
        leave: LeaveRoom,
    ) -> None:
        self._decisions = decisions
        self._hosts = hosts
        self._tickets = tickets
        self._lottery = lottery
        self._leave = leave
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, sale: SaleId, customer: str, units: int) -> None:
        """Make this buyer of the sale leave its room."""
        if len(self._tasks) < MOST:
            task = asyncio.get_running_loop().create_task(self._depart(sale, customer, units))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _depart(self, sale: SaleId, customer: str, units: int) -> None:
        host = await self._hosts.of(sale)
        if isinstance(host, Refused):
            return
        try:
            of_host = await self._lottery(host)
            of_sale = of_host if host == sale else await self._lottery(sale)
        except LedgerAway:
            return  # the session ends by time
        if isinstance(of_host, Refused) or isinstance(of_sale, Refused):
            return
        id_ = self._tickets.id_of(host, customer, of_host[1])
        await self._leave(host, id_, units, at_guest=host != sale)
        if host != sale:  # the guest counts these units, to know how many of its holds come back
            home = shard_of(sale, self._tickets.id_of(host, customer, of_sale[1]))
            await self._decisions.ask(Verb.LEAVE_ROOM, home, (id_, units))
