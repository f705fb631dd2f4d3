"""Short histories, each of which shows a seeded bug that random play meets seldom: see test_kernel_model.py.

A name is that of the bug in BROKEN or BROKEN_LIST there. A step says how many milliseconds later, and what.
"""

from typing import Any

from flashguard.kernel.verbs import Verb
from tests.properties.model import Config, Item, Sale

Step = tuple[int, tuple[Any, ...]]
FAR_MS = 10_000_000
NOBODYS = 9
"""NOTHING of test_kernel_model: a reservation that nobody made."""


def shop(*, recipes: dict[str, Any] | None = None, rules: dict[str, Any] | None = None, **stock: Any) -> Sale:
    """An open sale; `stock` by item, and by name the numbers of its Config."""
    numbers = {
        name: stock.pop(name) for name in ("limit", "max_hold_ms", "hold_ms", "status") if name in stock
    }
    items = {sku: Item(units) for sku, units in stock.items()}
    if recipes is None:
        return Sale(Config(**numbers, rules=rules or {}), items)
    pools = {name: "pool" for name in items if name not in recipes}
    return Sale(Config(**numbers, rules={**(rules or {}), "pools": True}), items, {**recipes, **pools})


def named(**identities: str) -> dict[str, Any] | None:
    return {"identities": identities} if identities else None


def hold(
    customer: str, lines: list[Any], *, later: int = 0, back: int | None = None, body: int = 1, **who: str
) -> Step:
    """`back`: the key of so many reservations before the newest; None: a new one. `who`: identities."""
    return later, (Verb.RESERVE, [("one", back, body, customer, lines, False, FAR_MS, None, named(**who))])


def buy(customer: str, lines: list[Any], **who: str) -> Step:
    return 0, (Verb.RESERVE, [("one", None, 1, customer, lines, True, FAR_MS, None, named(**who))])


def confirm(*, back: int = 0) -> Step:
    return 0, (Verb.CONFIRM, [(back, None, [])])


def show_receipt(kind: str, lines: list[Any], *, back: int = 0, later: int = 0) -> Step:
    return later, (Verb.CONFIRM, [(back, ("x", kind), lines)])


def release(*, back: int = 0) -> Step:
    return 0, (Verb.RELEASE, [(back,)])


def cancel(*, restock: bool = True) -> Step:
    return 0, (Verb.CANCEL, [(0, "as-it-is", restock, None, 1)])


def amend(how: str = "as-it-is", key: str | None = None, **change: Any) -> Step:
    return 0, (Verb.AMEND, [(0, how, key, 1, change)])


def join(customer: str, sku: str, quantity: int, *, until_ms: int = 0, **who: str) -> Step:
    entry = ("one", "join", None, 1, customer, sku, quantity, until_ms, named(**who))
    return 0, (Verb.WAITING_LIST, [entry])


def restock(sku: str, delta: int) -> Step:
    return 0, (Verb.RESTOCK, [("one", sku, delta, "why", "restock:1", 1, 25)])


def change(verb: str, **changes: Any) -> Step:
    return 0, (Verb.CHANGE_SALE, [("one", verb, changes, "")])


def item(what: str, sku: str, **changes: Any) -> Step:
    return 0, (Verb.CHANGE_ITEM, [("one", what, sku, {"row": "{}"} | changes, "", 1)])


def beat(later: int) -> Step:
    return later, (Verb.EXPIRE, [("one",)])


WAITING: dict[str, Any] = {"waiting_most": 9, "waiting_hold_ms": 700}
A_DRAWS: dict[str, Any] = {"a": ["p", 2], "b": []}
TWO_OF_A: dict[str, Any] = {"item_limits": {"a": 2}}
ONE_BY_CARD: dict[str, Any] = {"limits": [["card", 1]]}
BY_CARD: dict[str, Any] = {"limits": [["card", 9]], "holds_by": ["card"]}
ONE_HELD_BY_CARD: dict[str, Any] = {**BY_CARD, "max_held": 1}
ONE_COOLS: dict[str, Any] = {"cool_down_ms": 3_000, "cool_down_after": 1}
two_wait = (
    shop(a=2, hold_ms=2_500, rules=WAITING),
    [hold("x", ["a", 1]), hold("y", ["a", 1]), join("v", "a", 2), join("w", "a", 1), release(), beat(700)],
)
forgotten_hold_of_a_pool = (
    shop(a=3, b=3, p=9, recipes=A_DRAWS),
    [show_receipt("ok", ["a", 1], back=NOBODYS)],
)

