"""Buyers who pay in the mixed load while the API is killed, and whether the checker of payments sees."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaign.mixed_check import SaleState
from tests.campaign.mixed_payments_check import Paid, check_payments
from tests.campaign.mixed_verbs import PLAIN, Asked

ROOT = Path(__file__).parents[2]
ROUNDS = 2
ONE, TWO = (("a", 1),), (("a", 2),)


@pytest.mark.timeout(400)
def test_each_payment_is_one_order_or_one_refund_while_the_api_is_killed(tmp_path: Path) -> None:
    words = ["--seed", "payments", "--rounds", str(ROUNDS), "--fault", "kill api", "--keep", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.mixed", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " paid: " in done.stdout


def _payment(hold: str, state: str, paid: int, back: int) -> dict[str, object]:
    return {"id": "", "hold": hold, "state": state, "why": None, "paid_minor": paid, "refunded_minor": back}


class Seen:
    """Ann paid for an order, Bob too late, Cem's order was cancelled, Dee never paid, Eve's order shrank."""

    def __init__(self) -> None:
        holds = {"s.1": ONE, "s.2": ONE, "s.3": TWO, "s.4": ONE, "s.5": TWO}
        self.asked = [Asked("hold", "s", id_, "c", lines, id=id_) for id_, lines in holds.items()]
        self.final = SaleState(
            kind=PLAIN, stock=9, ledger={}, memory={}, restocks={}, refused=(), waiting={}, audit={},
            rows={
                "s.1": ("ann", "confirmed", ONE), "s.2": ("bob", "expired", ONE),
                "s.3": ("cem", "cancelled", TWO), "s.4": ("dee", "expired", ONE),
                "s.5": ("eve", "confirmed", ONE),
            },
            amends={"s.5": [(1, "eve", ONE, "k")]},
        )  # fmt: skip
        self.paid = Paid(
            payments={
                "p1": _payment("s.1", "order", 100, 0), "p2": _payment("s.2", "refused", 100, 100),
                "p3": _payment("s.3", "order", 200, 200), "p4": _payment("s.4", "ended", 0, 0),
                "p5": _payment("s.5", "order", 200, 100),
            },
            refunds={"p2-1": "done", "p3-1": "done", "p5-1": "done"},
            sessions={
                "p1": ("s.1", "paid", 100, 100), "p2": ("s.2", "paid", 100, 0), "p3": ("s.3", "paid", 200, 0),
                "p4": ("s.4", "ended", 0, 0), "p5": ("s.5", "paid", 200, 100),
            },
        )  # fmt: skip

    def promises(self) -> set[str]:
        return {each.promise for each in check_payments(self.paid, [self.final], self.asked)}

    def put(self, payment: str, state: str, paid: int, back: int) -> None:
        """Both the ledger and the provider say so."""
        hold = self.paid.payments[payment]["hold"]
        self.paid.payments[payment] = _payment(hold, state, paid, back)
        self.paid.sessions[payment] = (hold, "paid", paid, paid - back)


BREAKS: dict[str, tuple[str, Callable[[Seen], object]]] = {
    "a payment that waits": ("payment never ends", lambda seen: seen.paid.unfinished.append({"id": "p1"})),
    "an event that is never taken": ("payment never ends", lambda seen: seen.paid.never_taken.append("e")),
    "a refund that failed": ("payment never ends", lambda seen: seen.paid.refunds.update({"p2-1": "failed"})),
    "a session that is open": (
        "session left open",
        lambda seen: seen.paid.sessions.update(p4=("s.4", "open", 0, 0)),
    ),
    "a payment that is not in the ledger": ("payment lost", lambda seen: seen.paid.payments.pop("p1")),
    "money that the ledger does not know": (
        "payment lost",
        lambda seen: seen.paid.sessions.update(p4=("s.4", "paid", 100, 100)),
    ),
    "a refund that was made twice": (
        "payment lost",
        lambda seen: seen.paid.sessions.update(p2=("s.2", "paid", 100, -100)),
    ),
    "money of a hold that expired": ("paid without an order", lambda seen: seen.put("p2", "refused", 100, 0)),
    "money of an order that was cancelled": ("wrong amount", lambda seen: seen.put("p3", "order", 200, 100)),
    "money of items that were taken out": ("wrong amount", lambda seen: seen.put("p5", "order", 200, 0)),
    "an order that was given back": ("wrong amount", lambda seen: seen.put("p1", "order", 100, 100)),
    "an order that only a refused payment made": (
        "order without its money",
        lambda seen: seen.put("p1", "refused", 100, 100),
    ),
}


def test_a_good_round_breaks_nothing() -> None:
    assert Seen().promises() == set()


def test_an_amend_that_costs_more_is_not_charged() -> None:
    seen = Seen()
    seen.final.rows["s.5"] = ("eve", "confirmed", (("a", 3),))
    seen.final.amends["s.5"].append((2, "eve", (("a", 3),), "l"))
    assert seen.promises() == set()


@pytest.mark.parametrize("name", BREAKS)
def test_the_checker_sees(name: str) -> None:
    promise, spoil = BREAKS[name]
    seen = Seen()
    spoil(seen)
    assert promise in seen.promises()
