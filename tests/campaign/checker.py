"""Compares what clients were told with what the ledger has.

What is allowed, exactly:

- An answer in `RETRY` promises nothing. What was asked may have happened or not; the key tells.
- A refusal (`sold-out`, `limit-reached`) takes nothing and is not remembered: the same key may be granted
  later.
- `confirmed` holds for ever, whatever is lost. There is no fault for which an order may go.
- `released` holds for ever as well: the ledger has it before it is told.
- `held` holds for ever, unless the fault made memory forget its newest entries (`memory_forgets`): a hold
  that was not recorded yet is then not an order and not a hold, and its buyer is told so.
- The ledger may refuse a grant of memory's (`ledger-refused`) only after memory forgot.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.campaign.history import History, Ledger, Told

ENDED = {
    "confirmed": "confirmed",
    "released": "released",
    "reservation-confirmed": "confirmed",
    "reservation-released": "released",
    "reservation-expired": "expired",
}
"""What an answer to a verb says about its hold."""


class Violation(NamedTuple):
    """A broken promise, and what broke it."""

    promise: str
    what: str


def check(
    history: History, ledger: Ledger, short_id: Callable[[str], str], *, memory_forgets: bool
) -> list[Violation]:
    """Return every broken promise of one round.

    Parameters:
        short_id: returns the reservation id that belongs to a key of this sale, without the sale.
        memory_forgets: whether the round's fault may lose memory's newest entries.
    """
    keys: dict[str, list[Told]] = defaultdict(list)
    for told in history.told:
        keys[told.ask.key].append(told)
    found = [
        *_counters(history, ledger),
        *_limit(history, ledger),
        *_asked_for(history, ledger, keys, short_id),
        *_orders_kept(history, ledger),
        *_one_outcome(keys, memory_forgets),
        *_holds_end_once(history, ledger, memory_forgets),
        *_restocks(history, ledger),
        *_transfers(history, ledger),
        *_manners(history, ledger, memory_forgets),
    ]
    return [Violation(promise, what) for promise, what in found]


Found = Iterator[tuple[str, str]]


def _counters(history: History, ledger: Ledger) -> Found:
    sold: dict[str, int] = defaultdict(int)
    held: dict[str, int] = defaultdict(int)
    for row in ledger.rows:
        for sku, units in row.lines:
            if row.status == "confirmed":
                sold[sku] += units
            elif row.status == "held":
                held[sku] += units
    for sku, item in ledger.items.items():
        if max(sold[sku], item.sold) > item.stock:
            yield "oversold", f"{sku}: {sold[sku]} sold of {item.stock}"
        if sold[sku] != item.sold:
            yield "doubled", f"{sku}: orders add up to {sold[sku]}, the counter says {item.sold}"
        if item.held or held[sku]:
            yield (
                "leaked",
                f"{sku}: {item.held} units are still held ({held[sku]} by rows) after every hold ended",
            )
        if ledger.memory.get(sku) != item:
            yield "leaked", f"{sku}: memory has {ledger.memory.get(sku)}, the ledger {item}"
    told_sold: dict[str, int] = defaultdict(int)
    for id_, lines in {
        t.id: t.ask.lines for t in history.told if t.word == "confirmed" and t.ask.lines
    }.items():
        for sku, units in lines if id_ else ():
            told_sold[sku] += units
    for sku, units in told_sold.items():
        if units > ledger.items[sku].stock:
            yield "oversold", f"{sku}: buyers were told of {units} sold, there were {ledger.items[sku].stock}"
    if not ledger.audit_ok:
        yield "audit", f"the audit found differences: {ledger.audit}"


def _limit(history: History, ledger: Ledger) -> Found:
    if history.limit is None:
        return
    bought: dict[str, int] = defaultdict(int)
    for row in ledger.rows:
        if row.status == "confirmed":
            bought[row.customer] += sum(units for _, units in row.lines)
    for customer, units in bought.items():
        if units > history.limit:
            yield "limit exceeded", f"{customer} bought {units} of at most {history.limit}"


def _asked_for(
    history: History, ledger: Ledger, keys: dict[str, list[Told]], short_id: Callable[[str], str]
) -> Found:
    """Check that every reservation was requested, with that key and basket, and that each key has one."""
    asks = {short_id(key): told[0].ask for key, told in keys.items() if told[0].ask.verb in ("hold", "buy")}
    for row in ledger.rows:
        ask = asks.get(row.id)
        if ask is None:
            yield "doubled", f"nobody asked for {row.id} ({row.status})"
        elif (ask.customer, sorted(ask.lines)) != (row.customer, sorted(row.lines)):
            yield "doubled", f"{ask.key} asked for {ask.customer} {ask.lines}, the ledger has {row}"
    for id_, ask in asks.items():
        ids = {told.id for told in keys[ask.key] if told.id}
        if len(ids) > 1 or not all(_is(told_id, history.sale, id_) for told_id in ids):
            yield "doubled", f"{ask.key} leads to {ids}, not to {id_} alone"


def _is(told_id: str, sale: str, short_id: str) -> bool:
    """Return whether an id is of this sale, or of a shard of it, and has this short id."""
    of, _, short = told_id.rpartition(".")
    return (of.partition("~")[0], short) == (sale, short_id)


def _orders_kept(history: History, ledger: Ledger) -> Found:
    rows = {f"{row.part or history.sale}.{row.id}": row for row in ledger.rows}
    for told in history.told:
        if told.word != "confirmed":
            continue
        row = rows.get(told.id or told.ask.about)
        if row is None or row.status != "confirmed":
            yield "lost order", f"{told.ask.key} was told confirmed, the ledger has {row and row.status}"


def _one_outcome(keys: dict[str, list[Told]], memory_forgets: bool) -> Found:
    """Check that after a grant the same key never returns another outcome."""
    for key, attempts in keys.items():
        if attempts[0].ask.verb not in ("hold", "buy"):
            continue
        word = "confirmed" if attempts[0].ask.verb == "buy" else "held"
        granted = min((told.ended for told in attempts if told.word == word), default=None)
        if granted is None or (memory_forgets and word == "held"):
            continue
        for told in attempts:
            if told.started > granted and told.settles and told.word != word:
                yield "two outcomes", f"{key} was told {word}, later {told.word}"


def _holds_end_once(history: History, ledger: Ledger, memory_forgets: bool) -> Found:
    rows = {f"{row.part or history.sale}.{row.id}": row for row in ledger.rows}
    ends: dict[str, dict[str, Told]] = defaultdict(dict)
    until: dict[str, float] = {}
    for told in history.told:
        if told.word == "held" and told.id:
            until[told.id] = max(until.get(told.id, 0.0), told.ended + told.expires_in)
    for told in history.told:
        if not told.ask.about or told.ask.verb == "extend":
            continue
        about, word = told.ask.about, told.word
        if word in ENDED:
            end = ENDED[word]
            if end != "confirmed" or end not in ends[about]:
                ends[about][end] = told  # the first answer about an order, the last one about anything else
        early = told.ended < until.get(about, 0.0)
        if not memory_forgets and (
            word == "unknown-reservation" or (word == "reservation-expired" and early)
        ):
            yield "lost hold", f"{told.ask.key} was told {word} of a live hold"
    released = {told.ask.about for told in history.told if told.word == "released"}
    for about, words in ends.items():
        row = rows.get(about)
        if len(words) > 1 and not (memory_forgets and _order_came_last(words)):
            yield "two outcomes", f"{about} was told {sorted(words)}"
        if row is not None and row.status == "confirmed" and "confirmed" not in words and not memory_forgets:
            yield "two outcomes", f"{about} was told {sorted(words)}, the ledger has an order"
        if about in released and (row is None or row.status != "released"):
            yield "two outcomes", f"{about} was told released, the ledger has {row and row.status}"


def _order_came_last(words: dict[str, Told]) -> bool:
    """Return whether no order is among these ends, or one that was requested after all other answers."""
    order = words.get("confirmed")
    return order is None or all(told is order or told.ended < order.started for told in words.values())


def _restocks(history: History, ledger: Ledger) -> Found:
    """Check that every answered restock is there once, and that they explain the stock."""
    recorded = {key: (sku, units) for key, sku, units in ledger.restocks}
    asked = {f"restock:{told.ask.key}": told for told in history.told if told.ask.verb == "restock"}
    for field, told in asked.items():
        if told.word == "restocked" and field not in recorded:
            yield "lost restock", f"{told.ask.key} was told restocked, the ledger has none"
    for field in recorded.keys() - asked.keys():
        yield "doubled", f"nobody asked for {field}"
    for sku, item in ledger.items.items():
        stock = history.stock[sku] + sum(units for its_sku, units in recorded.values() if its_sku == sku)
        if item.stock != stock:
            yield "leaked", f"{sku}: the stock is {item.stock}, it should be {stock}"


def _transfers(_: History, ledger: Ledger) -> Found:
    """Check that units that left a shard of a spread sale arrived at another, once and in full."""
    left = {key.split(":")[1]: (sku, -units) for key, sku, units in ledger.transfers if units < 0}
    came = {key.split(":")[1]: (sku, units) for key, sku, units in ledger.transfers if units > 0}
    for id_ in left.keys() | came.keys():
        if left.get(id_) != came.get(id_):
            yield "leaked", f"transfer {id_}: {left.get(id_)} left, {came.get(id_)} came"


def _manners(history: History, ledger: Ledger, memory_forgets: bool) -> Found:
    if ledger.refused and not memory_forgets:
        yield "refused by the ledger", f"{ledger.refused}, and memory had lost nothing"
    for ask in history.unsettled:
        yield "never answered", f"{ask.verb} {ask.key}"
    for told in history.told:
        if told.http >= 500 and told.http != 503:
            yield "server error", f"{told.ask.key} got {told.http} {told.word}"
        if told.word == "ledger-refused" and not memory_forgets:
            yield "refused by the ledger", f"{told.ask.key}, and memory had lost nothing"
