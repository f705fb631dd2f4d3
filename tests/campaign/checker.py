"""Compares what clients were told with what the ledger has.

What is allowed, exactly:

- An answer in `RETRY` promises nothing. What was asked may have happened or not; the key tells.
- A refusal (`sold-out`, `limit-reached`) takes nothing and is not remembered: the same key may be granted
  later.
- `confirmed` holds for ever, whatever is lost. There is no fault for which an order may go.
- `released` holds for ever as well: the ledger has it before it is told.
- An amend takes effect once, or not at all: the basket of an order is that of the last one that was answered,
  less the parts that were cancelled. What `held` says of a hold's basket may be forgotten with it.
- A line that names a location is taken there, until an amend. The other lines of a basket are at one
  location, unless the sale says `split` or the basket was changed. An order's units are where its last answer
  said.
- `held` holds for ever, unless the fault made memory forget its newest entries (`memory_forgets`): a hold
  that was not recorded yet is then not an order and not a hold, and its buyer is told so. Where a replica has
  each hold before it is answered, its failover loses none.
- The ledger may refuse a grant of memory's (`ledger-refused`) only after memory forgot. A buyer is told so
  only of what it has refused.
- A hold budget and a cool-down are never exceeded, by customer or by card; after a loss of memory, by what
  was granted since the last rebuild. The top of `list_check` says what is promised of the waiting list.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from flashguard.model.locations import counter_at, item_and_location
from tests.campaign.history import HOLDING, Ask, History, Ledger, Told
from tests.campaign.holders import Found, Holders
from tests.campaign.list_check import check_list

ENDED = {
    "confirmed": "confirmed",
    "released": "released",
    "reservation-confirmed": "confirmed",
    "reservation-released": "released",
    "reservation-expired": "expired",
}
"""What an answer to a verb says about its hold."""
MAKING = ("hold", "buy", "join")
"""The verbs whose key leads to a reservation."""


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
    asks = {short_id(key): told[0].ask for key, told in keys.items() if told[0].ask.verb in MAKING}
    since_ms = ledger.rebuilt_ms if memory_forgets else 0
    found = [
        *_counters(history, ledger),
        *_limit(history, ledger, asks),
        *_asked_for(history, ledger, keys, asks, memory_forgets),
        *_orders_kept(history, ledger),
        *_locations(history, ledger, asks),
        *_one_outcome(keys, memory_forgets),
        *_holds_end_once(history, ledger, memory_forgets),
        *_restocks(history, ledger),
        *transfers(ledger),
        *Holders(history, ledger, asks).violations(since_ms=since_ms),
        *check_list(history, ledger, asks),
        *_manners(history, ledger, short_id, memory_forgets),
    ]
    return [Violation(promise, what) for promise, what in found]


def _counters(history: History, ledger: Ledger) -> Found:
    sold: dict[str, int] = defaultdict(int)
    held: dict[str, int] = defaultdict(int)
    for row in ledger.rows:
        for sku, units in (*history.takes(row.lines).items(), *row.located):
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
        t.id: t.ask.lines for t in history.told if t.word == "confirmed" and t.ask.verb == "buy"
    }.items():
        for sku, units in history.takes(lines).items() if id_ else ():
            told_sold[sku] += units
    for sku, units in told_sold.items():
        if units > ledger.items[sku].stock:
            yield "oversold", f"{sku}: buyers were told of {units} sold, there were {ledger.items[sku].stock}"
    if not ledger.audit_ok:
        yield "audit", f"the audit found differences: {ledger.audit}"


def _limit(history: History, ledger: Ledger, asks: dict[str, Ask]) -> Found:
    """Check the limits per customer, the sale's and an item's own, and the one by the request's card."""
    bought: dict[tuple[str, int], int] = defaultdict(int)
    for row in ledger.rows:
        card = asks[row.id].card if row.id in asks else ""
        for sku, units in row.lines if row.status == "confirmed" else ():
            for limit in limits_of(history, row.customer, card, sku):
                bought[limit] += units
    for (who, most), units in bought.items():
        if units > most:
            yield "limit exceeded", f"{who} bought {units} of at most {most}"


def limits_of(history: History, customer: str, card: str, sku: str) -> Iterator[tuple[str, int]]:
    """Return whom a line counts for, and the most units of each."""
    if history.limit is not None:
        yield customer, history.limit
    if sku in history.item_limits:
        yield f"{customer}, of {sku},", history.item_limits[sku]
    if card and history.card_limit is not None and sku in history.card_skus:
        yield card, history.card_limit


