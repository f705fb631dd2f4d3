"""The kernel against its model: thousands of sequences of calls, on a real server.

Each sequence is played on two partitions: on one, a step's requests go into one script call, on the other
each makes a call of its own. FLASHGUARD_LONG=1 plays many more.
"""

import itertools
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flashguard.kernel import kernel as kernel_module
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb, script_source
from tests.properties.histories import HISTORIES
from tests.properties.memory import SERVERS, Partition, Wire, memory_server
from tests.properties.model import Config, Item, Sale

LONG = os.environ.get("FLASHGUARD_LONG") == "1"
SEQUENCES = 50_000 if LONG else 1_000
PLAYS_MOST = 5
"""How often that many are played, until each of the things that must be done was done."""
TO_NOTICE = 4_000
"""Of each server."""
START_MS = 1_000_000
SALES = ("one", "two")
NOBODY = "three"
"""A sale that memory has never heard of."""

Step = tuple[Any, ...]


def any_of(*choices: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """One of each, in a single draw: most of the time goes into drawing. The first is the simplest.

    It draws a number: a list of all combinations, a million of some, costs every run seconds and memory.
    """

    def combination(number: int) -> tuple[Any, ...]:
        picked = []
        for options in reversed(choices):
            number, at = divmod(number, len(options))
            picked.append(options[at])
        return tuple(reversed(picked))

    return st.sampled_from(range(math.prod(map(len, choices)))).map(combination)


NOTHING = 9
BACK = [*range(NOTHING)] * 2 + [NOTHING]
"""Which reservation: so many before the newest; NOTHING: one that nobody made."""
NAMES = [*SALES * 6, NOBODY]
SKUS = [*"ab" * 6, "c", "p", "p"]  # nobody sells c
BODIES = [1, 1, 1, 1, 2]
AT_MS = [0] * 6 + [START_MS + ms for ms in (500, 1_500, 6_000)]
ADMISSIONS = [0, START_MS + 1_500, (START_MS + 1_500, "one"), (START_MS + 1_500, "two")]
HOLD_MS = [1_000, 1_000, 2_500]
LIMITS = [0, 0, 3, 6]
RULES = [
    {}, {}, {}, {"room": {}}, {"max_held": 2}, {"max_held": 4, "cool_down_ms": 1_500, "cool_down_after": 1},
    {"cool_down_ms": 3_000, "cool_down_after": 2}, {"waiting_most": 3}, {"waiting_most": 9},
    {"waiting_most": 9, "waiting_hold_ms": 700}, {"waiting_most": 9, "max_held": 3, "cool_down_ms": 1_000},
    {"waiting_most": 9, "room": {}}, {"waiting_most": 9, "room": {"of": "one"}},
    {"item_limits": {"a": 2, "b": 3}}, {"limits": [["card", 3]], "waiting_most": 9},
    {"limits": [["card", 2, ["a"]], ["tel", 3]], "item_limits": {"b": 2}, "max_held": 4},
    {"limits": [["card", 9], ["tel", 9]], "holds_by": ["card", "tel"], "max_held": 3},
    {"limits": [["card", 9]], "holds_by": ["card"], "cool_down_ms": 1_500, "cool_down_after": 1},
]  # fmt: skip
CHANGES = [
    {}, {"limit": 0}, {"limit": 4}, {"hold_ms": 1_500}, {"hold_ms": 1_000, "max_hold_ms": 2_000, "limit": 2},
    {"describe": ["A new name", ""]}, {"describe": ["", "{}"], "rules": {"room": {}}},
    *({name: ms} for name in ("starts_ms", "ends_ms") for ms in AT_MS[5:]),
    *({"rules": {"room": rule}} for rule in ({}, False, {"of": "one"})),
    *({"rules": {"room": False, "doors": rule}} for rule in ({}, {"of": "one"})),
    *({"rules": {"max_held": most}} for most in (2, 3, False)),
    *({"rules": {"waiting_most": most}} for most in (0, 5)),
    {"rules": {"cool_down_ms": 2_000, "cool_down_after": 1}}, {"rules": {"cool_down_ms": False}},
    *({"item_limits": limits} for limits in ({"a": 1}, {"a": 4, "b": 1}, {"a": False}, {"a": False, "b": 2})),
    *({"rules": {"limits": limits}} for limits in ([["card", 1]], [["card", 4]], [["tel", 3]], False)),
    *({"rules": {"holds_by": names}} for names in (["card"], False)),
]  # fmt: skip
EDITS = [
    {"items": [["item:b", "4 0 0"], '[{"sku":"b"}]'], "only": ["draft"], "limit": 3},
    {"items": [["item:a", "2 0 0", "item:c", "1 0 0"], "[]"], "only": ["draft"]},
    {"describe": ["", "{}", "5eed"], "rules": {"room": {}}, "only": ["draft", "scheduled"]},
    {"describe": ["", "null"], "rules": {"room": False}, "only": ["draft"]},
]
CHANGE_KEYS = ["", "", "sale-change:1", "sale-change:2"]
SETS = [{"price": price, "first": 2, "row": f'{{"price_minor":{price}}}'} for price in (0, 5, 7)]
SETS += [{"on_sale": on, "row": "{}"} for on in (False, True, True)]
SETS += [{"on_sale": False, "price": 9, "first": 2, "row": "{}"}, {"row": '{"name":"x"}'}]
ITEM_CHANGES = [
    *[("set", sku, change) for sku in "abab" for change in SETS],
    *[("set", sku, SETS[0]) for sku in "cp"],
    *[
        ("add", sku, {"counters": [sku, stock, recipe], "price": 3, "row": "[]"})
        for sku in "acdp" for stock, recipe in ((4, []), (2**50, ["p", 1]), (2, ["a", 1]))
    ],
    *[("set", sku, {"limit": most, "row": "{}"}) for sku in "ab" for most in (2, 1, False)],
    ("add", "c", {"counters": ["c", 4, []], "price": 3, "limit": 2, "row": "[]"}),
    *[("remove", sku, {"used": False, "epoch": 0, "row": "{}"}) for sku in "abcdp"],
    ("remove", "a", {"used": True, "epoch": 0, "row": "{}"}),
    ("remove", "b", {"used": False, "epoch": -1, "row": "{}"}),
]  # fmt: skip
LINES = [
    *([sku, quantity] for quantity in (1, 2, 3) for sku in "ababc"),
    *([*one, *other] for one in (["a", 1], ["b", 2]) for other in (["a", 2], ["b", 1], ["a", 3], ["c", 1])),
    ["a", 1, "b", 1, "a", 1],
    ["b", 3, "b", 3, "b", 1],
    ["p", 1],  # nobody sells a pool
    ["a", 1, "q", 1],
]
PICK_UPS = [{"pick_up": ["a", "m"]}, {"pick_up": ["b", "l", "a", "m"]}, {"pick_up": ["a", "nowhere"]}]
DETAILS = [
    *[None] * 2, {"reference": "17"}, {"reference": "17", "metadata": {"seat": "4"}}, *PICK_UPS,
    *({"identities": {"card": card, "tel": tel}} for card in "cd" for tel in "tu"),
    {"identities": {"card": "c", "tel": "t"}, "reference": "17"}, {"identities": {"card": "d"}},
    {"identities": {"card": "c", "tel": "t"}, "pick_up": ["a", "m"]},
    *[None] * 2, {"identities": {"iban": "i"}},
]  # fmt: skip
"""Cards and telephones stand only in requests to sales with a limit by them."""
AT_PLACES = {"at": True}
PLACES = {"pools": True, "locations": ["l", "Left", "m", "Middle"]}
RECIPES: list[dict[str, Any]] = [
    {}, {}, {"a": ["p", 1], "b": ["p", 2]}, {"a": ["p", 1, "q", 2], "b": []},
    {"a": ["q", 3, "p", 1], "b": ["p", 1]}, {"a": AT_PLACES, "b": AT_PLACES}, {"a": AT_PLACES, "b": ["p", 2]},
]  # fmt: skip
"""What one unit of a and of b draws from the pools p and q, or from locations; {}: the sale has neither."""
REVISED = ["as-it-is"] * 4 + ["stale", "of another", "a hold"]
"""How a request has the order that it amends or cancels."""
AMEND_KEYS = [None, None, None, "amend:1", "amend:2"]
AMENDS = [
    *({"lines": lines} for lines in LINES),
    *({"lines": lines, "restock": False, "reason": "broken"} for lines in LINES[:6]),
    *({"lines": lines, "cancelled": ["a", 1]} for lines in LINES[:2]),
    *({"customer": customer} for customer in "xyz"), {"customer": "w", "elsewhere": True},
    *({"lines": lines, **where} for lines in LINES[:3] for where in PICK_UPS[:2]),
]  # fmt: skip
requests = {
    Verb.RESERVE: any_of(
        NAMES,
        [None] * 5 + [0, 1, 4],
        BODIES,
        "xyz",
        LINES,
        [False, True],
        ADMISSIONS,
        [None],
        DETAILS,
    ),
    Verb.CONFIRM: any_of(
        BACK, [*[None] * 4, *itertools.product("xyz", ["ok", "ok", "late", "forged"])], LINES
    ),
    Verb.RELEASE: any_of(BACK),
    Verb.CANCEL: any_of(BACK, REVISED, [False, True], [None, *AMEND_KEYS[2:]], BODIES),
    Verb.AMEND: any_of(BACK, REVISED, AMEND_KEYS, BODIES, AMENDS),
    Verb.EXTEND: any_of(BACK, [1, 2, 3]),
    Verb.EXPIRE: any_of(NAMES),
    Verb.WAITING_LIST: any_of(
        NAMES,
        ["join"] * 4 + ["leave", "see"],
        [None] * 4 + [0, 1, 2],
        BODIES,
        "wxyz",
        SKUS,
        [1, 1, 2, 3],
        ADMISSIONS,
        DETAILS[7:],
    ),
    Verb.RESTOCK: st.one_of(
        any_of(NAMES, SKUS, range(-4, 7), ["why"], [f"restock:{n}" for n in range(5)], BODIES, [25]),
        any_of(
            NAMES, SKUS, [None], ["counted"], [f"restock:{n}" for n in range(5)], BODIES, [25], range(-2, 28)
        ),
        any_of(
            NAMES, SKUS, range(-3, 0), ["to another shard"], ["transfer:1:out", "transfer:2:out"], [1], [25]
        ),
        any_of(NAMES, SKUS, range(1, 4), ["from another"], ["transfer:3:in", "transfer:4:in"], [1], [25]),
    ),
    Verb.SURVEY: any_of(NAMES, SKUS),
    Verb.CHANGE_SALE: st.one_of(
        any_of(NAMES, ["open", "open", "open", "pause", "close"], [{}], CHANGE_KEYS),
        any_of(NAMES, ["patch"], CHANGES, [""]),
        any_of(NAMES, ["patch"], EDITS, [""]),
        any_of(NAMES, ["delete"], [{}], [""]),
    ),
    Verb.CHANGE_ITEM: any_of(NAMES, ITEM_CHANGES, CHANGE_KEYS, BODIES).map(lambda r: (r[0], *r[1], *r[2:])),
}
opened = any_of(["open"], [0], AT_MS, HOLD_MS, [1_400, 4_000], LIMITS, RULES)
unopened = any_of(["scheduled", "draft", "draft"], AT_MS, AT_MS, HOLD_MS, [1_400, 4_000], LIMITS, RULES)


def a_sale(config: tuple[Any, ...], stock: tuple[int, ...], recipes: dict[str, Any]) -> Sale:
    """A sale of a and b. With recipes they draw from the pools p and q, where a may have no stock of its own,
    or from the locations l and m."""
    *rest, rules = config
    if not recipes:
        return Sale(Config(*rest, rules), {sku: Item(n) for sku, n in zip("ab", stock, strict=False)})
    a, b, p, q = stock
    if located := [sku for sku, recipe in recipes.items() if recipe is AT_PLACES]:
        items = {sku: Item(2**50) for sku in "ab"}
        counters = [f"{sku}\x1f{place}" for sku in located for place in "lm"]
        items |= {name: Item(n) for name, n in zip(counters, (a, p, q, b), strict=False)}
        pools = {} if "b" in located else {"p": "pool"}
        items |= {name: Item(b) for name in pools}
        rules = {**rules, **PLACES} | ({"split": True} if a % 2 else {})
        return Sale(Config(*rest, rules), items, {**recipes, **pools, **dict.fromkeys(counters, "location")})
    items = {"a": Item(2**50 if a % 2 else a), "b": Item(b), "p": Item(p), "q": Item(q)}
    return Sale(Config(*rest, {**rules, "pools": True}), items, {**recipes, "p": "pool", "q": "pool"})


sales = st.builds(
    a_sale,
    st.one_of(opened, opened, unopened),
    any_of(range(13), range(13), range(13), range(13)),
    st.sampled_from(RECIPES),
)


def call(verb: Verb) -> st.SearchStrategy[Step]:
    once = (lambda one: one[0],) if verb is Verb.EXPIRE else None  # the sweep names a sale once per call
    return st.tuples(st.just(verb), st.lists(requests[verb], min_size=1, max_size=6, unique_by=once))


often = [Verb.RESERVE] * 4 + [Verb.CONFIRM] * 2 + [Verb.RELEASE, Verb.CANCEL, Verb.EXTEND, Verb.EXTEND]
often += [Verb.RELEASE, Verb.WAITING_LIST, Verb.WAITING_LIST, Verb.AMEND, Verb.AMEND]
seldom = [Verb.RESTOCK, Verb.CHANGE_SALE, Verb.EXPIRE, Verb.SURVEY, Verb.CHANGE_ITEM]
loads = st.one_of(
    st.tuples(st.just("load"), st.sampled_from(NAMES), sales), any_of(["unload", "bury"], NAMES)
)
actions = st.one_of(*map(call, often + seldom), any_of(["note_recorded", "rebuild"]), loads)
steps = st.tuples(st.sampled_from([0, 0, 0, 0, 1, 499, 1_000, 1_000]), actions)
"""So many milliseconds later, this."""
rush = st.tuples(
    st.just(0), st.tuples(st.just(Verb.RESERVE), st.lists(requests[Verb.RESERVE], min_size=4, max_size=10))
)
plays = st.tuples(st.tuples(sales, sales), rush, st.lists(steps, min_size=4, max_size=20))


# A play of its own for the waiting list: little stock, and buyers who wait for what comes back.
few_units = any_of(
    ["open"], [0], [0], HOLD_MS, [4_000], [0, 3],
    [
        {"waiting_most": 2}, {"waiting_most": 9}, {"waiting_most": 9, "waiting_hold_ms": 700},
        {"waiting_most": 9, "waiting_hold_ms": 1_500}, {"waiting_most": 9, "max_held": 2},
        {"waiting_most": 9, "cool_down_ms": 1_500, "cool_down_after": 1}, {"waiting_most": 9, "room": {}},
        {"waiting_most": 9, "limits": [["card", 2]], "item_limits": {"a": 2}},
        {"waiting_most": 9, "limits": [["card", 9]], "holds_by": ["card"], "max_held": 2},
    ],
)  # fmt: skip
one_sku = [["a", units] for units in (1, 1, 2, 3)] + [["b", 1], ["b", 1, "a", 1]]
waits = any_of(
    SALES,
    ["join"] * 6 + ["leave"] * 3 + ["see"],
    [None] * 6 + [0, 1],
    [1],
    "uvwxyz",
    "aaabbp",
    [1, 1, 2, 3],
    [0, START_MS + 1_500],
    [{"identities": {"card": card}} for card in "ccd"],
)
waiting_requests = {
    Verb.WAITING_LIST: waits,
    Verb.RESERVE: any_of(
        SALES,
        [None],
        [1],
        "wxyz",
        one_sku,
        [False, False, True],
        [START_MS + 1_500],
        [None],
        [{"identities": {"card": card}} for card in "cd"],
    ),
    Verb.CONFIRM: any_of(range(NOTHING), [None], [[]]),
    Verb.RELEASE: any_of(range(NOTHING)),
    Verb.CANCEL: any_of(range(NOTHING), ["as-it-is"], [True, True, False], [None], [1]),
    Verb.AMEND: any_of(
        range(NOTHING),
        ["as-it-is"],
        [None],
        [1],
        [{"lines": lines} for lines in one_sku] + [{"customer": "y"}],
    ),
    Verb.RESTOCK: st.one_of(
        any_of(SALES, "aabpq", [-1, 1, 2, 4], ["why"], [f"restock:{n}" for n in range(9)], [1], [25]),
        any_of(SALES, "aab", [None], ["counted"], [f"restock:{n}" for n in range(9)], [1], [25], range(9)),
    ),
    Verb.CHANGE_SALE: any_of(SALES, ["pause", "open", "open"], [{}], [""]),
    Verb.CHANGE_ITEM: any_of(
        SALES,
        [each for each in ITEM_CHANGES if each[0] != "add"],
        [""],
        [1],
    ).map(lambda r: (r[0], *r[1], *r[2:])),
}
waiting_actions = st.one_of(
    *(
        st.tuples(st.just(verb), st.lists(asked, min_size=1, max_size=4))
        for verb, asked in waiting_requests.items()
    ),
    *(st.tuples(st.just(Verb.WAITING_LIST), st.lists(waits, min_size=2, max_size=6)) for _ in range(3)),
    st.just((Verb.EXPIRE, [(sale,) for sale in SALES])), any_of(["note_recorded", "rebuild"]),
)  # fmt: skip
few = st.builds(
    a_sale, few_units, any_of(range(1, 5), range(3), range(1, 5), range(4)), st.sampled_from(RECIPES)
)
sell_out = st.tuples(
    st.just(0),
    st.tuples(st.just(Verb.RESERVE), st.lists(waiting_requests[Verb.RESERVE], min_size=6, max_size=10)),
)
waiting_plays = st.tuples(
    st.tuples(few, few), sell_out,
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 500, 1_000]), waiting_actions), min_size=6, max_size=20),
)  # fmt: skip


