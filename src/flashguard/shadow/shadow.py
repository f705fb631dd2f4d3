"""Shadow mode: the shop's own stock decides; FlashGuard decides beside it, is told, and refuses nobody.

Each attempt that the shop tells of is a buy here, under the attempt's own key, so that to tell it twice
changes nothing. What the shop took back is given back by a restock.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.ledger import lines_from_flat
from flashguard.ledger.shadow import ShadowAttempt, ShadowBook
from flashguard.model import Granted, KeyScope, Line, Outcome, Refused, SaleId, ScopedKey

CONFIRMED: Final = "confirmed"
MOST_DIFFERENCES: Final = 200
"""How many differing attempts a report shows one by one."""
TRANSIENT: Final = (Code.OVERLOADED, Code.RECOVERING, Code.REQUEST_IN_FLIGHT)
"""Nothing is decided yet: the shop's messenger tells it again."""

Word = Literal["sold", "refused", "returned"]
_json = msgspec.json.Encoder().encode


class Told(Struct, frozen=True, kw_only=True):
    """What a shop tells of one attempt. `reference` is its own order, to find it by."""

    key: str
    customer: str
    lines: tuple[Line, ...]
    shop: Word
    reference: str | None = None


class Compared(Struct, frozen=True):
    """What both said of an attempt. `ours` is confirmed, or the code of the refusal; None for a return."""

    key: str
    ours: str | None
    agrees: bool


class ShadowItem(Struct, frozen=True, kw_only=True):
    """An item in both books. `shop_oversold` are the units that the shop sold and did not have."""

    sku: str
    stock: int
    shop_sold: int
    flashguard_sold: int
    shop_oversold: int


class Difference(Struct, frozen=True, kw_only=True):
    """An attempt that one of the two granted and the other refused."""

    key: str
    customer: str
    items: tuple[Line, ...]
    shop: str
    ours: str
    reference: str | None
    at: datetime
    returned_at: datetime | None


class ShadowReport(Struct, frozen=True, kw_only=True):
    """Where a shop's own stock would have differed, and did."""

    sale_id: SaleId
    since: datetime
    both_sold: int
    both_refused: int
    only_shop_sold: int
    only_flashguard_sold: int
    returned: int
    reasons: dict[str, int]
    """Why FlashGuard refused what the shop sold: attempts by code."""
    items: tuple[ShadowItem, ...]
    differences: tuple[Difference, ...]
    """The first of them, one by one."""


class NotAShadow(Exception):
    """The sale was never made a shadow: to tell of an attempt would sell for real."""


class Shadow:
    """Compares, over one guard."""

    def __init__(self, guard: FlashGuard) -> None:
        self._guard = guard
        self._book = ShadowBook(guard.ledger)

    async def begin(self, sale: SaleId) -> datetime | None:
        """Has a draft be a shadow; since when it is one, or None when it can't be one any more."""
        return await self._book.begin(sale)

    async def tell(self, sale: SaleId, told: Sequence[Told]) -> list[Compared] | Refused:
        """Decides each attempt too, and writes down what both said.

        Refused only where nothing is decided yet: then the same is to be told again.

        Raises:
            NotAShadow: the sale is for real.
        """
        if await self._book.since(sale) is None:
            raise NotAShadow
        attempts = [each for each in told if each.shop != "returned"]
        outcomes = await asyncio.gather(
            *(
                self._guard.buy(sale, each.customer, each.lines, key=ScopedKey(KeyScope.SHADOW, (each.key,)))
                for each in attempts
            )
        )
        for outcome in outcomes:
            if isinstance(outcome, Refused) and outcome.code in TRANSIENT:
                return outcome
        compared = [_compared(each, outcome) for each, outcome in zip(attempts, outcomes, strict=True)]
        rows, both_refused = [], 0
        for each, (_, ours) in zip(attempts, compared, strict=True):
            if each.shop == "refused" and ours != CONFIRMED:
                both_refused += 1
                continue
            flat = [value for line in each.lines for value in (line.sku, line.quantity)]
            rows.append(
                ShadowAttempt(
                    key=each.key, customer=each.customer, lines=_json(flat).decode(), shop=each.shop,
                    ours=ours, reference=each.reference,
                )
            )  # fmt: skip
        if attempts:
            await self._book.note(sale, rows, both_refused)
        returned = [each.key for each in told if each.shop == "returned"]
        refused = await self._give_back(sale, returned) if returned else None
        if refused:
            return refused
        return [one for one, _ in compared] + [Compared(key, None, True) for key in returned]

    async def _give_back(self, sale: SaleId, keys: Sequence[str]) -> Refused | None:
        """Puts back what FlashGuard sold too. The restock first: it is the one that may be done twice."""
        for row in await self._book.to_return(sale, keys):
            if row["returned"] or row["ours"] != CONFIRMED:
                continue
            for line in lines_from_flat(msgspec.json.decode(row["lines"])):
                done = await self._guard.shop.restock(
                    sale, line.sku, line.quantity, "returned in the shop",
                    key=ScopedKey(KeyScope.SHADOW, (row["key"], line.sku)),
                )  # fmt: skip
                if isinstance(done, Refused) and done.code in TRANSIENT:
                    return done
        await self._book.note_returned(sale, keys)
        return None

    async def report(self, sale: SaleId) -> ShadowReport | None:
        """Where the two differed so far; None when the sale is no shadow."""
        counts = await self._book.counts(sale)
        if counts is None:
            return None
        return ShadowReport(
            sale_id=sale,
            **dict(counts.items()),
            reasons={row["code"]: row["attempts"] for row in await self._book.reasons(sale)},
            items=tuple(
                ShadowItem(**dict(row.items()), shop_oversold=max(0, row["shop_sold"] - row["stock"]))
                for row in await self._book.items(sale)
            ),
            differences=tuple(
                _difference(dict(row.items())) for row in await self._book.differences(sale, MOST_DIFFERENCES)
            ),
        )


def _compared(told: Told, outcome: Outcome) -> tuple[Compared, str]:
    ours = CONFIRMED if isinstance(outcome, Granted) else outcome.code.value
    return Compared(told.key, ours, (told.shop == "sold") == (ours == CONFIRMED)), ours


def _difference(row: dict[str, Any]) -> Difference:
    lines = lines_from_flat(msgspec.json.decode(row.pop("lines")))
    return Difference(items=lines, **row)