def _asked_for(
    history: History,
    ledger: Ledger,
    keys: dict[str, list[Told]],
    asks: dict[str, Ask],
    memory_forgets: bool,
) -> Found:
    """Check that every reservation was requested, with that key and basket, and that each key has one."""
    changes: dict[str, list[Told]] = defaultdict(list)
    for told in history.told:
        if told.ask.verb in ("amend", "part") and told.http == 200:
            changes[told.ask.about].append(told)
    for row in ledger.rows:
        ask = asks.get(row.id)
        if ask is None:
            yield "doubled", f"no request made {row.id} ({row.status})"
            continue
        changed = changes[f"{row.part or history.sale}.{row.id}"]
        lines = _amended(ask.lines, changed)
        forgotten = memory_forgets and bool(changed)
        if ask.customer != row.customer or (sorted(lines) != sorted(row.lines) and not forgotten):
            yield "doubled", f"{ask.key} asked for {ask.customer} {lines}, the ledger has {row}"
    for id_, ask in asks.items():
        ids = {told.id for told in keys[ask.key] if told.id}
        if len(ids) > 1 or not all(_is(told_id, history.sale, id_) for told_id in ids):
            yield "doubled", f"{ask.key} leads to {ids}, not to {id_} alone"


def _amended(lines: tuple[tuple[str, int], ...], changes: list[Told]) -> list[tuple[str, int]]:
    """Return what these changes, in their order, make of a basket."""
    basket = dict(lines)
    for told in changes:
        if told.ask.verb == "amend":
            basket = dict(told.ask.lines)
        else:
            for sku, units in told.ask.lines:
                basket[sku] = basket.get(sku, 0) - units
    return [(sku, units) for sku, units in basket.items() if units]


def _is(told_id: str, sale: str, short_id: str) -> bool:
    """Return whether an id is of this sale, or of a shard of it, and has this short id."""
    of, _, short = told_id.rpartition(".")
    return (of.partition("~")[0], short) == (sale, short_id)


def _orders_kept(history: History, ledger: Ledger) -> Found:
    rows = {f"{row.part or history.sale}.{row.id}": row for row in ledger.rows}
    emptied = {t.ask.about for t in history.told if (t.ask.verb, t.word) == ("part", "cancelled")}
    for told in history.told:
        if told.word != "confirmed":
            continue
        row = rows.get(told.id or told.ask.about)
        if row and row.status == "cancelled" and told.ask.about in emptied:
            continue  # its amend was forgotten with memory, so the part was all of it
        if row is None or row.status != "confirmed":
            yield "lost order", f"{told.ask.key} was told confirmed, the ledger has {row and row.status}"


def _locations(history: History, ledger: Ledger, asks: dict[str, Ask]) -> Found:
    """Check that the units of every line are at locations, and at those that the rule and the answers say."""
    if not history.located:
        return
    changed = {told.ask.about for told in history.told if told.ask.verb in ("amend", "part")}
    said = {told.id: told for told in history.told if told.word == "confirmed" and told.located}
    for row in ledger.rows:
        at: dict[str, dict[str, int]] = defaultdict(dict)
        for counter, units in row.located:
            of, location = item_and_location(counter)
            at[of][location or ""] = units
        id_ = f"{history.sale}.{row.id}"
        for sku, units in row.lines:
            if sku in history.located and sum(at[sku].values()) != units:
                yield "wrong location", f"{id_} has {units} of {sku}, its locations {at[sku]}"
        if row.status == "confirmed" and id_ in said and sorted(said[id_].located) != sorted(row.located):
            yield "wrong location", f"{id_} was told {said[id_].located}, the ledger has {row.located}"
        ask = asks.get(row.id)
        if ask is None or id_ in changed:
            continue
        named = dict(ask.places)
        if any(set(at[sku]) != {location} for sku, location in named.items()):
            yield "wrong location", f"{ask.key} asked for {named}, the ledger has {row.located}"
        if not history.split and len({each for sku in at.keys() - named.keys() for each in at[sku]}) > 1:
            yield "wrong location", f"{ask.key} was split, the ledger has {row.located}"


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
    kept = {told.id for told in _holds_kept(history, ledger)} if history.holds_kept else set()
    for told in history.told:
        if told.word in HOLDING and told.id and told.expires_in > 0:
            until[told.id] = max(until.get(told.id, 0.0), told.ended + told.expires_in)
    for told in history.told:
        if not told.ask.about or told.ask.verb in ("extend", "amend", "part", "see", "leave"):
            continue
        about, word = told.ask.about, told.word
        if word in ENDED:
            end = ENDED[word]
            if end != "confirmed" or end not in ends[about]:
                ends[about][end] = told  # the first answer about an order, the last one about anything else
        early = word == "reservation-expired" and told.ended < until.get(about, 0.0)
        unknown = word == "unknown-reservation"
        if (unknown and about in kept) or ((unknown or early) and not memory_forgets):
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


