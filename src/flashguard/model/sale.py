"""A sale, its items, its waiting room, and the lines of a buyer's basket."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from .names import MAX_NAME, MinorUnits, SaleId, Sku, is_name, is_sale_id, is_str
from .rules import NO_RULES, Rules

MAX_LINES: Final = 50
"""Most lines in one basket."""

MAX_QUANTITY: Final = 1_000_000
"""Most units on one line: keeps every sum far below 2**53, up to which Lua holds integers exactly."""

MAX_PRICE_MINOR: Final = 100_000_000_000
"""The largest price: times `MAX_LINES` and `MAX_QUANTITY` it stays below 2**63, the bound of a bigint."""

MAX_STOCK: Final = 1_000_000_000
"""Most units of one item: keeps its sums exact in Lua too."""


class SaleStatus(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class Durability(StrEnum):
    """Where a hold must be stored before it is answered."""

    MEMORY = "memory"
    DISK = "disk"
    REPLICATED = "replicated"
    LEDGER = "ledger"


class RoomMode(StrEnum):
    """The order in which a waiting room admits the buyers who came before the sale opened."""

    LOTTERY = "lottery"
    FIFO = "fifo"


class WaitingRoom(Struct, frozen=True, kw_only=True):
    """The rules by which a sale admits its buyers: a rate, a number at a time, and a session for each."""

    mode: RoomMode = RoomMode.LOTTERY
    admit_per_second: float = 50.0
    max_active: int = 1_000
    session_seconds: int = 300
    max_waiting: int = 1_000_000
    proof_of_work: bool = False
    commitment: str | None = None
    """SHA-256 of the lottery's seed, in hex."""


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """A quantity of one item."""

    sku: Sku
    quantity: int


class Item(Struct, frozen=True, kw_only=True):
    """An item on sale. Always `stock = available + held + sold`."""

    sku: Sku
    name: str
    price_minor: MinorUnits
    currency: str
    stock: int
    held: int = 0
    sold: int = 0

    @property
    def available(self) -> int:
        return self.stock - self.held - self.sold


class Sale(Struct, frozen=True, kw_only=True):
    """A sale with its rules and items. `hold_seconds` is how long a hold lasts."""

    id: SaleId
    name: str
    status: SaleStatus
    items: tuple[Item, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    hold_seconds: int = 120
    limit_per_customer: int | None = None
    hold_durability: Durability = Durability.DISK
    effective_hold_durability: Durability | None = None
    """The durability that an answered hold really has, by Valkey's present configuration; None: unknown."""
    waiting_room: WaitingRoom | None = None
    rules: Rules = NO_RULES
    created_at: datetime | None = None
    spread: int = 1
    """The number of shards, each on its own partition, that share the stock and the buyers."""


def merge_lines(lines: list[Line] | tuple[Line, ...]) -> tuple[Line, ...]:
    """Return one line per item, with the sum of its quantities, in the order in which items first appear."""
    if len(lines) == 1:
        return tuple(lines)
    quantities: dict[Sku, int] = {}
    for line in lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    return tuple(Line(sku, quantity) for sku, quantity in quantities.items())


_LISTS: Final = (list, tuple)


def invalid_basket(sale: str, customer: str, lines: Sequence[Line]) -> str | None:
    """Return the fault of a basket, as a sentence; None when there is none."""
    if (type(sale) is not str and not is_str(sale)) or not is_sale_id(sale):
        return "sale: 1 to 64 of a-z, 0-9 and '-', not starting with '-'"
    if not is_name(customer):
        return f"customer: 1 to {MAX_NAME} printable characters"
    if not isinstance(lines, _LISTS) or not 1 <= len(lines) <= MAX_LINES:
        return f"items: 1 to {MAX_LINES} lines"
    for line in lines:
        if type(line) is not Line:
            return "items: each must be a Line"
        sku, quantity = line.sku, line.quantity
        if (type(sku) is not str and not is_str(sku)) or not is_name(sku):
            return f"sku: 1 to {MAX_NAME} printable characters"
        if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
            return f"quantity: a whole number from 1 to {MAX_QUANTITY}"
    return None