AT_PLACES = {"a": {"at": True}, "a\x1fl": "location", "a\x1fm": "location"}
one_at_each_place = shop(
    recipes=AT_PLACES, rules={"locations": ["l", "Left", "m", "Middle"]},
    **{"a": 2**50, "a\x1fl": 1, "a\x1fm": 1},
)  # fmt: skip


def places(*, split: bool = False, rules: dict[str, Any] | None = None) -> Sale:
    """A sale of a and b at the locations l and m."""
    rules = {**(rules or {}), "locations": ["l", "Left", "m", "Middle"]} | ({"split": True} if split else {})
    stock = {"a": 2**50, "b": 2**50, "a\x1fl": 2, "a\x1fm": 3, "b\x1fl": 2, "b\x1fm": 1}
    return shop(
        recipes={**AT_PLACES, "b": {"at": True}, **dict.fromkeys(list(stock)[2:], "location")},
        rules=rules,
        **stock,
    )


def hold_at(place: str, lines: list[Any]) -> Step:
    details = {"pick_up": [lines[0], place]}
    return 0, (Verb.RESERVE, [("one", None, 1, "x", lines, False, FAR_MS, None, details)])


one_with_a_card_waits = (
    shop(a=1, b=1, rules={**WAITING, **ONE_BY_CARD}),
    [hold("x", ["a", 1], card="d"), join("y", "a", 1, card="c"), release()],
)
released_with_a_card = (shop(a=1, rules=ONE_BY_CARD), [hold("x", ["a", 1], card="c"), release()])

