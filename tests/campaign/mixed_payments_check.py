"""Checks the payments of a round of the mixed load: each that took money is one order, or went back."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from tests.campaign.checker import Violation
from tests.campaign.history import RETRY
from tests.campaign.mixed_check import SaleState
from tests.campaign.mixed_verbs import Asked

PRICE_MINOR: Final = 100
"""Of a unit of any item."""
Lines = tuple[tuple[str, int], ...]


class Paid(msgspec.Struct):
    """What ledger and provider have of a round's payments when nothing is pending."""

    payments: dict[str, dict[str, Any]] = {}
    """By id: hold, state, why, paid_minor, refunded_minor."""
    refunds: dict[str, str] = {}
    """The state of each in the ledger."""
    sessions: dict[str, tuple[str, str, int, int]] = {}
    """At the provider, by the payment's id: hold, status, what was paid, and what was not given back."""
    unfinished: list[dict[str, Any]] = []
    never_taken: list[str] = []
    """Events that were sent again and again."""

    @property
    def summary(self) -> str:
        """Say how many payments took money, and what they became."""
        taken = [row["state"] for row in self.payments.values() if row["paid_minor"]]
        return f"{len(taken)} paid: {taken.count('order')} orders, {taken.count('refused')} refused"


def check_payments(paid: Paid, finals: Sequence[SaleState], asked: Sequence[Asked]) -> list[Violation]:
    """Return every broken promise about payments."""
    rows = {id_: row for final in finals for id_, row in final.rows.items()}
    baskets: dict[str, list[Lines]] = {
        each.id: [each.lines] for each in asked if each.verb == "hold" and each.id
    }
    for final in finals:
        for id_, made in final.amends.items():
            baskets.setdefault(id_, []).extend(lines for _, _, lines, _ in made)
    found = [*_ended(paid), *_agreed(paid), *_money(paid, rows, baskets), *_paid_for(paid, rows, asked)]
    return [Violation(promise, what) for promise, what in found]


Found = Iterator[tuple[str, str]]


def _ended(paid: Paid) -> Found:
    for row in paid.unfinished:
        yield "payment never ends", f"{row}"
    for event in paid.never_taken:
        yield "payment never ends", f"the event {event} is never taken"
    for id_, (hold, status, _, _) in paid.sessions.items():
        if status not in ("ended", "paid"):
            yield "session left open", f"{id_} of {hold} is {status}"
    for id_, state in paid.refunds.items():
        if state != "done":
            yield "payment never ends", f"the refund {id_} is {state}"


def _agreed(paid: Paid) -> Found:
    """Check that the ledger says what the provider says."""
    for id_, (hold, _, taken, kept) in paid.sessions.items():
        row = paid.payments.get(id_)
        if row is None:
            yield "payment lost", f"{id_} of {hold} is not in the ledger"
        elif (row["paid_minor"], row["refunded_minor"]) != (taken, taken - kept):
            yield "payment lost", f"{id_}: {taken} paid and {taken - kept} back, the ledger says {row}"


def _money(paid: Paid, rows: dict[str, Any], baskets: dict[str, list[Lines]]) -> Found:
    """Check that the shop keeps an order's price of its payment, and nothing of any other.

    An amend that costs more is not charged: then it keeps the price of a basket before.
    """
    for id_, row in paid.payments.items():
        kept, hold = row["paid_minor"] - row["refunded_minor"], row["hold"]
        if row["state"] != "order":
            if kept:
                yield "paid without an order", f"{id_} keeps {kept}: {row}"
            continue
        _, status, lines = rows.get(hold, ("", "unknown", ()))
        price = _price(lines) if status == "confirmed" else 0
        least = min([price, *(_price(each) for each in baskets[hold])]) if price else 0
        if status not in ("confirmed", "cancelled") or not least <= kept <= price:
            yield "wrong amount", f"{id_} keeps {kept} of an order of {price}, {status}: {row}"


def _paid_for(paid: Paid, rows: dict[str, Any], asked: Sequence[Asked]) -> Found:
    """Check that a paid hold became an order only by its payment, unless a client confirmed it."""
    by_hand = {each.about for each in asked if each.verb == "confirm" and each.word in {"confirmed", *RETRY}}
    orders = {row["hold"] for row in paid.payments.values() if row["state"] == "order"}
    for row in paid.payments.values():
        hold = row["hold"]
        if hold in rows and rows[hold][1] == "confirmed" and hold not in orders | by_hand:
            yield "order without its money", f"{hold}: {row}"


def _price(lines: Lines) -> int:
    return PRICE_MINOR * sum(units for _, units in lines)