def _holds_kept(history: History, ledger: Ledger) -> Iterator[Told]:
    """Yield the answers of holds that replicas had, except for those that a memory gave that had fallen back:
    it answers until its loss is noticed (docs/explanation/guarantees.md, Limits, Detection)."""
    rebuilt = ledger.rebuilt_ms / 1000 - history.wall_offset if ledger.rebuilt_ms else 0.0
    for told in history.told:
        by_an_older_memory = 0.0 < history.struck_at <= told.started < rebuilt
        if (told.ask.verb, told.word) == ("hold", "held") and not by_an_older_memory:
            yield told


def _order_came_last(words: dict[str, Told]) -> bool:
    """Return whether no order is among these ends, or one that was requested after all other answers."""
    order = words.get("confirmed")
    return order is None or all(told is order or told.ended < order.started for told in words.values())


def _restocks(history: History, ledger: Ledger) -> Found:
    """Check that every answered restock is there once, as requested, and that they explain the stock."""
    recorded = {key: (sku, units) for key, sku, units in ledger.restocks}
    asked = {f"restock:{told.ask.key}": told for told in history.told if told.ask.verb == "restock"}
    for field, told in asked.items():
        if told.word == "restocked" and field not in recorded:
            yield "lost restock", f"{told.ask.key} was told restocked, the ledger has none"
    for field, change in recorded.items():
        if field not in asked:
            yield "doubled", f"no request made {field}"
        elif change != _restocked(asked[field].ask):
            yield "doubled", f"{field} asked for {_restocked(asked[field].ask)}, the ledger has {change}"
    for sku, item in ledger.items.items():
        its = {sku, *history.located.get(sku, ())}
        stock = history.stock[sku] + sum(units for counter, units in recorded.values() if counter in its)
        if item.stock != stock:
            yield "leaked", f"{sku}: the stock is {item.stock}, it should be {stock}"


def _restocked(ask: Ask) -> tuple[str, int]:
    """Return the counter that a restock changes, and by how many units."""
    [(sku, units)] = ask.lines
    return (counter_at(sku, dict(ask.places)[sku]) if ask.places else sku), units


def transfers(ledger: Ledger) -> Found:
    """Check that units that left a shard of a spread sale arrived at another, once and in full."""
    left = {key.split(":")[1]: (sku, -units) for key, sku, units in ledger.transfers if units < 0}
    came = {key.split(":")[1]: (sku, units) for key, sku, units in ledger.transfers if units > 0}
    for id_ in left.keys() | came.keys():
        if left.get(id_) != came.get(id_):
            yield "leaked", f"transfer {id_}: {left.get(id_)} left, {came.get(id_)} came"


def _manners(history: History, ledger: Ledger, short_id: Callable[[str], str], memory_forgets: bool) -> Found:
    if ledger.refused and not memory_forgets:
        yield "refused by the ledger", f"{ledger.refused}, and memory had lost nothing"
    for ask in history.unsettled:
        yield "never answered", f"{ask.verb} {ask.key}"
    for told in history.told:
        if told.http >= 500 and told.http != 503:
            yield "server error", f"{told.ask.key} got {told.http} {told.word}"
        if told.word == "ledger-refused" and not memory_forgets:
            yield "refused by the ledger", f"{told.ask.key}, and memory had lost nothing"
        is_new = told.word == "ledger-refused" and told.ask.verb in MAKING
        if is_new and (id_ := short_id(told.ask.key)) not in ledger.refused:
            yield "refused by the ledger", f"{told.ask.key} was told so, the ledger has not refused {id_}"
