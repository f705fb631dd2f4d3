"""What the harness needs of a shop: an adapter with five calls, and what the shop promises."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.campaign.targets.web import Reply


class Word(StrEnum):
    GRANTED = "granted"
    REFUSED = "refused"
    """There are no units left. Any other refusal is `UNKNOWN`."""
    UNKNOWN = "unknown"
    """No answer, or one that decides nothing: the call may have had its effect."""


@dataclass(frozen=True)
class Answer:
    """What a shop answered to a buyer. Times are seconds of one clock."""

    word: Word
    started: float
    ended: float
    id: str = ""
    """The hold's or the order's id, where it was granted."""
    why: str = ""
    """What came in place of an answer that decides."""
    http: int = 0

    @classmethod
    def of(cls, reply: Reply, word: Word, id: str = "") -> "Answer":
        why = f"{reply.status} {str(reply.body)[:200]}" if word is Word.UNKNOWN else ""
        return cls(word, reply.started, reply.ended, id, why, reply.status)


class Order(NamedTuple):
    """An order that the shop has, in whatever state it can't lose its units again."""

    id: str
    buyer: str
    units: int


@dataclass(frozen=True)
class About:
    """What a shop is and what it promises."""

    name: str
    version: str
    setup: str
    """How it runs here."""
    promise: str
    """What its documentation says of scarce stock, in its words."""
    source: str
    """Where it says so."""
    has_holds: bool
    """True: `reserve` takes a hold, which `confirm` makes an order. False: `reserve` makes the order."""
    has_release: bool
    """Whether a buyer can give a hold back."""
    has_keys: bool
    """Whether a call that is repeated with the same key is answered as the first was."""


class Target(Protocol):
    """An adapter. One serves a whole run: `start`, then for each round `open` and buyers, then `stop`."""

    async def start(self, folder: Path) -> About:
        """Start the shop where it is not running yet, and return what it is."""
        ...

    async def stop(self) -> None:
        """End everything that `start` started."""
        ...

    async def open(self, units: int, buyers: int) -> None:
        """Put a new item with this stock on sale. Buyers who must prepare a cart have one after this."""
        ...

    async def reserve(self, buyer: int, key: str) -> Answer:
        """Take one unit for this buyer: the moment at which the shop says yes or sold out."""
        ...

    async def confirm(self, buyer: int, hold: str, key: str) -> Answer:
        """Make an order of a hold."""
        ...

    async def release(self, buyer: int, hold: str, key: str) -> Answer:
        """Give a hold back."""
        ...

    async def stock(self) -> int:
        """Return the units that the shop would still sell."""
        ...

    async def orders(self) -> list[Order]:
        """Return all orders for the item."""
        ...


def buyer_name(buyer: int) -> str:
    return f"buyer-{buyer}"


def buyers_of(orders: Sequence[Order]) -> Iterator[tuple[str, list[Order]]]:
    """Yield each buyer with the orders that it has."""
    found: dict[str, list[Order]] = {}
    for order in orders:
        found.setdefault(order.buyer, []).append(order)
    yield from found.items()
