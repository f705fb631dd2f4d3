"""What a buyer asks for, checked once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from flashguard.errors import Code
from flashguard.model import (
    Admission,
    CustomerId,
    Key,
    Line,
    Refused,
    SaleId,
    invalid_basket,
    is_str,
    merge_lines,
)
from flashguard.model.arguments import ADMITTED_UNTIL, KEY, MAX_MILLIS, is_admission, is_key
from flashguard.model.attached import attached, invalid_attached
from flashguard.model.limits import HashedIdentities, invalid_identities
from flashguard.model.locations import pick_up_of

from .customers import WHAT_IT_IS, one_customer


class Basket(Struct, frozen=True):
    """A request for units: valid, and each sku stands once.

    Parameters:
        buy: a direct order; else a hold.
        admitted_until: until when the sale's waiting room admitted the customer, in milliseconds since the
            Unix epoch by memory's clock, or the room of which other sale did; 0 without an admission.
        details: reference, metadata and identities, where there are any; and pick_up, of lines that name a
            location.
    """

    sale: SaleId
    customer: CustomerId
    lines: tuple[Line, ...]
    key: Key | None
    buy: bool
    admitted_until: int | Admission
    details: dict[str, Any] | None = None


def customer_id(text: object, *, fold_case: bool) -> CustomerId | None:
    """Return the spelling of a customer's id that limits count by; None where this can't be one."""
    return one_customer(text, fold_case=fold_case) if type(text) is str or is_str(text) else None


def hashed_identities(
    identities: Mapping[str, str], identity: Callable[[str, str], str]
) -> HashedIdentities | Refused:
    """Return what a request's identities are counted by; refused where they can't be any."""
    if isinstance(identities, HashedIdentities):
        return identities
    wrong = invalid_identities(identities)
    if wrong:
        return Refused(code=Code.INVALID_REQUEST, detail=wrong)
    return HashedIdentities({by: identity(by, text) for by, text in sorted(identities.items())})


def checked_basket(
    sale: str,
    customer: str,
    lines: Sequence[Line],
    key: Key | None,
    *,
    buy: bool,
    admitted_until: int | Admission,
    fold_case: bool,
    identity: Callable[[str, str], str],
    reference: str | None = None,
    metadata: Mapping[str, str] | None = None,
    identities: Mapping[str, str] | None = None,
) -> Basket | Refused:
    """Return the basket, or why the request can't be one: `invalid-request`.

    Parameters:
        identity: returns what an identity is counted by, from its name and its text.
        identities: what the request names, or the buyer's token.
    """
    one = customer_id(customer, fold_case=fold_case)
    wrong = WHAT_IT_IS if one is None else invalid_basket(sale, one, lines)
    if wrong or one is None:
        return Refused(code=Code.INVALID_REQUEST, detail=wrong or WHAT_IT_IS)
    if not (key is None or is_key(key)):
        return Refused(code=Code.INVALID_REQUEST, detail=KEY)
    plain = (
        type(admitted_until) is int and 0 <= admitted_until <= MAX_MILLIS
    )  # most have none: no call for it
    if not plain and not is_admission(admitted_until):
        return Refused(code=Code.INVALID_REQUEST, detail=ADMITTED_UNTIL)
    details = None
    if reference is not None or metadata is not None:
        wrong = invalid_attached(reference, metadata)
        if wrong:
            return Refused(code=Code.INVALID_REQUEST, detail=wrong)
        details = attached(reference, metadata)
    pick_up = pick_up_of(lines)
    if pick_up is not None:
        details = {**(details or {}), "pick_up": pick_up}
    if identities is not None:
        hashed = hashed_identities(identities, identity)
        if isinstance(hashed, Refused):
            return hashed
        details = (details or {}) | {"identities": hashed}
    return Basket(SaleId(sale), one, merge_lines(tuple(lines)), key, buy, admitted_until, details)
