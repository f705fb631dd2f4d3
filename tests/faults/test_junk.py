"""Whatever a program hands to the library is answered clearly, and reaches no journal unreadable.

Every public method is found by reflection, so that a new one is tested, too.
"""

import contextlib
import enum
import inspect
import operator
import random
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from flashguard import BasketRequest, Code, FlashGuard, Granted, Item, Line, NewSale, Refused, Settings
from flashguard.engine.customers import one_customer
from flashguard.errors import ConfigurationError
from flashguard.kernel import keys
from flashguard.ledger import OrderFilter, StoredSale
from flashguard.model import (
    CustomerId,
    Durability,
    KeyScope,
    Location,
    LocationStock,
    MinorUnits,
    Pool,
    RoomMode,
    SaleId,
    ScopedKey,
    Sku,
    Use,
    WaitingRoom,
)
from flashguard.model.arguments import CHANGEABLE
from flashguard.model.limits import invalid_identities
from flashguard.model.rules import Rules
from tests.support.real_stack import PARTITIONS, Stack, started
from tests.support.service import unique

SURFACE = {"", "shop", "shop.items", "orders", "waiting", "rooms", "batch"}
"""Where the library's public methods are: the guard itself, and these attributes of it."""
HALL = Sku("hall")
OF_ITEMS = ("price_minor", "limit_per_customer", "on_sale")
"""What `shop.items.change` changes, beside the name."""
INNER = {
    "settings", "ledger", "kernel", "partitions", "signer", "watermark", "outcomes", "decisions", "rates",
    "spread", "durability", "basket",
}  # fmt: skip
"""Attributes that the service's own parts use; they take what the surface has checked."""
HARMLESS = {"close"}
"""Takes nothing; tested by every fixture."""
REFUSALS = {
    Code.INVALID_REQUEST, Code.UNKNOWN_RESERVATION, Code.UNKNOWN_ENTRY, Code.UNKNOWN_SALE, Code.UNKNOWN_ITEM,
    Code.UNKNOWN_POOL, Code.UNKNOWN_LOCATION, Code.UNKNOWN_TICKET, Code.SALE_NOT_OPEN,
}  # fmt: skip
NOTHING = {"sale", "sale_in_memory", "audit", "orders", "customer_of", "admitted_until", "is_ticket_of"}
"""Methods that answer None, 0 or False about what can't be."""


class Text(str):
    """A str that is none."""


class Whole(int):
    """An int that is none."""


class Word(enum.StrEnum):
    ONE = "one"


class Number(enum.IntEnum):
    ONE = 1


JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, 1.0, float("nan"), float("inf"), -0.0, 2**31, 2**53 + 1, 2**63,
    -(2**70), 10**400, Decimal(1), Decimal("NaN"), Fraction(1, 2), 1j, "", "1", " ", "\x00", "a\x00b",
    "\ud800", "a\nb", "x" * 129, "x" * 100_000, "../..", "é", "\u202e", b"x", bytearray(b"x"),
    memoryview(b"x"), [], [None], [[]], (), (1,), {}, {"a": 1}, {1: 2}, set(), frozenset(), range(3),
    object(), object, len, lambda: None, Ellipsis, NotImplemented, datetime(2030, 1, 1, tzinfo=UTC),
    datetime(2030, 1, 1), datetime.max, Text("one"), Whole(1), Word.ONE, Number.ONE, iter([]),  # noqa: DTZ001, DTZ901
    (x for x in ()), Line(Sku("unit"), 1), ScopedKey(KeyScope.BUYER, ("a",)),
    ScopedKey(KeyScope.BUYER, (1,)), ScopedKey("buyer", "a"), ScopedKey(KeyScope.BUYER, ("\ud800",)),
    type("Odd", (), {"__len__": lambda _: 1, "__iter__": lambda _: iter("a"), "__eq__": lambda *_: True})(),
]  # fmt: skip


def generated(seed: int, count: int) -> Iterator[Any]:
    """Make junk: values of the list above, in each other."""
    chance = random.Random(seed)
    for _ in range(count):
        some = chance.sample(JUNK, 3)
        one, two, _ = some
        line = {"sku": one, "quantity": two}
        yield chance.choice([some, tuple(some), line, Line(one, two), [Line(one, two)]])


def is_str(value: Any) -> bool:
    return type(value) is str or isinstance(value, enum.StrEnum)


def is_printable(value: Any, most: int = 128) -> bool:
    return is_str(value) and 0 < len(value) <= most and value.isprintable()


