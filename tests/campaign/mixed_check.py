"""Checks what must hold after a round of the mixed load, with a model that only adds up the answers.

The rules are those of `checker`: orders and releases are permanent; a hold is kept unless memory forgot it; a
refusal takes nothing. Added here: amends, each made once, cancelled orders, waiting lists, stock that the
shop removes, late confirms with a receipt, that the key of an order leads to no other basket, and that no
refusal of the ledger is repeated. Besides, memory promises no unit twice (`stock_watch`), the room keeps its
pace and lets no ticket in twice (`room_watch`), an admission stays, and no unit idles beside an entry of the
waiting list for longer than `bound_seconds`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from tests.campaign.checker import Violation
from tests.campaign.history import RETRY
from tests.campaign.list_check import BEATS_SECONDS, SHARDS_SECONDS
from tests.campaign.mixed_verbs import EXPECTED, RULES, TAKING, Asked
from tests.campaign.stock_watch import Grant

HOLD_SECONDS_MOST = 2
"""The longest hold that a patch of the load makes."""
KEPT = {"confirmed": {"confirmed", "cancelled"}, "released": {"released"}, "cancelled": {"cancelled"}}
"""The final statuses that a reservation may have after its client was told this one."""


class SaleState(Struct):
    """The state of one sale in ledger and memory when nothing is pending."""

    kind: str
    stock: int
    """Stock of each item at the start."""
    rows: dict[str, tuple[str, str, tuple[tuple[str, int], ...]]]
    """Each reservation's customer, status and lines, by its whole id."""
    ledger: dict[str, tuple[int, int, int]]
    """Each item's stock, held, sold, by SKU."""
    memory: dict[str, tuple[int, int, int]]
    restocks: dict[str, tuple[str, int]]
    refused: tuple[str, ...]
    waiting: dict[str, tuple[str, int]]
    """The entries that still wait and that the room admitted, if the sale has one: SKU and quantity, by id.
    The others wait for units that come back while none is free."""
    audit: Any
    created_ms: dict[str, int] = {}
    """When each reservation began, by its whole id."""
    amends: dict[str, list[tuple[int, str, tuple[tuple[str, int], ...], str]]] = {}
    """By the reservation's whole id, in order: revision, customer, lines, and the key of the request."""


def check(asked: Sequence[Asked], sale: str, final: SaleState, *, memory_forgets: bool) -> list[Violation]:
    """Return every broken promise of one sale in one round.

    Parameters:
        memory_forgets: whether the round's fault may lose memory's newest entries.
    """
    mine = [each for each in asked if each.sale == sale]
    found = [
        *_answers(mine, memory_forgets),
        *_kept(mine, final, memory_forgets),
        *_one_outcome(mine),
        *_amends(mine, final, memory_forgets),
        *_counters(final),
        *_limit(final),
        *_restocks(mine, final),
        *_nobody_waits_for_free_units(final),
    ]
    if final.refused and not memory_forgets:
        found.append(("refused by the ledger", f"{final.refused}, and memory had lost nothing"))
    repeated = [id_ for id_, times in Counter(final.refused).items() if times > 1]
    if repeated:
        found.append(("refused again", f"{repeated}"))
    if not final.audit["ok"]:
        found.append(("audit", f"the audit found differences: {final.audit}"))
    return [Violation(promise, f"{final.kind}: {what}") for promise, what in found]


Found = Iterator[tuple[str, str]]


def grants_of(asked: Sequence[Asked], final: SaleState) -> Iterator[Grant]:
    """Yield the holds and orders of the open sale, with the items that were asked for."""
    for each in asked:
        if each.verb in ("hold", "buy") and each.id in final.created_ms:
            yield Grant(each.id, frozenset(sku for sku, _ in each.lines), final.created_ms[each.id])


def _answers(asked: Sequence[Asked], memory_forgets: bool) -> Found:
    for each in asked:
        lost = {"unknown-reservation", "unknown-entry", "ledger-refused"}
        if (
            each.verb == "again"
        ):  # a memory that has lost the key, and not noticed it yet, refuses what it can't give
            lost |= TAKING
        if each.http >= 500 and each.http != 503:
            yield "server error", f"{each}"
        elif each.word in RETRY:
            yield "never answered", f"{each}"
        elif each.word not in EXPECTED[each.verb] and not (memory_forgets and each.word in lost):
            yield "unexpected answer", f"{each}"


def _kept(asked: Sequence[Asked], final: SaleState, memory_forgets: bool) -> Found:
    """Check that each grant is there, with its customer and basket, and ended as its client was told."""
    for each in asked:
        if each.verb in ("hold", "buy") and each.id:
            row = final.rows.get(each.id)
            if row is None:
                if each.verb == "buy" or not memory_forgets:
                    yield "lost order" if each.verb == "buy" else "lost hold", f"{each}"
            elif each.id not in final.amends and (row[0], sorted(row[2])) != (
                each.customer,
                sorted(each.lines),
            ):
                yield "doubled", f"{each} is {row} in the ledger"
        told = each.about or each.id
        if each.verb in ("buy", "confirm", "release", "cancel", "amend", "part") and each.word in KEPT:
            row = final.rows.get(told)
            if row is None or row[1] not in KEPT[each.word]:
                yield "lost order", f"{each}, the ledger has {row}"
    granted = {each.id for each in asked if each.id}
    unsure = any(each.word in RETRY for each in asked)
    for id_ in final.rows.keys() - granted:
        if not unsure and not memory_forgets:
            yield "doubled", f"no request made {id_}: {final.rows[id_]}"


