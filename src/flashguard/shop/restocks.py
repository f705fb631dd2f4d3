"""Which stock a restock can change."""

from typing import Final

from flashguard.errors import Code
from flashguard.model import Refused, Sale, Sku, is_name

OF_ITS_POOLS: Final = Refused(
    code=Code.INVALID_REQUEST, detail="The item has no stock of its own: restock a pool that it draws from."
)
OF_ITS_LOCATIONS: Final = Refused(
    code=Code.INVALID_REQUEST, detail="location: the item has its stock at locations; say which one."
)


def not_restockable(sale: Sale, sku: str, pool: bool, location: str | None) -> Refused | None:
    """Return why an item, a pool, or an item at a location has no stock to change; None where it has."""
    if pool:
        return None if any(each.id == sku for each in sale.pools) else Refused(code=Code.UNKNOWN_POOL)
    item = next((item for item in sale.items if item.sku == sku), None)
    if item is None and location is None and is_name(sku) and all(each.id != sku for each in sale.pools):
        return None  # memory decides: the ledger may not have the newest edit of a draft yet
    if item is None:
        return Refused(code=Code.UNKNOWN_ITEM, sku=Sku(sku) if is_name(sku) else None)
    if location is not None and all(each.id != location for each in item.locations):
        return Refused(code=Code.UNKNOWN_LOCATION, detail=f"The item has no location {location!r}.")
    if item.locations and location is None:
        return OF_ITS_LOCATIONS
    return OF_ITS_POOLS if item.stock is None and not item.locations else None