class Play:
    """One sequence, on two partitions beside their models: on the first a step's requests make one call."""

    def __init__(self, wire: Wire, kernel: Kernel, number: int, started: Sequence[Sale]) -> None:
        self.sides = [Partition(wire, kernel, number + n, batched=n == 0) for n in (0, 1)]
        self.reached: Counter[tuple[Verb, Any]] = Counter()
        """How often each verb had each result."""
        self._ids = itertools.count()
        for side in self.sides:
            side.model.now_ms = START_MS
        for name, sale in zip(SALES, started, strict=True):
            self.step(0, ("load", name, sale))

    def step(self, later_ms: int, action: tuple[Any, ...]) -> None:
        for side in self.sides:
            side.model.now_ms += later_ms
        verb, *rest = action
        if isinstance(verb, Verb):
            requests = self._named(verb, *rest)
            batched, single = (side.call(verb, requests) for side in self.sides)
            assert batched == single
            self.reached.update((verb, result[0]) for result in batched)
        else:
            for side in self.sides:
                getattr(side, verb)(*rest)
        for side in self.sides:
            side.check()
        batched, single = ({n: sale.items for n, sale in side.model.sales.items()} for side in self.sides)
        assert batched == single

    def _named(self, verb: Verb, requests: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The requests with the ids of sale and reservation in place of "so many before the newest"."""
        model = self.sides[0].model
        known = [(name, id_) for name, sale in model.sales.items() for id_ in sale.reservations]
        known.sort(key=lambda one: one[1])
        named = []
        for request in requests:
            if verb is Verb.RESERVE:
                name, back, *rest = request
                if back is None or not known:
                    known.append((name, f"r{next(self._ids):03}"))
                    back = 0
                name, id_ = known[-1 - back % len(known)]
                named.append((name, id_, *self._identified(name, rest)))
            elif verb is Verb.WAITING_LIST:
                named.append(self._entry(*request))
            elif verb is Verb.CONFIRM and request[1] is not None:
                named.append(self._with_receipt(known, *request))
            elif verb is Verb.CONFIRM:
                back = request[0]
                named.append(
                    known[-1 - back % len(known)] if known and back != NOTHING else (SALES[0], "nobody")
                )
            elif verb is Verb.CANCEL:
                named.append(self._cancel(known, *request))
            elif verb is Verb.AMEND:
                named.append(self._amend(known, *request))
            elif verb is Verb.SURVEY:  # a spread sale has no waiting list
                sale = model.sales.get(request[0])
                waits = sale is not None and "waiting_most" in sale.config.rules
                named.append((NOBODY, request[1]) if waits else request)
            elif verb is Verb.CHANGE_SALE:  # a draft with pools or locations keeps its items
                name, what, changes, key = request
                sale = model.sales.get(name)
                kept = ("items",) if sale is not None and sale.recipes else ()
                named.append((name, what, {k: v for k, v in changes.items() if k not in kept}, key))
            elif verb in (Verb.RELEASE, Verb.EXTEND):
                back, *rest = request
                made = known and back != NOTHING
                named.append((*(known[-1 - back % len(known)] if made else (SALES[0], "nobody")), *rest))
            else:
                named.append(request)
        return named

    def _order(
        self, known: list[tuple[str, str]], back: int, how: str
    ) -> tuple[str, str, dict[str, Any] | None]:
        """A reservation, and what a request says that the ledger has of it; `how`: see REVISED."""
        name, id_ = known[-1 - back % len(known)] if known and back != NOTHING else (SALES[0], "nobody")
        sale = self.sides[0].model.sales.get(name)
        one = sale.reservations.get(id_) if sale is not None else None
        if one is None:
            return name, id_, {"fingerprint": 1, "customer": "x", "lines": ["a", 1], "revision": 0}
        if one.status == "held" and how != "a hold":
            return name, id_, None
        order: dict[str, Any] = {
            "fingerprint": one.fingerprint + (how == "of another"),
            "customer": one.customer,
            "lines": one.lines,
            "revision": one.revision - (how == "stale"),
        }
        names = [what for what in ("takes", "identities", "prices") if what in (one.details or {})]
        return name, id_, order | {what: (one.details or {})[what] for what in names}

    def _cancel(
        self, known: list[tuple[str, str]], back: int, how: str, restock: bool, key: str | None, body: int
    ) -> tuple[Any, ...]:
        name, id_, order = self._order(known, back, how)
        asked = (name, id_, order or {"fingerprint": 1, "revision": 0}, restock, "why")
        return asked if key is None else (*asked, key, body)

    def _amend(
        self, known: list[tuple[str, str]], back: int, how: str, key: str | None, body: int,
        change: dict[str, Any],
    ) -> tuple[Any, ...]:  # fmt: skip
        name, id_, order = self._order(known, back, how)
        if order is not None and "customer" in change:  # only holds are given to another customer
            change = {"lines": order["lines"]}
        asked = (name, id_, key or f"amend:n{next(self._ids)}", body)
        if how == "a hold":
            return asked
        return (*asked, change) if order is None else (*asked, change, order)

    def _identified(self, name: str, asked: Sequence[Any]) -> tuple[Any, ...]:
        """A request whose last value, the details, names only identities that its sale limits, or nobody."""
        *rest, details = asked
        if not isinstance(details, dict) or "identities" not in details:
            return tuple(asked)
        sale = self.sides[0].model.sales.get(name)
        known = {by for by, *_ in sale.config.rules.get("limits", [])} if sale is not None else set()
        fit = {by: text for by, text in details["identities"].items() if by in known or by == "iban"}
        details = {name: value for name, value in details.items() if name != "identities"}
        return *rest, (details | {"identities": fit} if fit else details or None)

    def _entry(self, name: str, verb: str, back: int | None, *asked: Any) -> tuple[Any, ...]:
        """A request of the waiting list: a new entry, or one that is there."""
        sale = self.sides[0].model.sales.get(name)
        entries = sorted(sale.waiting) if sale else []
        asked = self._identified(name, asked)
        if verb != "join":
            return name, verb, entries[-1 - (back or 0) % len(entries)] if entries else "nobody"
        if back is None or not entries:
            return name, verb, f"r{next(self._ids):03}", *asked
        return name, verb, entries[-1 - back % len(entries)], *asked

    def _with_receipt(
        self, known: list[tuple[str, str]], back: int, how: tuple[str, str], lines: list[Any]
    ) -> tuple[Any, ...]:
        """A confirm that shows a receipt: of a hold that was made, or of one that memory has forgotten."""
        (customer, kind), model = how, self.sides[0].model
        if known and back != NOTHING:
            name, id_ = known[-1 - back % len(known)]
            if (one := model.sales[name].reservations.get(id_)) is not None:
                held_ms = one.extensions[-1] - one.created_ms if one.extensions else one.hold_ms
                body = one.fingerprint + (kind == "forged")
                details = [one.details] if one.details else []
                if one.revision and kind == "late":  # a receipt of before it was amended
                    details = [{**(one.details or {}), "revision": one.revision - 1}]
                return name, id_, [body, one.customer, one.lines, one.created_ms, held_ms, *details]
        created_ms = model.now_ms - (1_500 if kind == "late" else 500)
        return SALES[back % 2], f"r{next(self._ids):03}", [1, customer, lines, created_ms, 1_000]

    def close(self) -> None:
        for side in self.sides:
            side.close()


@pytest.fixture(scope="module")
def valkey() -> Iterator[Wire]:
    with memory_server("valkey") as started:
        yield started


@pytest.fixture(scope="module", params=SERVERS)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    with memory_server(request.param) as started:
        yield started


MANY = settings(
    max_examples=SEQUENCES,
    deadline=None,
    database=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def play_many(
    wire: Wire,
    how: settings,
    drawn_from: st.SearchStrategy[Any] = plays,
    done: Sequence[tuple[Verb, Any]] = (),
) -> Counter[tuple[Verb, Any]]:
    """Play random sequences, and return how often each verb had each result.

    Parameters:
        done: what must have been done, or the play proves too little: it goes on for a while until it was.
    """
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    numbers = itertools.count(step=2)
    reached: Counter[tuple[Verb, Any]] = Counter()

    @how
    @given(drawn_from)
    def every_sequence(drawn: tuple[tuple[Sale, Sale], Step, list[Step]]) -> None:
        started, rush, steps = drawn
        wire.ask("FLUSHALL")
        play = Play(wire, kernel, next(numbers), started)
        for step in (rush, *steps):
            play.step(*step)
        play.close()
        reached.update(play.reached)

    for _ in range(PLAYS_MOST):
        every_sequence()
        missing = [what for what in done if not reached[what]]
        if not missing:
            return reached
    raise AssertionError(f"never done: {missing}")


DONE = [
    (Verb.RESERVE, "held"), (Verb.RESERVE, "confirmed"), (Verb.RESERVE, "sold-out"),
    (Verb.RESERVE, "limit-reached"), (Verb.RESERVE, "hold-budget-reached"), (Verb.CONFIRM, "confirmed"),
    (Verb.RELEASE, "released"), (Verb.CANCEL, "cancelled"), (Verb.AMEND, "amended"), (Verb.AMEND, "sold-out"),
    (Verb.RESTOCK, "restocked"), (Verb.CHANGE_SALE, "open"),
]  # fmt: skip
"""Each verb, and what it must have done, if random play is to prove something about it."""
DONE_BY_ALL = [*DONE, (Verb.EXTEND, "held"), (Verb.CHANGE_SALE, "draft"), (Verb.WAITING_LIST, "waiting")]
DONE_BY_ALL += [(Verb.RESERVE, "identity-required")]
DONE_BY_WHO_WAIT = [*DONE, (Verb.CHANGE_SALE, "paused")]
DONE_BY_WHO_WAIT += [(Verb.WAITING_LIST, state) for state in ("waiting", "offered", "left")]


@pytest.mark.timeout(7200 if LONG else 600)
def test_the_kernel_decides_as_its_model_whether_batched_or_one_by_one(wire: Wire) -> None:
    reached = play_many(wire, MANY, done=DONE_BY_ALL)
    assert all(sum(n for (verb, _), n in reached.items() if verb is asked) > 100 for asked in requests)


@pytest.mark.timeout(7200 if LONG else 600)
def test_the_waiting_list_is_served_as_its_model_whether_batched_or_one_by_one(wire: Wire) -> None:
    play_many(wire, settings(MANY, max_examples=SEQUENCES // 4), waiting_plays, DONE_BY_WHO_WAIT)


BROKEN = {
    "a limit that is off by one": ("+ units > config.limit", "+ units > config.limit + 1"),
    "lines of one sku that don't add up": ("(sums[sku] or 0) + lines[i + 1]", "lines[i + 1]"),
    "a release that is not journalled": (
        "  note(start .. string_head(id) .. id .. packed_lines",
        "  local _ = status == RELEASED or note(start .. string_head(id) .. id .. packed_lines",
    ),
    "a sold-out that forgets the ended holds": ("if not expire_page(sale) then", "if true then"),
    "a hold that lives a millisecond longer": (
        "    if NOW >= record.expires_ms",
        "    if NOW > record.expires_ms",
    ),
    "an ended hold that still counts for the limit": (
        "count_used(sale, customer, lines, record.kept, -1)",
        "",
    ),
    "a budget of holds that is off by one": ("held + units > most", "held + units > most + 1"),
    "a budget that counts what is confirmed": (
        "  if sale.history then count_held_by(sale, customer, record.kept, -units_of(lines)) end\n"
        "  if status == CONFIRMED then",
        "  if sale.history and status ~= CONFIRMED then count_held(sale, customer, -units_of(lines)) end"
        "\n"
        "  if status == CONFIRMED then",
    ),
    "an expired hold that is not counted": (
        "if sale.history then count_expired_by(sale, customer, record.kept, ended_ms, 1) end",
        "",
    ),
    "an expired hold that an order does not make good": ("record.ended_ms, -1)", "record.ended_ms, 0)"),
    "a cool-down that does not look for what has just ended": (
        "while holds_any() and expire_page(sale) do",
        "while false do",
    ),
    "a key that is looked up once per batch only": ("  sale.records[name] = blob\n", ""),
    "a key that takes any body": ("record.fingerprint ~= fingerprint", "false"),
    "a replay that is not told from a first time": (
        "return held_result(config, true,",
        "return held_result(config, false,",
    ),
    "an extension without end": ("created_ms + config.max_hold_ms", "NOW + config.hold_ms"),
    "a change of a sale that forgets its key": ("local record = key ~= '' and", "local record = false and"),
    "an edit of what is no draft": ("return not statuses\n", "return true\n"),
    "an edit that leaves the old items": ("call('HDEL', sale.key, gone)", ""),
    "a transfer that is not counted": ("if is_transfer(key) then count_moved", "if false then count_moved"),
    "a survey that forgets the ended holds": (
        "while sale.looked_at < EXPIRE_MOST and expire_page(sale) do end",
        "sale.drained = true",
    ),
    "a count that forgets what moved": (" + moved.units_out - moved.units_in", ""),
    "a count that is taken for a change": ("delta = delta_to(sale, sku, count)", "delta = count"),
    "a restock below what is held": ("if available + delta < 0 or", "if"),
    "a receipt that revives whatever ended": (
        "if not over then return held and",
        "if not over and held then return held and",
    ),
    "a receipt for another basket under the same id": (
        "if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end\n    if revision",
        "if revision",
    ),
    "a waiting room that anybody walks past": (
        "  local room = config.rules.room\n  if room then",
        "  local room = nil\n  if room then",
    ),
    "an admission without end": (
        "NOW >= until_ms then return",
        "until_ms == 0 then return",
    ),
    "a change that forgets the rules": ("  if next(c.rules) then", "  if false then"),
    "a cancelled order that still counts for the limit": (
        "  count_used(sale, order.customer, lines, order, -1)\n",
        "",
    ),
    "units that stay in the stock when they left it": ("if not restock then move", "if false then move"),
    "an order that is cancelled twice": (
        "if record.status == CANCELLED and not key then return",
        "if record.status == CANCELLED then record.status = 2 elseif nil then return",
    ),
    "a change of another order": (
        "if record.fingerprint ~= order.fingerprint then return {'idempotency-mismatch'} end",
        "",
    ),
    "a change of an order as it was": ("if revision_of(record) ~= order.revision then", "if false then"),
    "a key that amends twice": (
        "if not known then return nil end\n  if known.finger",
        "if true then return nil end\n  if known.finger",
    ),
    "an amend that takes what nobody has": (
        "return no or shortage(sale, customer, added, more, live, counts)",
        "return no or nil",
    ),
    "an amend that needs its whole basket free": (
        "changes, more = difference(before.takes or before.lines, takes or lines)",
        "changes, more = difference(before.takes or before.lines, takes or lines)\n  more = lines",
    ),
    "an amend beyond the limit": (
        "customer == before.customer and difference(before.lines, lines) or lines",
        "{}",
    ),
    "an amended hold that counts as before": (
        "count_units(sale, customer, units_of(lines) - units_of(before.lines), live)",
        "",
    ),
    "a transfer that both customers pay for": (
        "count_units(sale, before.customer, -units_of(before.lines), live)",
        "",
    ),
    "an amended order whose units go back when they left the stock": (
        "for i = 1, restock and 0 or #changes, 2 do",
        "for i = 1, 0 do",
    ),
    "an amend that is not journalled": (
        "  note(array_head(14) .. pack('amend'",
        "  local _ = (array_head(14) .. pack('amend'",
    ),
    "an amended hold that is held in its old basket": (
        "record.customer, record.lines, record.kept, record.takes = customer, lines, kept, details.takes",
        "record.kept, record.takes = kept, details.takes",
    ),
    "an old receipt of an amended hold": ("if revision_of(record) ~= revision then", "if false then"),
    "limits that are counted elsewhere": ("if change.elsewhere and", "if false and"),
    "an entry that forgets the one before it": ("'p', LAST_TOKEN", "'p', ''"),
    "a hold that forgets what it took": ("= h, h.takes", "= h, nil"),
    "an end that does not say what it took": ("takes and pack(takes)", "takes and pack(lines)"),
    "an extension that forgets what was taken": ("r.kept and blob .. pack(r.kept)", "false"),
    "a receipt that sells the lines for what they took": (
        "  move(sale, takes, 'sold', 1)\n  put_blob",
        "  move(sale, lines, 'sold', 1)\n  put_blob",
    ),
    "a basket whose lines draw from one pool each by itself": ("(takes[place] or 0) + units", "units"),
    "a pool that is for sale": (
        "if not recipe then return nil, unknown_item(sale, lines[i]) end",
        "recipe = recipe or {}",
    ),
    "a recipe of one unit for a line of many": ("recipe[j + 1] * lines[i + 1])", "recipe[j + 1])"),
    "a pool that is named without its item": (
        "sale.config.rules.pools and not pools.drawn_by(sale, sku)",
        "false",
    ),
    "a receipt that takes nothing from a pool": (
        "    if sale.config.rules.pools then details, no = pools.with_takes(sale, lines, details) end",
        "",
    ),
    "a basket that is taken from the last location that has it": (
        "for j = 1, #places, 2 do\n      local count",
        "for j = #places - 1, 1, -2 do\n      local count",
    ),
    "a location that has a part of the basket": (
        "count > fitting or count == fitting and free > most",
        "not best",
    ),
    "a basket that is split where nobody said so": ("if split and fitting < #lines then", "if true then"),
    "a split basket that leaves the order of the locations": (
        "math.min(left, basket.free(sku, places[j]))",
        "math.min(1, left, basket.free(sku, places[j]))",
    ),
    "a line that is picked up elsewhere": ("basket.take(sku, named_place, left)", "rest = {sku, left}"),
    "a location that nobody has": ("not (is_located and known[named_place])", "false"),
    "a location that is chosen before others' time is over": (
        "if sale.serving then return end\n    while sale.looked_at < EXPIRE_MOST and",
        "if sale.serving then return end\n    while false and",
    ),
    "an amend that moves what stays": ("by_name(before or again and", "by_name(again and"),
    "an amend that forgets where it is picked up": ("pick_up = details.pick_up, revision", "revision"),
    "a late confirm elsewhere, although its units are there": (
        "again and has_all(sale, again) and again",
        "nil",
    ),
    "a late confirm of units that are gone": ("again and has_all(sale, again) and again", "again"),
    "two lines of one item at one location": ("- (taken[counter] or 0))", ")"),
    "a cancelled order that gives its lines back for what it took": (
        "moved = order.lines, order.takes or order.lines",
        "moved = order.lines, order.lines",
    ),
    "a limit of an item that is off by one": ("+ count.units > count.most", "+ count.units > count.most + 1"),
    "lines of one item that don't add up for its limit": ("count.units = count.units + units", "local _"),
    "a limit by identity that counts other items": ("if not limit[3] then", "if true then"),
    "a limit by identity that forgets who is missing": ("missing = missing or by", "local _"),
    "an identity that no limit is by": ("if not known and not (unknown", "if false and not (unknown"),
    "a hold that forgets its identities": ("identities = details.identities,\n", "\n"),
    "an ended hold that still counts for its card": ("lines, record.kept, -1)", "lines, nil, -1)"),
    "a cancelled order that still counts for its card": ("lines, order, -1)", "lines, nil, -1)"),
    "a receipt that counts for no card": (
        "  count_used(sale, customer, lines, details, 1)\n  if record and",
        "  count_used(sale, customer, lines, nil, 1)\n  if record and",
    ),
    "an amend beyond a limit by item": (
        "shortage(sale, customer, added, more, live, counts)",
        "shortage(sale, customer, added, more, live)",
    ),
    "an amend that is not counted for an item": ("if counts then limits.count(sale, counts, 1) end", ""),
    "a transfer that counts twice for a card": (
        "if count then\n        count.units = count.units -",
        "if false then\n        count.units = count.units -",
    ),
    "a limit that begins where units are held": (
        "item and item.held + item.sold > 0",
        "false",
    ),
    "a limit that is no longer counted once it ended": ("after[sku] and 0 or nil", "nil"),
    "a limit by identity that begins under way": ("after ~= nil and of_limits", "false and of_limits"),
}
BROKEN |= {
    "a budget that a card does not have": ("more > 0 and held + more > most", "false"),
    "a confirmed hold that still counts for its card's budget": (
        "count_held_by(sale, customer, record.kept, -units_of(lines))",
        "count_held(sale, customer, -units_of(lines))",
    ),
    "a transfer that asks for a card's budget again": (
        "counts.more = units_of(lines) - units_of(before.lines)",
        "counts.more = units_of(lines)",
    ),
    "a transfer that asks whether a card cools down": ("if counts.more <= 0 then", "if false then"),
    "an amend that is not counted for a card's budget": (
        "local holders = live and sale.history and",
        "local holders = false and",
    ),
    "an amend beyond a card's budget": ("if counts.more <= 0 then", "if true then"),
    "a budget of a card that begins under way without it": (
        "count_held_by(sale, record.customer, record.kept,",
        "count_held(sale, record.customer,",
    ),
    "an identity of holds that begins under way": ("if names ~= nil and pack", "if false and pack"),
    "a cool-down that a card does not have": ("if until_ms > latest then", "if false then"),
    "a cool-down that does not look for a card's holds": (
        "if history_of(sale, holders[i].field).held > 0 then",
        "if false then",
    ),
    "a late confirm that leaves its card cooling": (
        "count_expired_by(sale, customer, details, record",
        "count_expired_by(sale, customer, nil, record",
    ),
    "an offer to a card that cools down": (
        "local until_ms = cooling_until(sale, customer, counts)",
        "local until_ms = cooling_until(sale, customer)",
    ),
    "a price that a hold does not keep": ("    details.prices = now\n", ""),
    "an item off sale that is sold": ("if item and item.off and lines[i + 1] > 0 then", "if false then"),
    "an amend that changes the price of what was held": ("    if kept[sku] then", "    if false then"),
    "an old hold that loses its price": ("own[sku] or item and item.price and item.first or nil", "own[sku]"),
    "an item removed that was held since": ("or held or waits then", "or waits then"),
    "an item removed that someone waits for": ("or held or waits then", "or held then"),
    "an item's limit that begins where units are held": (
        "if change.limit ~= nil and begins_late(sale, sku, change.limit)",
        "if false",
    ),
    "an item's limit that its change does not write down": ("    journal_sale(sale, '', 'patch')\n", ""),
    "an item that leaves its limit behind": ("  if after and what == 'remove' then", "  if false then"),
    "an item off sale that is offered": (
        "if not item or item.off or draws(sale, sku)",
        "if not item or draws(sale, sku)",
    ),
    "an item that is added twice": ("if item_of(sale, name) then return {'item-exists', name} end", ""),
}
BROKEN_LIST = {
    "a list that is offered what no location has": ("sale.config.rules.split and sum or most", "sum"),
    "a location that is chosen before those who wait": (
        "      for i = 1, #lines, 2 do touch(sale, lines[i]) end\n      serve_waiting(sale)\n    end\n  end",
        "    end\n  end",
    ),
    "an entry that forgets its card": ("admitted = i, identities = j}", "admitted = i}"),
    "an offer that counts for no card": (
        "entry.identities and {identities = entry.identities}",
        "nil",
    ),
    "an offer beyond a limit by identity": (
        "if over_limit(sale, customer, quantity, true, counts) then return NOW",
        "if over_limit(sale, customer, quantity, true) then return NOW",
    ),
    "an offer that takes nothing from a pool": (
        "details = pools.with_takes(sale, lines, details) end",
        "details = nil end",
    ),
    "a list of a pool whose last is served first": ("head.place < first.place", "head.place > first.place"),
    "a list that is offered more than a pool has": (
        "next_head(sale, skus[i], free_of(sale, skus[i]))",
        "next_head(sale, skus[i], free_units(item_of(sale, skus[i])))",
    ),
    "a list that lets smaller ones pass": (
        "set_aside = free\n        break\n      elseif",
        "break\n      elseif",
    ),
    "units that are set aside for ever": (
        "passing and free or item.stock - item.sold",
        "item.stock - item.sold",
    ),
    "units that are set aside and gone": (
        "not item.set_aside or item.set_aside <= free",
        "not item.set_aside or true",
    ),
    "units that are set aside again and again": (
        "if free == 0 then until_ms = nil end",
        "if not owed then until_ms = nil end",
    ),
    "a list whose last is served first": (
        "string.format('%015.0f', place)",
        "string.format('%015.0f', 1000 - place)",
    ),
    "a place that is kept by who left": (
        "    redis.call('ZREM', sale.queue_key, place_member(sku, place, id))\n    if waits",
        "    if waits",
    ),
    "a customer who waits twice": ("if other then return {'already-waiting', other.id} end", ""),
    "a list beyond its bound": (">= rules.waiting_most then", "> rules.waiting_most then"),
    "an offer that lasts too long": (
        "sale.config.rules.waiting_hold_ms or sale.config.hold_ms",
        "sale.config.hold_ms",
    ),
    "a reopened sale that forgets who waits": (
        "if sale.touched then -- who waits",
        "if false then -- who waits",
    ),
    "a beat that does not look at what is due": (
        "if not touched or sale.serving or (#touched == 0 and room_is_empty == nil)",
        "if not touched or sale.serving or #touched == 0",
    ),
    "an ended hold of their own that costs a place": (
        "      expire_page(sale)\n      wake_due(sale)",
        "      wake_due(sale)",
    ),
    "an offer to who cools down": ("return until_ms > NOW and until_ms or nil", "return nil"),
    "an entry for more than is left, past the room": (
        "set_aside or 0) >= 1 then",
        "set_aside or 0) >= quantity then",
    ),
    "an offer to whom the room did not admit": (
        "    if not sale.config.rules.room then -- in a sale",
        "    if true then -- in a sale",
    ),
}


@pytest.mark.parametrize("broken", [*BROKEN, *BROKEN_LIST])
def test_the_model_notices(broken: str, valkey: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (BROKEN | BROKEN_LIST)[broken]
    sources = {verb: script_source(verb) for verb in Verb}
    assert any(old in source for source in sources.values())
    monkeypatch.setattr(kernel_module, "script_source", lambda verb: sources[verb].replace(old, new))
    with pytest.raises(AssertionError):
        play_broken(valkey, broken)


def play_broken(wire: Wire, broken: str) -> None:
    """The history that shows this bug, or random play until one does."""
    if broken in HISTORIES:
        play_history(wire, broken)
        return
    unshrunk = settings(
        MANY,
        max_examples=TO_NOTICE,
        phases=(Phase.generate,),
        derandomize=True,
        report_multiple_bugs=False,
        print_blob=False,
    )
    play_many(wire, unshrunk, waiting_plays if broken in BROKEN_LIST else plays)


def play_history(wire: Wire, name: str) -> None:
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    sale, steps = HISTORIES[name]
    play = Play(wire, kernel, 0, [sale] * 2)
    for step in steps:
        play.step(*step)
    play.close()


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_is_decided_as_by_the_model(wire: Wire, name: str) -> None:
    play_history(wire, name)


def wait_and_buy_elsewhere(wire: Wire) -> list[str]:
    """One who waits reaches the limit by another purchase before units come back: the fates of the entry."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    started = Sale(Config(limit=1, rules={"waiting_most": 9}), {"a": Item(1), "b": Item(1)})
    play = Play(wire, kernel, 0, [started] * 2)
    play.step(0, (Verb.RESERVE, [("one", None, 1, "first", ["a", 1], False, 0)]))
    play.step(0, (Verb.WAITING_LIST, [("one", "join", None, 1, "second", "a", 1, 0)]))
    play.step(0, (Verb.RESERVE, [("one", None, 1, "second", ["b", 1], True, 0)]))
    play.step(0, (Verb.RELEASE, [(1,)]))
    states = [entry.state for side in play.sides for entry in side.model.sales["one"].waiting.values()]
    play.close()
    return states


def test_who_waits_and_reaches_the_limit_elsewhere_is_dropped_not_offered(wire: Wire) -> None:
    assert wait_and_buy_elsewhere(wire) == ["limit-reached"] * 2


def hold_elsewhere_while_waiting(wire: Wire) -> list[str]:
    """One who waits holds all that one may hold when units come back; that hold ends: the states then."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    rules = {"waiting_most": 9, "max_held": 1, "waiting_hold_ms": 60_000}
    play = Play(wire, kernel, 0, [Sale(Config(hold_ms=4_000, rules=rules), {"a": Item(1), "b": Item(1)})] * 2)
    play.step(0, (Verb.RESERVE, [("one", None, 1, "first", ["a", 1], False, 0)]))
    play.step(
        0, (Verb.WAITING_LIST, [("one", "join", None, 1, who, "a", 1, 0) for who in ("second", "third")])
    )
    play.step(0, (Verb.RESERVE, [("one", None, 1, "second", ["b", 1], False, 0)]))
    play.step(0, (Verb.RELEASE, [(3,)]))  # third has it: second may hold no more
    states = [entry.state for entry in play.sides[0].model.sales["one"].waiting.values()]
    play.step(0, (Verb.RELEASE, [(0,)]))  # second holds nothing now
    play.step(0, (Verb.RESTOCK, [("one", "a", 1, "found", "restock:1", 1, 25)]))
    states += [entry.state for entry in play.sides[0].model.sales["one"].waiting.values()]
    play.close()
    return states


def test_who_waits_and_holds_all_they_may_keeps_the_place_and_is_next_when_that_ends(wire: Wire) -> None:
    assert hold_elsewhere_while_waiting(wire) == ["waiting", "offered", "offered", "offered"]


def wait_unadmitted(wire: Wire) -> list[str]:
    """One whom the room did not admit waits for three; three come back, one by one: the state then."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    rules: dict[str, Any] = {"waiting_most": 9, "room": {}}
    play = Play(wire, kernel, 0, [Sale(Config(rules=rules), {"a": Item(3)})] * 2)
    for who in ("ann", "bob", "eve"):
        play.step(0, (Verb.RESERVE, [("one", None, 1, who, ["a", 1], False, 10 * START_MS)]))
    play.step(0, (Verb.WAITING_LIST, [("one", "join", None, 1, "outsider", "a", 3, 0)]))
    for back in (0, 1, 2):
        play.step(0, (Verb.RELEASE, [(back,)]))
        play.step(0, (Verb.EXPIRE, [("one",)]))
    states = [entry.state for side in play.sides for entry in side.model.sales["one"].waiting.values()]
    play.close()
    return states


def test_units_that_are_free_for_the_admitted_are_not_saved_up_for_an_outsider(wire: Wire) -> None:
    assert wait_unadmitted(wire) == ["waiting"] * 2


def change_by_one_key(wire: Wire) -> str:
    """A sale is paused, then opened by the pause's key: its status then."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    play = Play(wire, kernel, 0, [Sale(Config(), {"a": Item(1)})] * 2)
    for verb in ("pause", "pause", "open"):
        play.step(0, (Verb.CHANGE_SALE, [("one", verb, {}, "sale-change:1")]))
    status = play.sides[0].model.sales["one"].config.status
    play.close()
    return status


def test_the_key_of_one_change_of_a_sale_makes_no_other(wire: Wire) -> None:
    assert change_by_one_key(wire) == "paused"


def one_sale(wire: Wire, config: Config, **stock: int) -> Play:
    """A play of two sales with this stock."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    return Play(wire, kernel, 0, [Sale(config, {sku: Item(units) for sku, units in stock.items()})] * 2)


def hold_before_a_budget(wire: Wire) -> int:
    """One who holds two units asks for a third, after the sale got a budget of two: the units held then."""
    play = one_sale(wire, Config(), a=5)
    play.step(0, (Verb.RESERVE, [("one", None, 1, "x", ["a", 2], False, 0)]))
    play.step(0, (Verb.CHANGE_SALE, [("one", "patch", {"rules": {"max_held": 2}}, "")]))
    play.step(0, (Verb.RESERVE, [("one", None, 1, "x", ["a", 1], False, 0)]))
    held = play.sides[0].model.sales["one"].items["a"].held
    play.close()
    return held


def test_a_budget_that_begins_under_way_counts_the_holds_of_before(wire: Wire) -> None:
    assert hold_before_a_budget(wire) == 2


def load_a_deleted_draft(wire: Wire) -> bool:
    """A recorder that has not heard of it loads a draft that memory deleted: whether memory has it then."""
    play = one_sale(wire, Config(status="draft"), a=1)
    play.step(0, (Verb.CHANGE_SALE, [("one", "delete", {}, "")]))
    play.step(0, ("load", "one", Sale(Config(status="draft"), {"a": Item(1)})))
    there = "one" in play.sides[0].model.sales
    play.close()
    return there


def test_a_deleted_draft_is_not_loaded_again_before_the_ledger_has_deleted_it(wire: Wire) -> None:
    assert not load_a_deleted_draft(wire)


def show_a_receipt_after_the_last_unit(wire: Wire) -> int:
    """A hold ends, another buyer takes the unit, then the hold's receipt is shown: the units sold then."""
    play = one_sale(wire, Config(), a=1)
    play.step(0, (Verb.RESERVE, [("one", None, 1, "x", ["a", 1], False, 0)]))
    play.step(10_000, (Verb.RESERVE, [("one", None, 1, "y", ["a", 1], True, 0)]))
    play.step(0, (Verb.CONFIRM, [(1, ("x", "ok"), ["a", 1])]))
    sold = play.sides[0].model.sales["one"].items["a"].sold
    play.close()
    return sold


def test_a_receipt_is_not_honoured_beyond_the_stock(wire: Wire) -> None:
    assert show_a_receipt_after_the_last_unit(wire) == 1


def give_back_beyond_the_limit(wire: Wire) -> list[Any]:
    """One who has more than a limit that was lowered since changes to fewer units of other items."""
    play = one_sale(wire, Config(), a=5, b=5)
    play.step(0, (Verb.RESERVE, [("one", None, 1, "x", ["a", 3], False, 0)]))
    play.step(0, (Verb.CHANGE_SALE, [("one", "patch", {"limit": 1}, "")]))
    play.step(0, (Verb.AMEND, [(0, "as-it-is", None, 1, {"lines": ["a", 1, "b", 1]})]))
    [one] = play.sides[0].model.sales["one"].reservations.values()
    play.close()
    return one.lines


def test_a_limit_does_not_hold_back_who_gives_back(wire: Wire) -> None:
    assert give_back_beyond_the_limit(wire) == ["a", 1, "b", 1]


@pytest.mark.parametrize(
    ("old", "new", "play"),
    [
        ("record.verb ~= verb", "false", change_by_one_key),
        (
            "if record and record.status == HELD then\n        sale.history",
            "if false then\n        sale.history",
            hold_before_a_budget,
        ),
        ("== 1 then return 'deleted' end", "== 2 then return 'deleted' end", load_a_deleted_draft),
        (
            "no = no or missing or shortage(sale, customer, lines, takes, false, counts)",
            "",
            show_a_receipt_after_the_last_unit,
        ),
        ("local takes_more = units > 0", "local takes_more = true", give_back_beyond_the_limit),
        (
            "#heads_of(sale, 'r', sku) > 0 then keep_aside(sale, sku, item, nil, NOW) end",
            "false then keep_aside(sale, sku, item, nil, NOW) end",
            wait_unadmitted,
        ),
        (
            "if config.limit > 0 and used_by(sale, customer) -",
            "if false and used_by(sale, customer) -",
            wait_and_buy_elsewhere,
        ),
        (
            "if over_limit(sale, customer, quantity, true, counts) then return NOW + offer_ms(sale) end",
            "",
            hold_elsewhere_while_waiting,
        ),
        ("  if sale.touched then wake(sale, customer) end\n", "", hold_elsewhere_while_waiting),
    ],
)
def test_the_model_notices_by_a_play_of_its_own(
    old: str, new: str, play: Callable[[Wire], object], valkey: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {verb: script_source(verb) for verb in Verb}
    assert any(old in source for source in sources.values())
    monkeypatch.setattr(kernel_module, "script_source", lambda verb: sources[verb].replace(old, new))
    with pytest.raises(AssertionError):
        play(valkey)


def test_a_crowd_of_ended_holds_is_taken_back_page_by_page_and_nobody_is_told_sold_out(wire: Wire) -> None:
    wire.ask("FLUSHALL")
    crowd = 450
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    play = Play(wire, kernel, 0, [Sale(Config(), {"a": Item(crowd)})] * 2)
    everybody = [("one", None, 1, f"c{n}", ["a", 1], False) for n in range(crowd)]
    for _ in range(2):
        play.step(1_000, (Verb.RESERVE, everybody))
    late = [("one", None, 1, "late", ["a", units], True) for units in (1, 199, 1, 240, 9, 1)]
    play.step(1_000, (Verb.RESERVE, late))
    assert [side.model.sales["one"].items["a"].sold for side in play.sides] == [crowd, crowd]
    play.step(0, (Verb.EXPIRE, [("one",)]))
    play.close()


def commands(wire: Wire) -> int:
    """How many commands the server has run, those of scripts included."""
    lines = wire.ask("INFO", "commandstats").decode().splitlines()
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in lines if "calls=" in line)


def crowd_that_waits(wire: Wire, items: dict[str, Item], wanted: list[tuple[str, int]]) -> Partition:
    """A sale with these who wait: sku and quantity each."""
    wire.ask("FLUSHALL")
    kernel = Kernel(wire)  # type: ignore[arg-type]
    wire.run(kernel.load_scripts())
    side = Partition(wire, kernel, 0, batched=True)
    side.model.now_ms = START_MS
    side.load("one", Sale(Config(rules={"waiting_most": 100_000, "waiting_hold_ms": 60_000}), items))
    for at in range(0, len(wanted), 500):
        some = enumerate(wanted[at : at + 500], at)
        asked = [(0, "join", f"e{n:05}", 1, f"w{n}", sku, quantity, 0) for n, (sku, quantity) in some]
        assert not side.run(Verb.WAITING_LIST, ["one"], asked).status
    return side


STEP = 50
"""SERVE_MOST of scripts/lib/waiting.lua."""


def test_a_restock_for_many_who_wait_is_served_in_steps_and_nobody_else_has_a_unit_before(wire: Wire) -> None:
    many = 1_000
    side = crowd_that_waits(wire, {"a": Item(0)}, [("a", 1)] * many)
    reply = side.run(Verb.RESTOCK, ["one"], [(0, "a", many + 1, "why", "restock:1", 1, 10_000)])
    assert reply.results[0][0] == "restocked"
    stolen, calls, more = 0, 0, True
    while more:
        before = held_of(side)
        [[_, more]] = side.run(Verb.EXPIRE, ["one"], [(0,)]).results
        assert held_of(side) - before <= STEP
        calls += 1
        if more:
            [result] = side.run(Verb.RESERVE, ["one"], [(0, "r", 1, "open", ["a", 1], True, 0)]).results
            stolen += result[0] != "sold-out"
    assert (held_of(side), stolen) == (many, 0)
    assert calls <= many / STEP
    [result] = side.run(Verb.RESERVE, ["one"], [(0, "r", 1, "open", ["a", 1], True, 0)]).results
    assert result[0] == "confirmed", "the one unit that nobody waits for"


def held_of(side: Partition) -> int:
    [[*_, counters]] = [result[:7] for result in side.run(Verb.GET, ["one"], [(0, "")]).results]
    return int(counters[2])


def test_a_refund_costs_the_same_however_many_want_more_than_is_left(wire: Wire) -> None:
    costs = []
    for many in (10, 2_000):
        side = crowd_that_waits(wire, {"a": Item(5)}, [("a", 7 + n % 3) for n in range(many)])
        side.run(Verb.RESERVE, ["one"], [(0, "r", 1, "b", ["a", 5], True, 0)])
        before = commands(wire)
        order = {"fingerprint": 1, "customer": "b", "lines": ["a", 5], "revision": 0}
        [result] = side.run(Verb.CANCEL, ["one"], [(0, "r", order, True, "why")]).results
        costs.append(commands(wire) - before)
        assert result[0] == "cancelled"
    assert costs[0] == costs[1]


def test_the_beat_costs_the_same_however_many_items_somebody_waits_for(wire: Wire) -> None:
    costs = []
    for many in (1, 2_000):
        items = {f"i{n}": Item(0) for n in range(many)}
        side = crowd_that_waits(wire, items, [(sku, 1) for sku in items])
        before = commands(wire)
        assert side.run(Verb.EXPIRE, ["one"], [(0,)]).results == [[0, False]]
        costs.append(commands(wire) - before)
    assert costs[0] == costs[1]
