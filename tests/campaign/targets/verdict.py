"""Holds what a shop has in the end against what its buyers were told."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from msgspec import Struct

from flashguard.simulator.tally import percentile
from tests.campaign.checker import check
from tests.campaign.history import Ask, Counters, History, Ledger, Row, Told
from tests.campaign.linearize import Verdict
from tests.campaign.operations import decide
from tests.campaign.targets.rush import Attempt, Outcome, Plan, Visit
from tests.campaign.targets.target import About, Order, Word, buyer_name, buyers_of

SKU = "unit"
SALE = "rush"
MOST_SENTENCES = 8


class Figures(Struct, frozen=True, kw_only=True):
    """One round. Units and orders are those that the shop has in the end."""

    buyers: int
    units: int
    sold: int
    """Units of orders."""
    left: int
    """Units that the shop would still sell."""
    oversold: int
    """Units of orders beyond the stock."""
    undersold: int
    """Units in no order, while the last buyer who asked for one was told that there are none."""
    doubled: int
    """Orders beyond the first of a buyer; each wanted one."""
    orphaned: int
    """Orders of a buyer whose last answer was that there are none."""
    lost: int
    """Buyers who were told of an order that the shop does not have."""
    errors: int
    """Buyers without an answer that decides, after all their attempts."""
    retries: int
    p50_ms: float
    p99_ms: float
    """Of buyers, from the first press to the answer that decided."""
    seconds: float
    linearizable: str
    checker: tuple[str, ...] = ()
    """What the fault campaign's checker says of the round."""
    whys: tuple[tuple[str, int], ...] = ()
    """What came in place of an answer that decides, and how often."""

    @property
    def is_right(self) -> bool:
        return not (self.oversold or self.undersold or self.doubled or self.orphaned or self.lost)

    @property
    def kept_every_promise(self) -> bool:
        """Whether all buyers were answered, and rightly: by figures, checker and an order of the calls."""
        is_linearizable = self.linearizable == str(Verdict.LINEARIZABLE)
        return self.is_right and is_linearizable and not self.errors and not self.checker


def judge(plan: Plan, about: About, visits: Sequence[Visit], orders: Sequence[Order], left: int) -> Figures:
    """Return the figures of a round."""
    sold = sum(order.units for order in orders)
    ids = {order.id for order in orders}
    refused = bool(visits) and visits[-1].outcome is Outcome.SOLD_OUT
    settled = sorted(
        visit.seconds * 1000 for visit in visits if visit.outcome in (Outcome.BOUGHT, Outcome.SOLD_OUT)
    )
    last = {buyer_name(visit.buyer): visit.outcome for visit in visits}
    history, ledger, named = _history(plan, about, visits, orders, left)
    undecided = [visit for visit in visits if visit.outcome is Outcome.ERROR and about.has_holds]
    verdict = Verdict.UNDECIDED
    if not undecided:
        verdict = _worst([each.verdict for each in decide(history, ledger, named.__getitem__)])
    found = check(history, ledger, named.__getitem__, memory_forgets=False)
    attempts = [attempt for visit in visits for attempt in visit.attempts]
    whys = Counter(attempt.answer.why for attempt in attempts if attempt.answer.why)
    return Figures(
        buyers=plan.buyers, units=plan.units, sold=sold, left=left,
        oversold=max(0, sold - plan.units),
        undersold=max(0, plan.units - sold) if refused else 0,
        doubled=sum(len(their) - 1 for _, their in buyers_of(orders)),
        orphaned=sum(last[order.buyer] is Outcome.SOLD_OUT for order in orders),
        lost=sum(visit.outcome is Outcome.BOUGHT and visit.order not in ids for visit in visits),
        errors=sum(visit.outcome is Outcome.ERROR for visit in visits),
        retries=sum(attempt.answer.word is Word.UNKNOWN for attempt in attempts),
        p50_ms=percentile(settled, 0.50), p99_ms=percentile(settled, 0.99),
        seconds=round(
            max((a.answer.ended for a in attempts), default=0.0)
            - min((a.answer.started for a in attempts), default=0.0), 3,
        ),
        linearizable=str(verdict),
        checker=tuple(f"{promise}: {what}" for promise, what in found[:MOST_SENTENCES]),
        whys=tuple(whys.most_common(MOST_SENTENCES)),
    )  # fmt: skip


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    for verdict in (Verdict.NOT, Verdict.UNDECIDED):
        if verdict in verdicts:
            return verdict
    return Verdict.LINEARIZABLE


VERBS = {"confirm": "confirm", "release": "release"}
WORDS = {"buy": "confirmed", "hold": "held", "confirm": "confirmed", "release": "released"}


def _history(
    plan: Plan, about: About, visits: Sequence[Visit], orders: Sequence[Order], left: int
) -> tuple[History, Ledger, dict[str, str]]:
    """Return the round as the campaign's checker reads it, and the reservation's id of each key.

    A shop without keys makes a purchase of each attempt, so each counts as a request with a key of its own.
    Orders that no answer named belong to attempts of their buyer that got none.
    """
    first = "hold" if about.has_holds else "buy"
    hold_of = {
        attempt.answer.id: attempt.about
        for visit in visits
        for attempt in visit.attempts
        if attempt.verb == "confirm" and attempt.answer.id
    }

    def short(id_: str) -> str:
        return hold_of.get(id_, id_).replace(".", "/")

    told: list[Told] = []
    named: dict[str, str] = {}
    silent: dict[str, list[str]] = defaultdict(list)
    for visit in visits:
        customer = buyer_name(visit.buyer)
        for number, attempt in enumerate(visit.attempts):
            verb = VERBS.get(attempt.verb, first)
            key = attempt.key if about.has_keys else f"{attempt.key}/{number}"
            makes = verb == first
            ask = Ask(
                key,
                verb,
                customer,
                ((SKU, 1),) if makes else (),
                f"{SALE}.{short(attempt.about)}" if not makes else "",
            )
            told.append(_told(ask, attempt, short(attempt.answer.id)))
            if makes and attempt.answer.id:
                named[key] = short(attempt.answer.id)
            elif makes and key not in silent[customer]:
                silent[customer].append(key)
    taken = set(named.values())
    for customer, their in buyers_of(orders):
        more = iter([short(order.id) for order in their if short(order.id) not in taken])
        for key in silent[customer]:
            if key not in named and (id_ := next(more, None)):
                named[key] = id_
    for one in told:
        named.setdefault(one.ask.key, f"no order of {one.ask.key}")
    rows = [Row(short(order.id), order.buyer, "confirmed", ((SKU, order.units),)) for order in orders]
    rows += [
        Row(short(visit.attempts[-1].about), buyer_name(visit.buyer), "released", ((SKU, 1),))
        for visit in visits
        if visit.outcome is Outcome.RELEASED
    ]
    items = {SKU: Counters(plan.units, 0, plan.units - left)}
    return History(SALE, None, {SKU: plan.units}, told), Ledger(tuple(rows), items, items, ()), named


def _told(ask: Ask, attempt: Attempt, id_: str) -> Told:
    answer = attempt.answer
    word = {Word.GRANTED: WORDS[ask.verb], Word.REFUSED: "sold-out", Word.UNKNOWN: "no-answer"}[answer.word]
    http = {Word.GRANTED: 200, Word.REFUSED: 409, Word.UNKNOWN: answer.http}[answer.word]
    return Told(ask, answer.started, answer.ended, word, http, f"{SALE}.{id_}" if id_ else "")
