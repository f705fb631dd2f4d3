"""The results of the waiting room's scripts, with names."""

from msgspec import Struct


class Admitted(Struct, frozen=True):
    """A ticket whose turn it is."""

    until_ms: float


class InRoom(Struct, frozen=True):
    """A ticket that waits.

    Parameters:
        position: 0 before the lottery is drawn.
        wait_ms: -1 where the wait depends on holds that expire.
        opens_ms: 0 once the sale is open.
        about: the position is an estimate over the shards of the sale.
    """

    place: float
    position: int
    waiting: int
    wait_ms: float
    outlook: str
    opens_ms: int
    poll_ms: float
    about: bool = False


class Issued(Struct, frozen=True):
    """A ticket, issued now or before."""

    known: bool
    epoch: int
    standing: Admitted | InRoom


class RoomLeft(Struct, frozen=True):
    """The room does not have the ticket now."""


class RoomNow(Struct, frozen=True):
    """The counts of a waiting room, and a page of its lottery.

    Parameters:
        page: tickets, each before its number.
        first_place: the lowest place that waits; above every place where no ticket waits.
    """

    opened_ms: int
    waiting: int
    active: int
    admitted: int
    tickets: int
    page: list[str | int]
    first_place: float


class Reported(Struct, frozen=True):
    """What a shard of a spread sale has of its waiting room; of a shared room also a sale that is not spread.

    Parameters:
        granted: admissions ever granted to it, as it was told.
        active: buyers who are in.
        free, held: its units; soon: how many of those held will probably come back.
        settled: no tickets are expected back that memory may have lost.
        places: the lowest places that wait, in order.
        session_ms: how long an admission lasts.
    """

    granted: int
    active: int
    waiting: int
    free: int
    held: int
    soon: float
    settled: bool
    places: list[float]
    session_ms: int


class GuestNow(Struct, frozen=True):
    """What a sale that shares a waiting room, or a shard of it, has for the buyers whom the room admits."""

    free: int
    held: int
    soon: float


class AdmissionsGranted(Struct, frozen=True):
    """What the first shard grants in a beat.

    Parameters:
        count: admissions granted to all shards now.
        of_shards: for each shard, the admissions ever granted to it, and how many of them now.
        active: buyers who are in, or may be.
        full: no more may be in at the same time.
        pace: admissions per second of late.
    """

    count: int
    of_shards: list[int]
    active: int
    full: bool
    pace: float


class LetIn(Struct, frozen=True):
    """A shard has used its grant."""

    count: int


RoomResult = (
    Admitted | InRoom | Issued | RoomLeft | RoomNow | Reported | GuestNow | AdmissionsGranted | LetIn
)  # fmt: skip
