"""Imports: many sales at once, all or nothing."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from flashguard.ledger import Ledger, StoredSale
from flashguard.model import Refused, SaleId

from .new_sale import NewSale
from .sales import Shop

MAX_SALES: Final = 100
"""Sales of one import, which is one transaction."""
MAX_ITEMS: Final = 20_000
"""Items of one import, over all its sales."""


class Imported(Struct, frozen=True, kw_only=True):
    """What an import did. `taken` are the places of sales whose ids exist already: then nothing was
    written."""

    taken: tuple[int, ...] = ()
    refused: tuple[tuple[int, Refused], ...] = ()
    """The places of sales whose end has passed, or that can't share a room, and why: then nothing was
    written."""
    mismatch: bool = False
    """The key was used for another file: then nothing was written."""
    replayed: bool = False
    in_memory: bool = True
    """False: not all of the sales are in memory yet. A retry with the same key completes them, and a recorder
    does within seconds."""


async def import_sales(
    ledger: Ledger,
    shop: Shop,
    sales: Sequence[tuple[SaleId, NewSale]],
    *,
    key: str | None = None,
    dry_run: bool = False,
) -> Imported:
    """Write draft sales into the ledger in one transaction, then each into memory and its journal.

    Parameters:
        key: an idempotency key; the same import with the same key again changes nothing.
        dry_run: check the import and write nothing.

    Raises:
        LedgerAway: nothing was written.
    """
    places: list[int] = []
    drafts: list[tuple[StoredSale, int]] = []
    for place, (id_, new) in enumerate(sales):
        shards = shop.placed(shop.draft_of(new, id_, None if key is None else f"import:{key}:{place}"))
        drafts += shards
        places += [place] * len(shards)
    ids = [draft.sale.id for draft, _ in drafts]
    made = [draft for draft, _ in drafts if draft.creation_key is not None]
    refused = await _refused(shop, sales)
    if refused and (key is None or not await _all_made(ledger, made)):
        return Imported(refused=refused)
    if not dry_run and not await shop.may_create(ids):
        return Imported(in_memory=False)
    taken = await ledger.sales.create_all(drafts, keep=not dry_run)
    replayed = bool(taken) and key is not None and await _all_made(ledger, made)
    if taken and key is not None and await _used_otherwise(ledger, key, len(sales), replayed=replayed):
        return Imported(mismatch=True)
    if taken and not replayed:
        return Imported(taken=tuple(dict.fromkeys(places[at] for at in taken)))
    if dry_run:
        return Imported(replayed=replayed)
    loaded = [await shop.load(draft.sale.id, partition) for draft, partition in drafts]
    return Imported(replayed=replayed, in_memory=all(loaded))


async def _refused(shop: Shop, sales: Sequence[tuple[SaleId, NewSale]]) -> tuple[tuple[int, Refused], ...]:
    beside = dict(sales)
    found = [
        (place, await shop.rooms.refused_now(id_, new, beside)) for place, (id_, new) in enumerate(sales)
    ]
    return tuple((place, why) for place, why in found if why is not None)


async def _used_otherwise(ledger: Ledger, key: str, sales: int, *, replayed: bool) -> bool:
    """Return whether an earlier import with this key had another file. An import is all or nothing, so its
    first sale or the one after its last tells."""
    if not replayed and await ledger.sales.created_with(f"import:{key}:0") is not None:
        return True
    return await ledger.sales.created_with(f"import:{key}:{sales}") is not None


async def _all_made(ledger: Ledger, drafts: Sequence[StoredSale]) -> bool:
    """Return whether this very import was made before."""
    for draft in drafts:
        found = await ledger.sales.get(draft.sale.id)
        if found is None or (found.creation_key, found.creation_body) != (
            draft.creation_key,
            draft.creation_body,
        ):
            return False
    return True