def _one_outcome(asked: Sequence[Asked]) -> Found:
    """Check that the key of an order returns that order, and never another basket."""
    bought = {each.key: each for each in asked if each.verb == "buy" and each.word == "confirmed"}
    for each in asked:
        first = bought.get(each.key)
        is_other = first is None or (each.id, each.lines) != (first.id, first.lines)
        if each.verb == "again" and each.http < 300 and is_other:
            yield "two outcomes", f"{first}, then {each}"


def _amends(asked: Sequence[Asked], final: SaleState, memory_forgets: bool) -> Found:
    """Check that each amend was made once, and that a reservation is what its newest one made of it."""
    made = Counter(key for rows in final.amends.values() for _, _, _, key in rows)
    for key, times in made.items():
        if times > 1 and key != "transfer":
            yield "amended twice", f"{key}, {times} times"
    for id_, rows in final.amends.items():
        *_, (newest, customer, lines, _) = rows
        if newest != len({revision for revision, *_ in rows} - {0}):
            yield "lost amend", f"{id_} has {rows}"
        if id_ in final.rows and (final.rows[id_][0], final.rows[id_][2]) != (customer, lines):
            yield "lost amend", f"{id_} is {final.rows[id_]} in the ledger, and was made {rows[-1]}"
    for each in asked:
        answered = each.http == 200 and each.verb in ("amend", "part", "transfer")
        if not answered or (each.word == "held" and memory_forgets):
            continue
        given = [who for _, who, _, key in final.amends.get(each.about, ()) if key == "transfer"]
        done = each.customer in given if each.verb == "transfer" else made[each.key] == 1
        if not done:
            yield "lost amend", f"{each}"


def _counters(final: SaleState) -> Found:
    sums: dict[str, Counter[str]] = {"held": Counter(), "confirmed": Counter()}
    for _, status, lines in final.rows.values():
        if status in sums:
            sums[status].update(dict(lines))
    for sku, (stock, held, sold) in final.ledger.items():
        if sold > stock:
            yield "oversold", f"{sku}: {sold} of {stock}"
        if (held, sold) != (0, sums["confirmed"][sku]) or sums["held"][sku]:
            yield (
                "leaked",
                f"{sku}: held {held}, sold {sold}; the rows say {sums['held'][sku]} held, "
                f"{sums['confirmed'][sku]} sold",
            )
        if final.memory.get(sku) != (stock, held, sold):
            yield "leaked", f"{sku}: memory has {final.memory.get(sku)}, the ledger {(stock, held, sold)}"


def _limit(final: SaleState) -> Found:
    bought: dict[str, int] = defaultdict(int)
    for customer, status, lines in final.rows.values():
        if status == "confirmed":
            bought[customer] += sum(units for _, units in lines)
    limit = RULES[final.kind]["limit_per_customer"]
    for customer, units in bought.items():
        if units > limit:
            yield "limit exceeded", f"{customer} bought {units} of at most {limit}"


def _restocks(asked: Sequence[Asked], final: SaleState) -> Found:
    for each in asked:
        if each.verb == "restock" and each.word == "done" and f"restock:{each.key}" not in final.restocks:
            yield "lost restock", f"{each}"
    for sku, (stock, _, _) in final.ledger.items():
        should = final.stock + sum(delta for its_sku, delta in final.restocks.values() if its_sku == sku)
        if stock != should:
            yield "leaked", f"{sku}: the stock is {stock}, it should be {should}"


def bound_seconds(kind: str, spread: int) -> float:
    """Return how long a unit may idle beside an entry once all servers are back: what the list promises, the
    time in which the entry's customer cools down or holds what the limit allows, and that of one offer."""
    rules = RULES[kind]
    holds_seconds: float = HOLD_SECONDS_MOST + rules.get("cool_down_seconds", 0)
    offer_seconds = rules.get("waiting_list_hold_seconds", HOLD_SECONDS_MOST)
    return (SHARDS_SECONDS if spread > 1 else 0.0) + BEATS_SECONDS + holds_seconds + float(offer_seconds)


def waiting_for_free(final: SaleState) -> dict[str, str]:
    """Return the entries that wait beside units that they fit, with a sentence about each."""
    found = {}
    for id_, (sku, quantity) in final.waiting.items():
        stock, held, sold = final.memory.get(sku, (0, 0, 0))
        if stock - held - sold >= quantity:
            free = stock - held - sold
            found[id_] = f"{final.kind}: {id_} waits for {quantity} of {sku}, and {free} are free"
    return found


def _nobody_waits_for_free_units(final: SaleState) -> Found:
    for id_, (sku, quantity) in final.waiting.items():
        stock, held, sold = final.ledger[sku]
        if stock - held - sold >= quantity:
            yield "left waiting", f"{id_} waits for {quantity} of {sku}, and {stock - held - sold} are free"
