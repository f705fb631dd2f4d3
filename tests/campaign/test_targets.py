"""The harness for any shop: what it measures of shops that are right and of one that is not."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaign.__main__ import main, measure
from tests.campaign.targets.catalogue import LAUNCHED, target_named
from tests.campaign.targets.rush import Attempt, Outcome, Plan, Visit
from tests.campaign.targets.table import Measured, table
from tests.campaign.targets.target import About, Answer, Order, Word, buyer_name
from tests.campaign.targets.verdict import Figures, judge
from tests.support.ledgers import put_ledger
from tests.support.up import folder

__all__ = ["folder"]

PLAN = Plan(buyers=40, units=20, lost=0.5, releases=0.2, seed="make-test")


async def rounds_of(name: str, folder: Path, data: str) -> Figures:
    (folder / data).parent.mkdir(mode=0o755, exist_ok=True)
    put_ledger(folder / data)
    [measured] = await measure(name, target_named(name), [PLAN], 1, folder)
    assert f"| {PLAN.buyers} | {PLAN.units} |" in table([measured])[-1]
    return measured.rounds[0]


async def test_flashguard_sells_each_unit_once_and_answers_a_repeated_key_as_before(folder: Path) -> None:
    found = await rounds_of("flashguard", folder, "flashguard/data")
    assert (found.sold, found.left, found.errors) == (PLAN.units, 0, 0), found
    assert found.is_right
    assert found.retries > 0
    assert found.linearizable == "linearizable"
    assert found.checker == ()


async def test_a_shop_without_a_lock_oversells_and_the_harness_sees_it(folder: Path) -> None:
    found = await rounds_of("naive", folder, "rival")
    assert found.oversold > 0
    assert found.oversold == found.sold - PLAN.units
    assert found.linearizable == "not linearizable"
    assert any(sentence.startswith("oversold") for sentence in found.checker)


async def test_a_shop_without_keys_oversells_nothing_and_misleads_buyers_whose_answer_was_lost(
    folder: Path,
) -> None:
    found = await rounds_of("conditional-update", folder, "rival")
    assert (found.sold, found.oversold, found.undersold) == (PLAN.units, 0, 0)
    assert found.doubled + found.orphaned > 0
    assert not found.is_right
    assert found.linearizable == "linearizable"


def test_all_nine_strategies_are_targets() -> None:
    assert {
        "flashguard", "naive", "row-lock", "optimistic", "conditional-update", "skip-locked", "redis-lock",
        "redis-lua", "sql-batched",
    } <= LAUNCHED.keys()  # fmt: skip


class Shop:
    """A round that is written by hand: a shop with two units, one of them sold."""

    def __init__(self) -> None:
        self.times = itertools.count()
        self.visits: list[Visit] = []
        self.orders: list[Order] = []
        self.left = 1
        self.has_keys = True
        self.has_holds = False
        self.buy(0, "order-0")

    def answer(self, word: Word, id: str = "") -> Answer:
        return Answer(word, float(next(self.times)), float(next(self.times)), id)

    def buy(self, buyer: int, order: str) -> None:
        attempt = Attempt("reserve", f"key-{buyer}", self.answer(Word.GRANTED, order))
        self.visits.append(Visit(buyer, [attempt], Outcome.BOUGHT, order))
        self.orders.append(Order(order, buyer_name(buyer), 1))

    def refuse(self, buyer: int) -> None:
        attempt = Attempt("reserve", f"key-{buyer}", self.answer(Word.REFUSED))
        self.visits.append(Visit(buyer, [attempt], Outcome.SOLD_OUT))

    def judge(self) -> Figures:
        about = About("shop", "1", "", "", "", self.has_holds, False, self.has_keys)
        return judge(Plan(buyers=5, units=2), about, self.visits, self.orders, self.left)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_units_that_nothing_was_refused_for_are_not_undersold(shop: Shop) -> None:
    found = shop.judge()
    assert found.is_right
    assert (found.sold, found.linearizable) == (1, "linearizable")


def test_a_refusal_while_units_are_left_is_undersold(shop: Shop) -> None:
    shop.refuse(1)
    found = shop.judge()
    assert found.undersold == 1
    assert found.linearizable == "not linearizable"


def test_a_unit_that_is_neither_sold_nor_left_is_undersold(shop: Shop) -> None:
    shop.left = 0
    shop.refuse(1)
    found = shop.judge()
    assert found.undersold == 1
    assert found.linearizable == "not linearizable"


def test_more_orders_than_units_are_oversold(shop: Shop) -> None:
    shop.left = 0
    for buyer in (1, 2):
        shop.buy(buyer, f"order-{buyer}")
    found = shop.judge()
    assert found.oversold == 1
    assert found.linearizable == "not linearizable"


def test_two_orders_of_a_buyer_are_doubled(shop: Shop) -> None:
    shop.left = 0
    shop.has_keys = False
    silent = Attempt("reserve", "key-0", Answer(Word.UNKNOWN, 0.0, 0.5))
    shop.visits[0].attempts.insert(0, silent)
    shop.orders.append(Order("order-silent", buyer_name(0), 1))
    found = shop.judge()
    assert (found.doubled, found.oversold, found.retries) == (1, 0, 1)
    assert found.linearizable == "linearizable"
    shop.has_keys = True
    assert "doubled" in shop.judge().checker[0]


def test_a_buyer_who_has_an_order_and_was_told_sold_out_is_orphaned(shop: Shop) -> None:
    shop.has_keys = False
    shop.refuse(1)
    shop.visits[1].attempts.insert(0, Attempt("reserve", "key-1", Answer(Word.UNKNOWN, 0.0, 0.5)))
    shop.orders.append(Order("order-1", buyer_name(1), 1))
    shop.left = 0
    found = shop.judge()
    assert (found.orphaned, found.doubled, found.linearizable) == (1, 0, "linearizable")


def test_an_order_that_the_shop_does_not_have_is_lost(shop: Shop) -> None:
    shop.orders.clear()
    shop.left = 2
    found = shop.judge()
    assert found.lost == 1
    assert not found.is_right


def test_a_buyer_without_an_answer_is_an_error(shop: Shop) -> None:
    shop.visits.append(Visit(1, [Attempt("reserve", "key-1", shop.answer(Word.UNKNOWN))]))
    assert (shop.judge().errors, shop.judge().linearizable) == (1, "linearizable")
    shop.has_holds = True
    assert shop.judge().linearizable == "undecided"


def test_the_order_of_a_buyer_without_an_answer_counts(shop: Shop) -> None:
    shop.visits.append(Visit(1, [Attempt("reserve", "key-1", shop.answer(Word.UNKNOWN))]))
    shop.orders.append(Order("order-1", buyer_name(1), 1))
    shop.left = 0
    shop.refuse(2)
    found = shop.judge()
    assert (found.sold, found.errors, found.undersold, found.linearizable) == (2, 1, 0, "linearizable")


class FairShop:
    """An adapter of a user's own, whose shop is a list."""

    def __init__(self, url: str) -> None:
        self.taken: list[Order] = []

    async def start(self, folder: Path) -> About:
        return About("Fair", "1", "in memory", "No unit twice.", "here", False, False, False)

    async def stop(self) -> None: ...

    async def open(self, units: int, buyers: int) -> None:
        self.units = units

    def sell(self, buyer: int) -> Word:
        if len(self.taken) >= self.units:
            return Word.REFUSED
        self.taken.append(Order(f"order-{len(self.taken)}", buyer_name(buyer), 1))
        return Word.GRANTED

    async def reserve(self, buyer: int, key: str) -> Answer:
        started = time.monotonic()
        word = self.sell(buyer)
        id_ = self.taken[-1].id if word is Word.GRANTED else ""
        return Answer(word, started, time.monotonic(), id_)

    async def stock(self) -> int:
        return max(0, self.units - len(self.taken))

    async def orders(self) -> list[Order]:
        return self.taken


