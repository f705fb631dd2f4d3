"""A sale, its items, its waiting room, and the lines of a buyer's basket."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

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
    proof_tries: int = 256
    """Keys that a solution takes on average; at most twice as many."""
    proof_harder_at: int | None = None
    """Waiting buyers from which a proof takes more tries, in proportion to the crowd; None: never."""
    open_to_all: bool = False
    """The doors are open: no buyer needs an admission. They are never closed again."""
    shared: bool = False
    """Other sales may share the room: see `Sale.room`. It stays shared."""
    commitment: str | None = None
    """SHA-256 of the lottery's seed, in hex."""


class Admission(NamedTuple):
    """An admission that another sale's room made, which this sale shares.

    Parameters:
        until_ms: until when it counts, in milliseconds since the Unix epoch by memory's clock.
        room: the sale whose room it is.
    """

    until_ms: int
    room: SaleId


class Allocation(Struct, frozen=True):
    """Units of a reservation's line at one location."""

    location: str
    quantity: int


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """A quantity of one item.

    Parameters:
        location: of a request, where it must be taken, for example because it is picked up there.
        allocations: of a reservation, where its units are; UNSET of an item that has none at locations.
        price_minor: of a reservation: the price of one unit at its hold, once the item's price was changed.
    """

    sku: Sku
    quantity: int
    location: str | UnsetType = UNSET
    allocations: tuple[Allocation, ...] | UnsetType = UNSET
    price_minor: MinorUnits | UnsetType = UNSET


class Location(Struct, frozen=True, kw_only=True):
    """A place where units of items are: a warehouse, a shop."""

    id: str
    name: str


class LocationStock(Struct, frozen=True, kw_only=True):
    """An item's units at a location. Always `stock = available + held + sold`."""

    id: str
    stock: int
    held: int = 0
    sold: int = 0

    @property
    def available(self) -> int:
        return self.stock - self.held - self.sold


class Use(Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit of an item draws from a pool."""

    pool: Sku
    quantity: int = 1


class Pool(Struct, frozen=True, kw_only=True):
    """Units that several items draw from. Always `stock = available + held + sold`."""

    id: Sku
    name: str
    stock: int
    held: int = 0
    sold: int = 0

    @property
    def available(self) -> int:
        return self.stock - self.held - self.sold


class Item(Struct, frozen=True, kw_only=True):
    """An item on sale. Always `stock = available + held + sold`, of an item that draws from no pool.

    Parameters:
        stock: its own; None of an item that draws from pools alone, or has its units at locations.
        in_pools: how many of it its pools have available; None of an item that draws from none.
        locations: its units at each location of the sale; empty of an item without.
        limit_per_customer: the most units of it that one customer gets, beside the sale's own limit.
        on_sale: False: no new holds; what is held goes on.
    """

    sku: Sku
    name: str
    price_minor: MinorUnits
    currency: str
    stock: int | None = None
    held: int = 0
    sold: int = 0
    uses: tuple[Use, ...] = ()
    in_pools: int | None = None
    locations: tuple[LocationStock, ...] = ()
    limit_per_customer: int | None = None

    @property
    def stock_in_all(self) -> int | None:
        """Its own stock, or that of all its locations; None of an item that draws from pools alone."""
        return sum(each.stock for each in self.locations) if self.locations else self.stock

    on_sale: bool = True

    @property
    def available(self) -> int:
        if self.locations:
            return sum(each.available for each in self.locations)
        if self.stock is None:
            return self.in_pools or 0
        own = self.stock - self.held - self.sold
        return own if self.in_pools is None else min(own, self.in_pools)


class IdentityLimit(Struct, frozen=True, forbid_unknown_fields=True):
    """At most `units` for each identity of the name `by`; of these items, or of all where `skus` is None."""

    by: str
    units: int
    skus: tuple[Sku, ...] | None = None
    hold_rules: bool = False
    """Whether the sale's budget of held units and its cool-down count for each such identity, too."""


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
    """Its own, or that of the sale whose room it shares. Then `open_to_all` is of both: its own doors may be
    open alone."""
    room: SaleId | None = None
    """The sale whose waiting room it shares; None: it has its own, or none."""
    rules: Rules = NO_RULES
    created_at: datetime | None = None
    spread: int = 1
    """The number of shards, each on its own partition, that share the stock and the buyers."""
    pools: tuple[Pool, ...] = ()
    locations: tuple[Location, ...] = ()
    """In the order in which units are taken from them."""
    split: bool = False
    """Whether a basket that no location has all of is taken from several."""
    limits: tuple[IdentityLimit, ...] = ()


def is_plain(line: Line) -> bool:
    """Return whether a line is a quantity and nothing else."""
    return line.location is UNSET and line.allocations is UNSET and line.price_minor is UNSET


def merge_lines(lines: list[Line] | tuple[Line, ...]) -> tuple[Line, ...]:
    """Return one line per item, with the sum of its quantities and nothing else, in the order in which items
    first appear."""
    if len(lines) == 1 and is_plain(lines[0]):
        return tuple(lines)
    quantities: dict[Sku, int] = {}
    for line in lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    return tuple(Line(sku, quantity) for sku, quantity in quantities.items())


def priced(lines: Sequence[Line], prices: Mapping[str, int]) -> tuple[Line, ...]:
    """Return these lines with their prices, as far as they are known."""
    return tuple(
        replace(line, price_minor=MinorUnits(prices[line.sku])) if line.sku in prices else line
        for line in lines
    )


_LISTS: Final = (list, tuple)


def invalid_basket(sale: str, customer: str, lines: Sequence[Line]) -> str | None:
    """Return the fault of a basket, as a sentence; None when there is none."""
    if (type(sale) is not str and not is_str(sale)) or not is_sale_id(sale):
        return "sale: 1 to 64 of a-z, 0-9 and '-', not starting with '-'"
    if not is_name(customer):
        return f"customer: 1 to {MAX_NAME} printable characters"
    if not isinstance(lines, _LISTS) or not 1 <= len(lines) <= MAX_LINES:
        return f"items: 1 to {MAX_LINES} lines"
    located = False
    for line in lines:
        if type(line) is not Line:
            return "items: each must be a Line"
        sku, quantity = line.sku, line.quantity
        if (type(sku) is not str and not is_str(sku)) or not is_name(sku):
            return f"sku: 1 to {MAX_NAME} printable characters"
        if type(quantity) is not int or not 1 <= quantity <= MAX_QUANTITY:
            return f"quantity: a whole number from 1 to {MAX_QUANTITY}"
        if line.location is not UNSET:
            located = True
            if not is_str(line.location) or not is_name(line.location):
                return f"location: 1 to {MAX_NAME} printable characters"
    if located and len({(line.sku, line.location) for line in lines}) > len({line.sku for line in lines}):
        return "location: the lines of one sku name one location"
    return None
