"""The bodies of the hot calls, and the parts that other bodies share. Does not import the framework."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flashguard.engine.customers import WHAT_IT_IS, one_customer
from flashguard.model import MAX_LINES, MAX_NAME, MAX_QUANTITY, Line, Sku, is_name
from flashguard.model.attached import MAX_METADATA, MAX_VALUE
from flashguard.model.limits import BY, MAX_IDENTITY, MAX_LIMITS


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"must be 1 to {MAX_NAME} printable characters")
    return text


def _customer(text: str) -> str:
    if not is_name(text) and one_customer(text) is None:  # a joiner in a name is valid although not printable
        raise ValueError(f"must be {WHAT_IT_IS.removeprefix('customer: ')}")
    return text


def _value(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
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


class LocatedLineBody(LineBody):
    """A quantity of one item, and where it must be taken, for example because it is picked up there."""

    location: Name | None = Field(None, description="One of the item's locations; omitted: any")

    def plain(self) -> Line:
        """Return the line as the model has it."""
        return Line(Sku(self.sku), self.quantity, UNSET if self.location is None else self.location)


MAX_ADMISSION: Final = 4096
"""Characters of an admission."""


Metadata = Annotated[
    dict[Name, Annotated[str, Field(max_length=MAX_VALUE), AfterValidator(_value)]],
    Field(max_length=MAX_METADATA, examples=[{"cart": "7f3a"}]),
]


def _identity(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty or all spaces")
    return text


By = Annotated[str, Field(pattern=f"^{BY.pattern}$")]
IDENTITIES: Final = "Whose units the sale's limits count together, by name; kept as keyed hashes"
Identities = Annotated[
    dict[By, Annotated[str, Field(min_length=1, max_length=MAX_IDENTITY), AfterValidator(_identity)]],
    Field(
        min_length=1,
        max_length=MAX_LIMITS,
        examples=[{"card": "tok_7f3a"}],
    ),
]


class PlainBasket(Struct, forbid_unknown_fields=True):
    """`BasketBody` as the lane decodes it, in a tenth of the time.

    It leaves names and quantities to the check of every basket (engine/baskets.py), which is at least as
    strict. A test holds both models against each other.
    """

    customer: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    items: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=MAX_LINES)]
    admission: Annotated[str, Meta(max_length=MAX_ADMISSION)] | None = None


class DetailedBasket(PlainBasket, kw_only=True):
    """A basket with what the shop attaches to it. The lane does not decode it: it takes the framework's
    route."""

    reference: str | None
    metadata: dict[str, str] | None
    identities: dict[str, str] | None


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
    items: list[LocatedLineBody] = Field(min_length=1, max_length=MAX_LINES)
    admission: str | None = Field(
        None,
        max_length=MAX_ADMISSION,
        description="The admission from the sale's waiting room, if it has one",
    )

    reference: Name | None = Field(None, description="The shop's own name of it, to find it by")
    metadata: Metadata | None = Field(
        None, description=f"The shop's own texts, by name: at most {MAX_METADATA}, of {MAX_VALUE} characters"
    )

    identities: Identities | None = Field(None, description=IDENTITIES)

    def plain(self) -> PlainBasket:
        """Return the same basket as the lane has it."""
        lines = tuple(line.plain() for line in self.items)
        if self.reference is None and self.metadata is None and self.identities is None:
            return PlainBasket(self.customer, lines, self.admission)
        return DetailedBasket(
            self.customer, lines, self.admission, reference=self.reference, metadata=self.metadata,
            identities=self.identities,
        )  # fmt: skip


class PlainAmend(Struct, frozen=True):
    """`AmendBody`, without the framework."""

    items: tuple[Line, ...]
    restock: bool
    reason: str


class ConfirmBody(RequestBody):
    """The optional body of a confirm."""

    receipt: str | None = Field(
        None,
        max_length=16 * 1024,
        description="The hold's receipt: confirms the hold even if it expired or was lost",
    )
