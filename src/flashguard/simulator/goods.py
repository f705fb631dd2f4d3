"""What buyers of a simulation want: a unit of one stock, or days of a festival from two pools."""

from collections.abc import Mapping
from typing import Final

from .plan import SoldStock

SKU: Final = "drop"
DAYS: Final = ("friday", "saturday")
"""The pools of a festival. A pass takes a unit of both."""
BOTH_DAYS: Final = "pass"


def stocks_of(stock: int, *, pools: bool) -> dict[str, int]:
    """Return the units by stock: of one item, or of each day, the second a fifth smaller."""
    return {DAYS[0]: stock, DAYS[1]: stock * 4 // 5} if pools else {SKU: stock}


def wanted_by(number: int, *, pools: bool) -> tuple[str, ...]:
    """Return the stocks of which a buyer wants a unit: every second one a pass, the others a day in turn."""
    if not pools:
        return (SKU,)
    return DAYS if number % 2 == 0 else (DAYS[number // 2 % 2],)


def item_for(wanted: tuple[str, ...]) -> str:
    """Return the sku that takes a unit of these stocks."""
    return BOTH_DAYS if len(wanted) > 1 else wanted[0] if wanted == (SKU,) else f"{wanted[0]}-ticket"


def sold_stocks(stocks: Mapping[str, int], truth: Mapping[str, tuple[int, int]]) -> tuple[SoldStock, ...]:
    """Return what became of each stock's units. truth: units sold and units left, by stock."""
    return tuple(
        SoldStock(
            name=name,
            stock=stock,
            sold=truth[name][0],
            oversold=max(0, truth[name][0] - stock),
            leaked=max(0, stock - truth[name][0] - max(0, truth[name][1])),
        )
        for name, stock in stocks.items()
    )