HISTORIES: dict[str, tuple[Sale, list[Step]]] = {
    "a late confirm elsewhere, although its units are there": (
        one_at_each_place,
        [hold("x", ["a", 1]), hold("y", ["a", 1]), release(back=1), beat(1_000), show_receipt("ok", [])],
    ),
    "a late confirm of units that are gone": (
        one_at_each_place,
        [hold("x", ["a", 1]), beat(1_000), hold("y", ["a", 1]), show_receipt("ok", [], back=1)],
    ),
    "a price that a hold does not keep": (
        shop(a=3),
        [item("set", "a", price=5, first=2), hold("x", ["a", 1])],
    ),
    "an item off sale that is sold": (shop(a=3), [item("set", "a", on_sale=False), hold("x", ["a", 1])]),
    "an amend that changes the price of what was held": (
        shop(a=3),
        [
            item("set", "a", price=5, first=2),
            hold("x", ["a", 1]),
            item("set", "a", price=7, first=2),
            amend(lines=["a", 2]),
        ],
    ),
    "an old hold that loses its price": (
        shop(a=3),
        [hold("x", ["a", 1]), item("set", "a", price=5, first=2), (0, (Verb.EXTEND, [(0, 1)]))],
    ),
    "an item removed that was held since": (
        shop(a=3, b=1),
        [hold("x", ["a", 1]), release(), item("remove", "a", used=False, epoch=0)],
    ),
    "an item removed that someone waits for": (
        shop(a=0, b=1, rules=WAITING),
        [join("v", "a", 1), item("remove", "a", used=False, epoch=0)],
    ),
    "an item off sale that is offered": (
        shop(a=1, rules=WAITING),
        [hold("x", ["a", 1]), join("v", "a", 1), item("set", "a", on_sale=False), release()],
    ),
    "an item that is added twice": (
        shop(a=3),
        [item("add", "a", counters=["a", 4, []], price=3)],
    ),
    "an item's limit that begins where units are held": (
        shop(a=3),
        [hold("x", ["a", 1]), item("set", "a", limit=1)],
    ),
    "an item's limit that its change does not write down": (shop(a=3), [item("set", "a", limit=1)]),
    "an item that leaves its limit behind": (
        shop(a=3, b=1, rules=TWO_OF_A),
        [item("remove", "a", used=False, epoch=0)],
    ),
    "limits that are counted elsewhere": (
        shop(a=1, limit=3),
        [hold("x", ["a", 1]), amend(customer="w", elsewhere=True)],
    ),
    "an edit that leaves the old items": (
        shop(a=1, b=1, status="draft"),
        [change("patch", items=[["item:b", "4 0 0"], '[{"sku":"b"}]'], only=["draft"])],
    ),
    "an edit of what is no draft": (shop(a=1), [change("delete")]),
    "units that are set aside and gone": (
        shop(a=2, rules=WAITING),
        [
            hold("x", ["a", 1]),
            hold("y", ["a", 1]),
            join("v", "a", 2),
            release(),
            change("pause"),
            restock("a", -1),
        ],
    ),
    "units that are set aside for ever": two_wait,
    "a list that lets smaller ones pass": two_wait,
    "a cool-down that does not look for what has just ended": (
        shop(a=2, rules=ONE_COOLS),
        [hold("x", ["a", 1]), hold("x", ["a", 1], later=1_000)],
    ),
    "an old receipt of an amended hold": (
        shop(a=2),
        [hold("x", ["a", 1]), amend(lines=["a", 2]), show_receipt("late", [], later=1_000)],
    ),
    "a receipt that takes nothing from a pool": forgotten_hold_of_a_pool,
    "a receipt that sells the lines for what they took": forgotten_hold_of_a_pool,
    "an extension without end": (
        shop(a=1, max_hold_ms=1_400),
        [hold("x", ["a", 1]), (500, (Verb.EXTEND, [(0, 1)]))],
    ),
    "a cancelled order that still counts for the limit": (shop(a=1), [buy("x", ["a", 1]), cancel()]),
    "a transfer that both customers pay for": (shop(a=1), [hold("x", ["a", 1]), amend(customer="y")]),
    "a cancelled order that gives its lines back for what it took": (
        shop(a=3, b=3, p=9, recipes=A_DRAWS),
        [buy("x", ["a", 1]), cancel()],
    ),
    "a key that takes any body": (shop(a=2), [hold("x", ["a", 1]), hold("x", ["a", 1], back=0, body=2)]),
    "a change of another order": (shop(a=2), [buy("x", ["a", 1]), amend("of another", lines=["a", 2])]),
    "a change of an order as it was": (
        shop(a=2),
        [buy("x", ["a", 1]), amend(lines=["a", 2]), amend("stale", lines=["a", 1])],
    ),
    "units that stay in the stock when they left it": (
        shop(a=1),
        [buy("x", ["a", 1]), cancel(restock=False)],
    ),
    "an order that is cancelled twice": (shop(a=1), [buy("x", ["a", 1]), cancel(), cancel()]),
    "a receipt for another basket under the same id": (
        shop(a=1),
        [hold("x", ["a", 1]), show_receipt("forged", [], later=1_000)],
    ),
    "a survey that forgets the ended holds": (
        shop(a=1),
        [hold("x", ["a", 1]), (1_000, (Verb.SURVEY, [("one", "a")]))],
    ),
    "an expired hold that an order does not make good": (
        shop(a=1, rules=ONE_COOLS),
        [hold("x", ["a", 1]), beat(1_000), show_receipt("ok", [])],
    ),
    "an amended order whose units go back when they left the stock": (
        shop(a=2),
        [buy("x", ["a", 2]), amend(lines=["a", 1], restock=False, reason="broken")],
    ),
    "an amended hold that is held in its old basket": (
        shop(a=1, b=1),
        [hold("x", ["a", 1]), amend(lines=["b", 1]), release()],
    ),
    "an amended hold that counts as before": (shop(a=2), [hold("x", ["a", 1]), amend(lines=["a", 2])]),
    "an amend that needs its whole basket free": (
        shop(a=1, b=1),
        [hold("x", ["a", 1]), amend(lines=["a", 1, "b", 1])],
    ),
    "a key that amends twice": (
        shop(a=3),
        [hold("x", ["a", 1]), *[amend(key="amend:1", lines=["a", 2])] * 2],
    ),
    "a sold-out that forgets the ended holds": (
        shop(a=1),
        [hold("x", ["a", 1]), hold("y", ["a", 1], later=1_000)],
    ),
    "a budget of holds that is off by one": (
        shop(a=3, rules={"max_held": 2}),
        [hold("x", ["a", 2]), hold("x", ["a", 1])],
    ),
    "a budget that counts what is confirmed": (
        shop(a=2, rules={"max_held": 1}),
        [hold("x", ["a", 1]), confirm(), hold("x", ["a", 1])],
    ),
    "a budget that a card does not have": (
        shop(a=3, rules=ONE_HELD_BY_CARD),
        [hold("x", ["a", 1], card="c"), hold("y", ["a", 1], card="d"), hold("z", ["a", 1], card="c")],
    ),
    "a confirmed hold that still counts for its card's budget": (
        shop(a=3, rules=ONE_HELD_BY_CARD),
        [hold("x", ["a", 1], card="c"), confirm(), hold("y", ["a", 1], card="c")],
    ),
    "a transfer that asks for a card's budget again": (
        shop(a=3, rules=ONE_HELD_BY_CARD),
        [hold("x", ["a", 1], card="c"), amend(customer="y")],
    ),
    "a transfer that asks whether a card cools down": (
        shop(a=3, rules={**BY_CARD, **ONE_COOLS}),
        [
            hold("x", ["a", 1], card="c"),
            hold("y", ["a", 1], card="c"),
            release(back=1),
            amend(customer="z"),
        ],
    ),
    "an amend that is not counted for a card's budget": (
        shop(a=3, rules={**BY_CARD, "max_held": 2}),
        [hold("x", ["a", 1], card="c"), amend(lines=["a", 2]), hold("y", ["a", 1], card="c")],
    ),
    "an amend beyond a card's budget": (
        shop(a=5, rules={**BY_CARD, "max_held": 2}),
        [hold("x", ["a", 1], card="c"), hold("y", ["a", 1], card="c"), amend(lines=["a", 2])],
    ),
    "a budget of a card that begins under way without it": (
        shop(a=3, rules=BY_CARD),
        [
            hold("x", ["a", 1], card="c"),
            change("patch", rules={"max_held": 1}),
            hold("y", ["a", 1], card="c"),
        ],
    ),
    "an identity of holds that begins under way": (
        shop(a=3, rules={"limits": [["card", 9]], "max_held": 1}),
        [change("patch", rules={"holds_by": ["card"]})],
    ),
    "a cool-down that a card does not have": (
        shop(a=3, rules={**BY_CARD, **ONE_COOLS}),
        [hold("x", ["a", 1], card="c"), release(), hold("y", ["a", 1], card="c")],
    ),
    "a cool-down that does not look for a card's holds": (
        shop(a=3, rules={**BY_CARD, **ONE_COOLS}),
        [hold("x", ["a", 1], card="c"), hold("y", ["a", 1], later=1_000, card="c")],
    ),
    "a late confirm that leaves its card cooling": (
        shop(a=3, rules={**BY_CARD, **ONE_COOLS}),
        [
            hold("x", ["a", 1], card="c"),
            beat(1_000),
            show_receipt("ok", []),
            hold("y", ["a", 1], card="c"),
        ],
    ),
    "an offer to a card that cools down": (
        shop(a=1, b=1, rules={**BY_CARD, **WAITING, **ONE_COOLS}),
        [
            hold("x", ["a", 1], card="d"),
            hold("z", ["b", 1], card="c"),
            join("y", "a", 1, card="c"),
            release(),
            release(back=1),
        ],
    ),
    "a change of a sale that forgets its key": (
        shop(a=1),
        [(0, (Verb.CHANGE_SALE, [("one", "pause", {}, "sale-change:1")]))] * 2,
    ),
    "an extension that forgets what was taken": (
        shop(a=1, b=1, p=9, recipes=A_DRAWS),
        [hold("x", ["a", 1]), (500, (Verb.EXTEND, [(0, 1)])), release()],
    ),
    "a reopened sale that forgets who waits": (
        shop(a=1, rules=WAITING),
        [
            hold("x", ["a", 1]),
            join("y", "a", 1),
            change("pause"),
            release(),
            change("open"),
            hold("z", ["a", 1]),
        ],
    ),
    "a list of a pool whose last is served first": (
        shop(a=5, b=5, p=2, rules=WAITING, recipes={"a": ["p", 2], "b": ["p", 2]}),
        [hold("x", ["a", 1]), join("y", "b", 1), join("z", "a", 1), release()],
    ),
    "an offer to whom the room did not admit": (
        shop(a=1, rules={"waiting_most": 9, "room": {}}),
        [hold("x", ["a", 1]), join("outsider", "a", 1), release()],
    ),
    "an offer to who cools down": (
        shop(a=1, b=1, rules={**WAITING, **ONE_COOLS}),
        [hold("y", ["a", 1]), hold("x", ["b", 1]), join("x", "a", 1), beat(1_000)],
    ),
    "a list beyond its bound": (
        shop(a=0, rules={"waiting_most": 1}),
        [join("y", "a", 1), join("z", "a", 1)],
    ),
    "a hold that lives a millisecond longer": (
        shop(a=1),
        [hold("x", ["a", 1]), (1_000, (Verb.CONFIRM, [(0, None, [])]))],
    ),
    "lines of one sku that don't add up": (shop(a=2, b=1), [buy("x", ["a", 2, "b", 1, "a", 1])]),
    "an amend beyond the limit": (shop(a=3, limit=2), [hold("x", ["a", 1]), amend(lines=["a", 3])]),
    "an amend that takes what nobody has": (shop(a=1), [hold("x", ["a", 1]), amend(lines=["a", 2])]),
    "a restock below what is held": (
        shop(a=1),
        [hold("x", ["a", 1]), (0, (Verb.RESTOCK, [("one", "a", -1, "why", "restock:1", 1, 25)]))],
    ),
    "a limit that is off by one": (shop(a=3, limit=2), [buy("x", ["a", 3])]),
    "a waiting room that anybody walks past": (
        shop(a=1, rules={"room": {}}),
        [(0, (Verb.RESERVE, [("one", None, 1, "x", ["a", 1], True, 0, None, None)]))],
    ),
    "a limit of an item that is off by one": (shop(a=5, rules=TWO_OF_A), [buy("x", ["a", 3])]),
    "lines of one item that don't add up for its limit": (
        shop(a=5, b=1, rules=TWO_OF_A),
        [buy("x", ["a", 1, "b", 1, "a", 2])],
    ),
    "a limit by identity that counts other items": (
        shop(b=2, rules={"limits": [["card", 1, ["a"]]]}),
        [buy("x", ["b", 2], card="c")],
    ),
    "a limit by identity that forgets who is missing": (shop(a=1, rules=ONE_BY_CARD), [buy("x", ["a", 1])]),
    "an identity that no limit is by": (shop(a=1), [buy("x", ["a", 1], iban="i")]),
    "a hold that forgets its identities": released_with_a_card,
    "an ended hold that still counts for its card": released_with_a_card,
    "a cancelled order that still counts for its card": (
        shop(a=1, rules=ONE_BY_CARD),
        [buy("x", ["a", 1], card="c"), cancel()],
    ),
    "a receipt that counts for no card": (
        shop(a=1, rules=ONE_BY_CARD),
        [hold("x", ["a", 1], card="c"), beat(1_000), show_receipt("ok", [])],
    ),
    "an amend beyond a limit by item": (
        shop(a=5, rules=TWO_OF_A),
        [hold("x", ["a", 1]), amend(lines=["a", 3])],
    ),
    "an amend that is not counted for an item": (
        shop(a=5, rules=TWO_OF_A),
        [hold("x", ["a", 1]), amend(lines=["a", 2])],
    ),
    "a transfer that counts twice for a card": (
        shop(a=1, rules=ONE_BY_CARD),
        [hold("x", ["a", 1], card="c"), amend(customer="y")],
    ),
    "a limit that begins where units are held": (
        shop(a=2),
        [hold("x", ["a", 1]), change("patch", item_limits={"a": 3})],
    ),
    "a limit that is no longer counted once it ended": (
        shop(a=2, rules=TWO_OF_A),
        [hold("x", ["a", 1]), change("patch", item_limits={"a": False})],
    ),
    "a limit by identity that begins under way": (
        shop(a=1),
        [change("patch", rules={"limits": [["card", 1]]})],
    ),
    "a basket that is taken from the last location that has it": (places(), [hold("x", ["a", 1])]),
    "a location that has a part of the basket": (places(), [hold("x", ["a", 3])]),
    "a basket that is split where nobody said so": (places(), [hold("x", ["a", 4])]),
    "a split basket that leaves the order of the locations": (places(split=True), [hold("x", ["a", 4])]),
    "a line that is picked up elsewhere": (places(), [hold_at("m", ["a", 1])]),
    "a location that nobody has": (places(), [hold_at("nowhere", ["a", 1])]),
    "a location that is chosen before others' time is over": (
        places(),
        [hold("x", ["a", 2]), hold("y", ["a", 1], later=1_000)],
    ),
    "an amend that moves what stays": (places(), [hold_at("m", ["a", 1]), amend(lines=["a", 1])]),
    "an amend that forgets where it is picked up": (
        places(),
        [hold_at("l", ["a", 1]), amend(lines=["a", 1], pick_up=["a", "m"])],
    ),
    "two lines of one item at one location": (places(split=True), [hold("x", ["a", 3, "a", 4])]),
    "a list that is offered what no location has": (places(rules=WAITING), [join("w", "a", 4)]),
    "a location that is chosen before those who wait": (
        places(rules=WAITING),
        [
            hold("x", ["a", 2]),
            hold("y", ["a", 2]),
            join("w", "a", 2),
            change("pause"),
            release(back=1),
            change("open"),
            hold("z", ["a", 1]),
        ],
    ),
    "an entry that forgets its card": one_with_a_card_waits,
    "an offer that counts for no card": one_with_a_card_waits,
    "an offer beyond a limit by identity": (
        one_with_a_card_waits[0],
        [*one_with_a_card_waits[1][:2], buy("z", ["b", 1], card="c"), release(back=1)],
    ),
}
