"""The bodies of the hot calls, and the parts that other bodies share. Does not import the framework."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flashguard.engine.customers import WHAT_IT_IS, one_customer
from flashguard.model import MAX_LINES, MAX_NAME, MAX_QUANTITY, Line, Sku, is_name


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"must be 1 to {MAX_NAME} printable characters")
    return text


def _customer(text: str) -> str:
    if not is_name(text) and one_customer(text) is None:  # a joiner in a name is valid although not printable
        raise ValueError(f"must be {WHAT_IT_IS.removeprefix('customer: ')}")
    return text


VISIBLE: Final = r"^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$"
"""Printable text, as a pattern of JSON Schema."""
Name = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME, json_schema_extra={"pattern": VISIBLE}),
    AfterValidator(_name),
]
Customer = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_NAME,
        json_schema_extra={"pattern": VISIBLE.replace(" ]", r" \u200c\u200d]")},
    ),
    AfterValidator(_customer),
]


def never_null(*names: str) -> Callable[[dict[str, Any]], None]:
    """Return a function that removes `null` from these properties' schemas: each may be omitted, not
    cleared."""

    def change(schema: dict[str, Any]) -> None:
        for name in names:
            property_ = schema["properties"][name]
            [kind] = [each for each in property_.pop("anyOf") if each != {"type": "null"}]
            property_.pop("default", None)
            property_.update(kind)

    return change


class RequestBody(BaseModel):
    """A body without unknown fields and without conversions between types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LineBody(RequestBody):
    """A quantity of one item."""

    sku: Name
    quantity: int = Field(ge=1, le=MAX_QUANTITY)


MAX_ADMISSION: Final = 4096
"""Characters of an admission."""


class PlainBasket(Struct, forbid_unknown_fields=True):
    """`BasketBody` as the lane decodes it, in a tenth of the time.

    It leaves names and quantities to the check of every basket (engine/baskets.py), which is at least as
    strict. A test holds both models against each other.
    """

    customer: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    items: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=MAX_LINES)]
    admission: Annotated[str, Meta(max_length=MAX_ADMISSION)] | None = None


plain_basket: Final = msgspec.json.Decoder(PlainBasket).decode


def lane_basket(body: bytes) -> PlainBasket:
    """Return the basket of a body that surely has each name once: every name has a colon, and colons in texts
    only add to the count.

    Raises:
        ValueError: the body is another.
    """
    basket = plain_basket(body)
    if body.count(b":") != 2 + 2 * len(basket.items) + (basket.admission is not None):
        raise ValueError("a name may stand twice")
    return basket


class BasketBody(RequestBody):
    """A customer and the items to hold or buy: all or none. Lines of the same sku are added."""

    customer: Customer
    items: list[LineBody] = Field(min_length=1, max_length=MAX_LINES)
    admission: str | None = Field(
        None,
        max_length=MAX_ADMISSION,
        description="The admission from the sale's waiting room, if it has one",
    )

    def plain(self) -> PlainBasket:
        """Return the same basket as the lane has it."""
        lines = tuple(Line(Sku(line.sku), line.quantity) for line in self.items)
        return PlainBasket(self.customer, lines, self.admission)


class ConfirmBody(RequestBody):
    """The optional body of a confirm."""

    receipt: str | None = Field(
        None,
        max_length=16 * 1024,
        description="The hold's receipt: confirms the hold even if it expired or was lost",
    )
