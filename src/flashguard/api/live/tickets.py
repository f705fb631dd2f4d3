"""Tells buyers in waiting rooms of their places, as events.

A channel per ticket that is watched, and a task per room. Once per beat the task reads how far the room has
come, whatever the number of its tickets, and polls those whose turn has come and those whose poll is due.
"""

import asyncio
import logging
from typing import Final

import msgspec

from flashguard.api.responses.problems import problem
from flashguard.errors import Code, FlashGuardError
from flashguard.live import Channel, Hub, Viewer, sse
from flashguard.model import Refused, SaleId
from flashguard.waiting.place import Place
from flashguard.waiting.room import WaitingRooms
from flashguard.waiting.tickets import shard_of

log = logging.getLogger("flashguard")

BEAT_SECONDS: Final = 0.25
"""Between two readings of a room: as often as the recorder admits."""
POLLS_MOST: Final = 1_000
"""Tickets of one room that are polled in a beat; the others follow in the next."""
AWAY_SECONDS: Final = 1.0
"""Until a ticket is polled again that could not be."""
PASSING: Final = frozenset((Code.RECOVERING, Code.OVERLOADED))
EVERY_PLACE: Final = float("inf")

Room = tuple[SaleId, SaleId]
"""A sale, and its shard: the tickets of each shard are followed apart."""


class WatchedTicket:
    """A ticket that at least one stream is about."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.channel = Channel(lambda: self.newest)
        self.newest = b""
        """The event that says where it stands."""
        self.number = 0.0
        """Its place in the order of the room, which the buyer may not know before a lottery is drawn."""
        self.poll_at = 0.0


class TicketStreams:
    """The streams of the tickets of all rooms."""

    def __init__(self, rooms: WaitingRooms, hub: Hub) -> None:
        self._rooms = rooms
        self._hub = hub
        self._tickets: dict[Room, dict[str, WatchedTicket]] = {}
        self._tasks: dict[Room, asyncio.Task[None]] = {}

    async def watch(self, sale: SaleId, id_: str) -> Viewer | Refused:
        """Return a new viewer of a ticket; the caller must make it `leave` in the end.

        Raises:
            Full, Ending: not now.
        """
        self._hub.check_room()
        standing = await self._rooms.standing(sale, id_)
        if isinstance(standing, Refused):
            return standing
        self._hub.check_room()
        room = sale, shard_of(sale, id_)
        tickets = self._tickets.setdefault(room, {})
        ticket = tickets.get(id_)
        if ticket is None or ticket.channel.ended:
            ticket = tickets[id_] = WatchedTicket(id_)
        self._tell(ticket, *standing)
        if room not in self._tasks:
            self._tasks[room] = asyncio.create_task(self._follow(room))
        return self._hub.watch(ticket.channel)

    async def close(self) -> None:
        """End our tasks; the hub ends the streams."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget_unwatched(self, room: Room) -> dict[str, WatchedTicket]:
        """Return the tickets of a room that are watched and wait."""
        tickets = self._tickets[room]
        for id_, ticket in list(tickets.items()):
            if ticket.channel.ended or not ticket.channel.viewers:
                del tickets[id_]
        return tickets

    async def _follow(self, room: Room) -> None:
        sale, shard = room
        try:
            while tickets := self._forget_unwatched(room):
                try:
                    await self._beat(sale, tickets)
                except Exception:
                    log.exception("room of %s: next try in %.2f s", shard, BEAT_SECONDS)
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            del self._tasks[room], self._tickets[room]

    async def _beat(self, sale: SaleId, tickets: dict[str, WatchedTicket]) -> None:
        first = await self._rooms.first_place(sale, next(iter(tickets)))
        if isinstance(first, Refused):
            first = 0.0 if first.code in PASSING else EVERY_PLACE
        now = asyncio.get_running_loop().time()
        due = [each for each in tickets.values() if each.number < first or each.poll_at <= now][:POLLS_MOST]
        asked = (self._rooms.standing(sale, each.id) for each in due)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for ticket, answer in zip(due, answers, strict=True):
            if isinstance(answer, tuple):
                self._tell(ticket, *answer)
            elif isinstance(answer, FlashGuardError):
                self._tell_away(ticket, str(answer))
            elif isinstance(answer, BaseException):
                raise answer
            elif answer.code in PASSING:
                self._tell_away(ticket, answer.detail)
            else:
                ticket.newest = sse.event("problem", msgspec.Raw(problem(answer).body))
                ticket.channel.publish(ticket.newest)
                ticket.channel.end()

    def _tell(self, ticket: WatchedTicket, place: Place, number: float) -> None:
        """Tell the viewers of a ticket where it stands, unless they know. Its admission is the
        last."""
        ticket.number = number
        ticket.poll_at = asyncio.get_running_loop().time() + (place.poll_after_seconds or 0.0)
        event = sse.event("place", place)
        if event != ticket.newest:
            ticket.newest = event
            ticket.channel.publish(event)
        if place.admission is not None:
            ticket.channel.end()

    def _tell_away(self, ticket: WatchedTicket, detail: str | None) -> None:
        ticket.poll_at = asyncio.get_running_loop().time() + AWAY_SECONDS
        event = sse.event(
            "away", {"code": Code.RECOVERING, "detail": detail or "The room can't be read now."}
        )
        if event != ticket.newest:
            ticket.newest = event
            ticket.channel.publish(event)