def is_good_key(value: Any) -> bool:
    if isinstance(value, ScopedKey):
        return value.scope is KeyScope.BUYER and value.parts == ("a",)
    return value is None or is_printable(value, 255)


def is_int(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


GOOD: dict[str, Callable[[Any], bool]] = {
    "key": is_good_key,
    "creation_key": lambda value: value is None or is_str(value),
    "reason": is_printable,
    "sku": is_printable,
    "pool": is_printable,
    "location": lambda value: value is None or is_printable(value),
    "customer": lambda value: is_str(value),
    "text": lambda value: is_str(value),
    "receipt": lambda value: value is None,
    "shown": lambda value: value is None or is_str(value),
    "proof": lambda value: value is None or is_str(value),
    "sale": is_printable,
    "sale_id": is_printable,
    "sale_ids": lambda value: isinstance(value, list | tuple) and all(map(is_printable, value)),
    "id_": is_printable,
    "settings": lambda value: value is None,
    "lone": lambda value: isinstance(value, bool),
    "ring": lambda value: value is None,
    "traces": lambda value: value is None,
    "drafts": lambda value: isinstance(value, bool),
    "reference": lambda value: value is None or is_printable(value),
    "metadata": lambda value: value is None or all(is_str(n) and is_str(t) for n, t in value.items()),
    "identities": lambda value: value in (None, {}) or invalid_identities(value) is None,
    "restock": lambda value: isinstance(value, bool),
    "orders": lambda value: isinstance(value, bool),
    "after": lambda value: value is None,
    "limit": lambda value: is_int(value, 1, 10_000),
    "count": lambda value: is_int(value, 1, 10_000),
    "start": lambda value: is_int(value, 0, 2**48 - 1),
    "quantity": lambda value: is_int(value, 1, 10**6),
    "units": lambda value: is_int(value, 0, 5 * 10**7),
    "stock": lambda value: value is None,
    "delta": lambda value: is_int(value, -(10**9), 10**9),
    "partition": lambda value: is_int(value, 0, PARTITIONS - 1),
    "admitted_until": lambda value: is_int(value, 0, 2**53),
    "seconds": lambda value: type(value) in (int, float) and 0 < value < float("inf"),
}
"""What of the junk is none, for a parameter of this name: then any answer will do."""


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


@pytest.fixture(scope="module")
async def guard(stack: Stack) -> AsyncIterator[FlashGuard]:
    settings = Settings(redis_url=stack.servers.redis_url, database_url=stack.servers.database_url)
    async with await FlashGuard.connect(settings) as connected:
        yield connected


def methods_of(guard: FlashGuard) -> dict[str, Any]:
    """Return every public method of the surface, by its path."""
    found = {}
    for place in SURFACE:
        owner = operator.attrgetter(place)(guard) if place else guard
        for name, method in inspect.getmembers(owner, inspect.ismethod):
            if not name.startswith("_") and name not in HARMLESS:
                found[f"{place}.{name}".lstrip(".")] = method
    return found


METHODS = (
    "connect", "renew", "customer_of", "reserve", "buy", "confirm", "release", "extend", "reservation",
    "amend", "transfer",
    "shop.create_sale", "shop.unfit", "shop.placed", "shop.draft_of", "shop.may_create", "shop.load",
    "shop.sale", "shop.sale_in_memory", "shop.sales", "shop.change", "shop.delete_sale", "shop.restock",
    "shop.restock_pool", "shop.items.add", "shop.items.change", "shop.items.remove",
    "shop.orders", "shop.audit", "orders.cancel", "waiting.join", "waiting.see", "waiting.leave",
    "rooms.is_ticket_of",
    "rooms.issue", "rooms.poll", "rooms.standing", "rooms.first_place", "rooms.leave", "rooms.bought",
    "rooms.admitted_until", "rooms.drawing",
    "batch.reserve", "batch.buy",
)  # fmt: skip


def test_the_surface_is_what_is_tested_here(guard: FlashGuard) -> None:
    assert set(methods_of(guard)) == set(METHODS)
    values = {name: value for name, value in vars(guard).items() if not name.startswith("_")}
    attributes = {name for name, value in values.items() if not inspect.ismethod(value)}
    assert attributes == (SURFACE | INNER) - {"", "shop.items"}


def item(**more: Any) -> Item:
    fields = {"sku": Sku("unit"), "name": "Unit", "price_minor": MinorUnits(1), "currency": "EUR", "stock": 5}
    return Item(**(fields | more))


def pool(**more: Any) -> Pool:
    return Pool(**({"id": HALL, "name": "Hall", "stock": 5} | more))


def new_sale(**more: Any) -> NewSale:
    return NewSale(**({"name": "Sale", "items": (item(),), "id": unique()} | more))


def lines(value: Any) -> list[Any]:
    odd = (
        [Line(value, 1)],
        [Line(Sku("unit"), value)],
        [Line(Sku("unit"), 1), value],
        [Line(Sku("unit"), 1, value)],
    )
    return [value, [value], *odd]


def baskets(value: Any) -> list[Any]:
    unit = [Line(Sku("unit"), 1)]
    return [
        value,
        [value],
        [BasketRequest("ann", unit), value],
        [BasketRequest(value, unit)],
        *([BasketRequest("ann", each)] for each in lines(value)),
        [BasketRequest("ann", unit, value)],
        [BasketRequest("ann", unit, None, value)],
    ]


def sales(value: Any) -> list[Any]:
    room = {name: value for name in WaitingRoom.__struct_fields__ if name != "commitment"}
    return [
        value,
        *(new_sale(**{name: value}) for name in NewSale.__dataclass_fields__),
        new_sale(items=(value,)),
        *(new_sale(items=(item(**{name: value}),)) for name in Item.__struct_fields__),
        *(new_sale(pools=(pool(**{name: value}),)) for name in Pool.__struct_fields__),
        *(new_sale(pools=(pool(),), items=(item(uses=(use,)),)) for use in (Use(value), Use(HALL, value))),
        *(
            new_sale(locations=(Location(**{"id": "b", "name": "B", name: value}),))
            for name in ("id", "name")
        ),
        *(
            new_sale(
                locations=(Location(id="b", name="B"),),
                items=(item(stock=None, locations=(LocationStock(**{"id": "b", "stock": 5, name: value}),)),),
            )
            for name in LocationStock.__struct_fields__
        ),
        *(new_sale(rules=Rules(**{name: value})) for name in Rules.__struct_fields__),
        *(new_sale(waiting_room=WaitingRoom(**{name: each})) for name, each in room.items()),
    ]


def good_field(name: str, value: Any) -> bool:
    """Whether a value is right for this field of a sale after all."""
    numbers = {
        "hold_seconds": (1, 86_400), "limit_per_customer": (1, 10**9), "spread": (1, 16),
        "price_minor": (0, 10**11), "stock": (0, 10**9), "held": (0, 0), "sold": (0, 0),
        "max_active": (1, 10**6), "session_seconds": (1, 86_000), "max_waiting": (1, 10**7),
        "proof_tries": (1, 4096), "proof_harder_at": (1, 10**7),
        "max_held_per_customer": (1, 10**9), "cool_down_after": (1, 1000), "cool_down_seconds": (1, 604_800),
        "waiting_list": (1, 100_000), "waiting_list_hold_seconds": (1, 86_400), "quantity": (1, 1_000),
    }  # fmt: skip
    if name in numbers:
        optional = name in (*Rules.__struct_fields__, "limit_per_customer", "proof_harder_at")
        return (optional and value is None) or is_int(value, *numbers[name])
    if name in ("name", "sku"):
        return is_printable(value)
    if name in ("uses", "pools", "locations"):
        return value in ((), []) or isinstance(value[0], Use | Pool | Location | LocationStock)
    if name == "split":
        return isinstance(value, bool)
    if name == "pool":
        return value == HALL
    if name == "in_pools":
        return value is None
    if name == "on_sale":
        return value is True
    if name == "id":
        return value is None or value in ("1", "é", "one") or is_printable(value)
    if name in ("starts_at", "ends_at"):
        return value is None or (isinstance(value, datetime) and value.tzinfo is not None)
    if name == "admit_per_second":
        return type(value) in (int, float) and 0.01 <= value <= 100_000
    if name in ("proof_of_work", "shared"):
        return isinstance(value, bool)
    if name == "room":  # whether there is such a sale, only a creation asks
        return value is None or value in ("1", "one")
    if name == "open_to_all":
        return value is False
    if name == "limits":
        return value is None or value in ((), [])
    if name == "items":
        return False
    if name in ("waiting_room",):
        return value is None or value == {}
    return name in ("hold_durability", "mode") and is_str(value) and value in (*Durability, *RoomMode)


def items(value: Any) -> list[Any]:
    made = [value, *(item(**{name: value}) for name in Item.__struct_fields__)]
    return made + [item(sku=unique("sku"), uses=(use,)) for use in (Use(value), Use(HALL, value))]


def filters(value: Any) -> list[Any]:
    made = [value]
    for name in OrderFilter.__struct_fields__:
        with contextlib.suppress(ValueError):
            made.append(OrderFilter(**{name: value}))
    return made


def is_refusal(name: str, answer: Any) -> bool:
    if isinstance(answer, list) and name.startswith("batch."):
        return any(is_refusal(name, each) for each in answer)
    if isinstance(answer, Refused):
        return answer.code in REFUSALS and bool(answer.detail or answer.code is not Code.INVALID_REQUEST)
    return name.rsplit(".", 1)[-1] in NOTHING and not answer


async def call(method: Any, arguments: dict[str, Any]) -> Any:
    """Return the answer; a ValueError or ConfigurationError with a sentence is one, too."""
    try:
        answer = method(**arguments)
        return await answer if inspect.isawaitable(answer) else answer
    except (ValueError, ConfigurationError) as error:
        return Refused(code=Code.INVALID_REQUEST, detail=str(error))
    except Exception as error:
        return error


async def epochs(stack: Stack) -> list[tuple[Any, ...]]:
    heads = [await stack.memory.hgetall(keys.partition(number)) for number in range(PARTITIONS)]
    return [(head.get(b"epoch"), head.get(b"fence")) for head in heads]


async def test_no_junk_is_taken_or_stops_a_partition(stack: Stack, guard: FlashGuard):
    service = stack.service
    hall = {"id": HALL, "name": "Hall", "stock": 5}
    sale = await service.create_sale(stock=10**6, hold_seconds=3600, waiting_list=100_000, pools=[hall])
    room = await service.create_sale(stock=5, waiting_room={"mode": "fifo"})
    order = (await service.buy(sale, "ann")).ok(201)["id"]
    held = (await service.hold(sale, "ann")).ok(201)["id"]
    stored = await guard.ledger.sales.get(sale)
    before = await epochs(stack)

    def good(method: str) -> dict[str, Any]:
        of = room if method.startswith("rooms.") else sale
        id_ = order if method == "orders.cancel" else held
        if method.startswith("rooms."):
            id_ = guard.signer.ticket_id(SaleId(room), CustomerId("ann"))
        return {
            "settings": guard.settings, "lone": False, "ring": None, "traces": None, "seconds": 5.0,
            "text": "ann", "sale": of,
            "sale_id": of,
            "customer": "ann", "lines": [Line(Sku("unit"), 1)],
            "requests": [BasketRequest("ann", [Line(Sku("unit"), 1)])],
            "key": unique("key"), "admitted_until": 0,
            "id_": id_, "receipt": None, "new": new_sale(), "stored": stored, "creation_key": unique("key"),
            "sale_ids": [of], "partition": stack.partition(of), "after": None, "limit": 10, "drafts": True,
            "verb": "patch", "changes": {}, "sku": "unit",
            "item": item(sku=unique("sku")), "pool": HALL, "delta": 1, "reason": "test",
            "stock": None, "location": None, "reference": None, "metadata": None,
            "identities": None, "which": OrderFilter(),
            "restock": True, "orders": True, "items": [Line(Sku("unit"), 1)],
            "quantity": 1, "shown": None, "proof": None, "units": 0, "admission": "no",
            "start": 0, "count": 10,
        }  # fmt: skip

    calls, taken = 0, []
    for path, method in methods_of(guard).items():
        signature = inspect.signature(method)
        for name, parameter in signature.parameters.items():
            for junk in (*JUNK, *generated(hash(path) % 1000, 20)):
                if parameter.kind is parameter.VAR_KEYWORD:
                    names = *sorted(CHANGEABLE), *OF_ITEMS, "color", "sku"
                    tries = [{each: junk} for each in names]
                else:
                    makers = {
                        "lines": lines,
                        "items": lines,
                        "requests": baskets,
                        "new": sales,
                        "item": items,
                        "which": filters,
                    }
                    tries = [{name: each} for each in makers.get(name, lambda value: [value])(junk)]
                for odd in tries:
                    base = {each: good(path)[each] for each in signature.parameters if each != "changes"}
                    if path == "connect":
                        base["settings"] = base["settings"] if name == "settings" else None
                    if is_fine(path, name, odd, junk):
                        if path == "connect" or path == "renew":
                            continue
                        answer = await call(method, base | odd)
                        bad = isinstance(answer, Exception)
                    else:
                        answer = await call(method, base | odd)
                        bad = not is_refusal(path, answer)
                    if bad:
                        taken.append(f"{path} {name}={junk!r:.99}: {odd!r:.400} -> {answer!r:.99}")
                    calls += 1
    assert not taken, "\n".join(taken)
    assert calls > 3000
    await stack.recorded(sale)
    await stack.recorded(room)
    assert await epochs(stack) == before
    assert (await stack.readiness())["status"] == "ok"
    await service.admin("PATCH", f"/v1/sales/{sale}/items/unit", {"on_sale": True})
    (await service.buy(sale, "bea")).ok(201)
    await service.audit(sale)


def is_fine(path: str, name: str, odd: dict[str, Any], junk: Any) -> bool:
    """Whether this call's argument may be right after all, so that any answer without a fault will do."""
    [(field, value)] = odd.items()
    with contextlib.suppress(Exception):
        if path == "shop.items.change" and field in (*OF_ITEMS, "name"):
            return isinstance(value, bool) if field == "on_sale" else good_field(field, value)
        if field == "item":
            return isinstance(value, Item) and all(
                good_field(name, each) or name == "currency"
                for struct in (value, *value.uses)
                for name, each in msgspec.structs.asdict(struct).items()
            )
        if name == "changes" and path == "shop.items.change":
            return False
        if name == "changes":
            return good_field(field, junk) if field in CHANGEABLE else False
        if field == "requests":
            return all(
                type(each) is BasketRequest
                and is_str(each.customer)
                and is_fine(path, "lines", {"lines": each.lines}, junk)
                and is_good_key(each.key)
                and is_int(each.admitted_until, 0, 2**53)
                for each in value
            )
        if field == "items" and value is None:
            return True
        if field in ("lines", "items"):
            return all(
                isinstance(line, Line) and is_printable(line.sku) and is_int(line.quantity, 1, 10**6)
                and (line.location is msgspec.UNSET or is_printable(line.location))
                for line in value
            ) and isinstance(value, list | tuple) and len(value) > 0  # fmt: skip
        if field == "new":
            if not isinstance(value, NewSale):
                return False
            parts = [(name, getattr(value, name)) for name in value.__dataclass_fields__ if name != "items"]
            inner = [one for each in value.items for one in (*each.uses, *each.locations)]
            goods = (*value.items, *value.pools, *value.locations, *inner)
            for struct in (value.rules, value.waiting_room, *goods):
                if struct is not None:
                    has_places = isinstance(struct, Item) and bool(struct.locations)
                    fields = msgspec.structs.asdict(struct)
                    parts += [pair for pair in fields.items() if pair != ("stock", None) or not has_places]
            return all(
                good_field(name, each)
                for name, each in parts
                if name not in ("rules", "waiting_room", "currency", "commitment")
            )
        if field == "which":
            return isinstance(value, OrderFilter)
        if field == "stored":
            return isinstance(value, StoredSale)
        if field == "verb":
            return value in ("open", "pause", "close", "patch")
        if path == "rooms.first_place" and field == "id_":
            return is_printable(value)  # the shard alone is read of it
        if field == "customer":
            return one_customer(value) is not None or is_str(value)
        return GOOD[field](value) if field in GOOD else False
    return False


async def test_a_buyers_own_key_may_name_a_customer_with_a_joiner(stack: Stack, guard: FlashGuard):
    sale = await stack.service.create_sale(stock=5)
    key = ScopedKey(KeyScope.BUYER, ("\u0645\u06cc\u200c\u062e", "key"))
    for replayed in (False, True):
        answer = await guard.reserve(sale, "ann", [Line(Sku("unit"), 1)], key=key)
        assert (type(answer), answer.replayed) == (Granted, replayed)


@pytest.mark.parametrize(
    "units", [1.5, 1.0, Decimal(1), True, "1", None, float("nan"), float("inf"), Whole(1), 0, -1, 10**6 + 1]
)
async def test_units_that_are_no_whole_number_are_refused_by_name(
    stack: Stack, guard: FlashGuard, units: Any
):
    sale = await stack.service.create_sale(stock=5)
    before = await stack.epoch(sale)
    for verb in (guard.reserve, guard.buy):
        refused = await verb(sale, "ann", [Line(Sku("unit"), units)])
        assert isinstance(refused, Refused)
        assert refused.code is Code.INVALID_REQUEST
        assert refused.detail.startswith("quantity")
    if type(units) is not int:
        refused = await guard.shop.restock(sale, "unit", units, "test")
        assert isinstance(refused, Refused)
        assert refused.code is Code.INVALID_REQUEST
        assert refused.detail.startswith("delta")
    assert (await stack.service.item(sale))["available"] == 5
    assert await stack.epoch(sale) == before
