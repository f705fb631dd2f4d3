"""A few rounds of the mixed load, and whether its checker sees what it must see."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.campaign.mixed_check import SaleState, check
from tests.campaign.mixed_verbs import PLAIN, Asked

ROOT = Path(__file__).parents[2]
ROUNDS = 2
ONE_A, ONE_B = (("a", 1),), (("b", 1),)


@pytest.mark.timeout(400)
def test_no_promise_breaks_under_all_verbs_while_a_server_dies_and_a_key_is_lost(tmp_path: Path) -> None:
    words = ["--seed", "make-test", "--rounds", str(ROUNDS), "--keep", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.mixed", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{ROUNDS} mixed rounds, 0 with a broken promise" in done.stdout


class Seen:
    """A round in which one customer bought, one let go, one cancelled, one waits, and the shop restocked."""

    def __init__(self) -> None:
        self.asked = [
            Asked("buy", "s", "b", "ann", ONE_A, word="confirmed", http=201, id="s.1"),
            Asked("hold", "s", "h", "bob", ONE_A, word="held", http=201, id="s.2"),
            Asked("release", "s", "r", about="s.2", word="released", http=200),
            Asked("buy", "s", "c", "cem", ONE_B, word="confirmed", http=201, id="s.3"),
            Asked("cancel", "s", "x", about="s.3", word="cancelled", http=200),
            Asked("join", "s", "j", "dee", (("b", 2),), word="waiting", http=202, id="s.4"),
            Asked("restock", "s", "m", lines=(("a", 2),), word="done", http=200),
            Asked("again", "s", "b", "ann", ONE_A, "s.1", word="confirmed", http=201, id="s.1"),
            Asked("again", "s", "b", "ann", ONE_B, "s.1", word="idempotency-mismatch", http=409),
            Asked("hold", "s", "late", "ann", ONE_B, word="sold-out", http=409),
            Asked("amend", "s", "p", about="s.1", lines=ONE_A, word="confirmed", http=200),
            Asked("transfer", "s", "t", "bob", about="s.2", word="held", http=200),
        ]
        self.final = SaleState(
            kind=PLAIN,
            stock=1,
            rows={
                "s.1": ("ann", "confirmed", ONE_A),
                "s.2": ("bob", "released", ONE_A),
                "s.3": ("cem", "cancelled", ONE_B),
            },
            ledger={"a": (3, 0, 1), "b": (1, 0, 0)},
            memory={"a": (3, 0, 1), "b": (1, 0, 0)},
            restocks={"restock:m": ("a", 2)},
            refused=(),
            waiting={"s.4": ("b", 2)},
            audit={"ok": True},
            amends={"s.1": [(1, "ann", ONE_A, "p")], "s.2": [(1, "bob", ONE_A, "transfer")]},
        )

    def promises(self, *, memory_forgets: bool = False) -> set[str]:
        return {each.promise for each in check(self.asked, "s", self.final, memory_forgets=memory_forgets)}


def _row(seen: Seen, id_: str, customer: str, status: str, lines: Any = ONE_A) -> None:
    seen.final.rows[id_] = (customer, status, lines)


def _amend(seen: Seen, id_: str, revision: int, customer: str, key: str) -> None:
    seen.final.amends[id_].append((revision, customer, ONE_A, key))


def _counters(seen: Seen, sku: str, ledger: tuple[int, int, int]) -> None:
    seen.final.ledger[sku] = seen.final.memory[sku] = ledger


def _oversold(seen: Seen) -> None:
    for number in range(5, 8):
        seen.asked.append(
            Asked("buy", "s", f"{number}", f"c{number}", ONE_A, word="confirmed", http=201, id=f"s.{number}")
        )
        _row(seen, f"s.{number}", f"c{number}", "confirmed")
    _counters(seen, "a", (3, 0, 4))


def _beyond_the_limit(seen: Seen) -> None:
    _counters(seen, "a", (9, 0, 7))
    seen.final.restocks["restock:m"] = ("a", 8)
    _row(seen, "s.1", "ann", "confirmed", (("a", 7),))
    seen.asked[0].lines = (("a", 7),)


def _a_confirmed_order_ends_released(seen: Seen) -> None:
    _row(seen, "s.1", "ann", "released")
    _counters(seen, "a", (3, 0, 0))


def _nobody_asked(seen: Seen) -> None:
    _row(seen, "s.9", "eve", "confirmed")
    _counters(seen, "a", (3, 0, 2))


BREAKS: dict[str, tuple[str, Callable[[Seen], object]]] = {
    "more sold than there were": ("oversold", _oversold),
    "an order that is not in the ledger": ("lost order", lambda seen: seen.final.rows.pop("s.1")),
    "a hold that is not in the ledger": ("lost hold", lambda seen: seen.final.rows.pop("s.2")),
    "an order of another customer": ("doubled", lambda seen: _row(seen, "s.3", "eve", "cancelled", ONE_B)),
    "an order of another basket": ("doubled", lambda seen: _row(seen, "s.3", "cem", "cancelled")),
    "an amend that is not there": ("lost amend", lambda seen: seen.final.amends.pop("s.1")),
    "an amend that the order lacks": (
        "lost amend",
        lambda seen: _row(seen, "s.1", "ann", "confirmed", ONE_B),
    ),
    "an amend that was made twice": ("amended twice", lambda seen: _amend(seen, "s.1", 2, "ann", "p")),
    "an amend without the one before": ("lost amend", lambda seen: _amend(seen, "s.1", 3, "ann", "q")),
    "a transfer that is not there": ("lost amend", lambda seen: seen.final.amends.pop("s.2")),
    "an order that nobody asked for": ("doubled", _nobody_asked),
    "an order that ended as released": ("lost order", _a_confirmed_order_ends_released),
    "a release that ended as an order": ("lost order", lambda seen: _row(seen, "s.2", "bob", "confirmed")),
    "a cancelled order that stands": (
        "lost order",
        lambda seen: _row(seen, "s.3", "cem", "confirmed", ONE_B),
    ),
    "more bought than the limit": ("limit exceeded", _beyond_the_limit),
    "a counter without its row": ("leaked", lambda seen: _counters(seen, "a", (3, 1, 1))),
    "a memory that differs": ("leaked", lambda seen: seen.final.memory.update(a=(3, 0, 2))),
    "a restock that is not there": ("lost restock", lambda seen: seen.final.restocks.clear()),
    "a restock made twice": ("leaked", lambda seen: _counters(seen, "a", (5, 0, 1))),
    "a refusal of the ledger": (
        "refused by the ledger",
        lambda seen: setattr(seen.final, "refused", ("s.1",)),
    ),
    "a refusal that is repeated": (
        "refused again",
        lambda seen: setattr(seen.final, "refused", ("s.1",) * 2),
    ),
    "a key that leads to another basket": (
        "two outcomes",
        lambda seen: seen.asked.append(
            Asked("again", "s", "b", "ann", ONE_B, "s.1", word="confirmed", http=201, id="s.1")
        ),
    ),
    "a key that leads to another order": (
        "two outcomes",
        lambda seen: seen.asked.append(
            Asked("again", "s", "b", "ann", ONE_A, "s.1", word="confirmed", http=201, id="s.9")
        ),
    ),
    "a key that has forgotten its order": (
        "unexpected answer",
        lambda seen: seen.asked.append(
            Asked("again", "s", "b", "ann", ONE_A, "s.1", word="sold-out", http=409)
        ),
    ),
    "somebody who waits beside free units": (
        "left waiting",
        lambda seen: seen.final.waiting.update({"s.4": ("b", 1)}),
    ),
    "a 500": ("server error", lambda seen: setattr(seen.asked[-1], "http", 500)),
    "a request without an answer": (
        "never answered",
        lambda seen: setattr(seen.asked[-1], "word", "recovering"),
    ),
    "an answer that the verb does not have": (
        "unexpected answer",
        lambda seen: setattr(seen.asked[-1], "word", "unknown-item"),
    ),
    "an audit that fails": ("audit", lambda seen: seen.final.audit.update(ok=False)),
}  # fmt: skip


def test_a_good_round_breaks_nothing() -> None:
    assert Seen().promises() == Seen().promises(memory_forgets=True) == set()


@pytest.mark.parametrize("name", BREAKS)
def test_the_checker_sees(name: str) -> None:
    promise, spoil = BREAKS[name]
    seen = Seen()
    spoil(seen)
    assert promise in seen.promises()


def test_a_hold_may_be_lost_only_where_memory_forgets() -> None:
    seen = Seen()
    del seen.final.rows["s.2"], seen.final.amends["s.2"], seen.asked[-1], seen.asked[2]
    assert seen.promises() == {"lost hold"}
    assert seen.promises(memory_forgets=True) == set()