class OversellingShop(FairShop):
    def sell(self, buyer: int) -> Word:
        self.taken.append(Order(f"order-{len(self.taken)}", buyer_name(buyer), 1))
        return Word.GRANTED


class SilentShop(FairShop):
    def sell(self, buyer: int) -> Word:
        return Word.UNKNOWN


@pytest.mark.parametrize(("shop", "code"), [(FairShop, 0), (OversellingShop, 1), (SilentShop, 1)])
def test_the_exit_code_says_whether_a_shop_of_ones_own_kept_its_promises(
    shop: type[FairShop], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.campaign.targets.rush.AGAIN_SECONDS", 0.0)
    name = f"{shop.__module__}:{shop.__name__}"
    assert main(["--target", name, "--url", "http://127.0.0.1:9", "--buyers", "6", "--units", "2"]) == code


@pytest.mark.parametrize(
    "plan",
    [
        lambda: Plan(buyers=100_000),
        lambda: Plan(buyers=0),
        lambda: Plan(buyers=5, units=6),
        lambda: Plan(lost=1.5),
    ],
)
def test_a_plan_has_bounds(plan: Callable[[], Plan]) -> None:
    with pytest.raises(ValueError):
        plan()


def test_the_table_adds_rounds_up(shop: Shop) -> None:
    figures = shop.judge()
    about = {"name": "Shop", "version": "1"}
    line = table([
        Measured(target="s", about=about, plan={"buyers": 5, "units": 2}, rounds=(figures, figures))
    ])[-1]  # fmt: skip
    assert line.startswith("| Shop | 1 | 2 × 5 | 2 × 2 | 2 | 0 |")
    assert line.endswith("| 2 yes |")
