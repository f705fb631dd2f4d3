"""What a buyer asks for, checked once."""

from collections.abc import Sequence

from msgspec import Struct

from flashguard.errors import Code
from flashguard.model import CustomerId, Key, Line, Refused, SaleId, invalid_basket, is_str, merge_lines
from flashguard.model.arguments import KEY, MAX_MILLIS, is_key

from .customers import WHAT_IT_IS, one_customer


class Basket(Struct, frozen=True):
    """A request for units: valid, and each sku stands once.

    Parameters:
        buy: a direct order; else a hold.
        admitted_until: until when the sale's waiting room admitted the customer, in milliseconds since the
            Unix epoch by memory's clock; 0 without an admission.
    """

    sale: SaleId
    customer: CustomerId
    lines: tuple[Line, ...]
    key: Key | None
    buy: bool
    admitted_until: int


def customer_id(text: object, *, fold_case: bool) -> CustomerId | None:
    """Return the spelling of a customer's id that limits count by; None where this can't be one."""
    return one_customer(text, fold_case=fold_case) if type(text) is str or is_str(text) else None


def checked_basket(
    sale: str,
    customer: str,
    lines: Sequence[Line],
    key: Key | None,
    *,
    buy: bool,
    admitted_until: int,
    fold_case: bool,
) -> Basket | Refused:
    """Return the basket, or why the request can't be one: `invalid-request`."""
    one = customer_id(customer, fold_case=fold_case)
    wrong = WHAT_IT_IS if one is None else invalid_basket(sale, one, lines)
    if wrong or one is None:
        return Refused(code=Code.INVALID_REQUEST, detail=wrong or WHAT_IT_IS)
    if not (key is None or is_key(key)):
        return Refused(code=Code.INVALID_REQUEST, detail=KEY)
    if type(admitted_until) is not int or not 0 <= admitted_until <= MAX_MILLIS:
        return Refused(code=Code.INVALID_REQUEST, detail="admitted_until: milliseconds, a whole number")
    return Basket(SaleId(sale), one, merge_lines(tuple(lines)), key, buy, admitted_until)
