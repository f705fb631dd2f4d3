"""The bodies of the hot calls, and the parts that other bodies share. Does not import the framework."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flashguard.engine.customers import WHAT_IT_IS, one_customer
from flashguard.model import MAX_LINES, MAX_NAME, MAX_QUANTITY, is_name


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


class BasketBody(RequestBody):
    """A customer and the items to hold or buy: all or none. Lines of the same sku are added."""

    customer: Customer
    items: list[LineBody] = Field(min_length=1, max_length=MAX_LINES)
    admission: str | None = Field(
        None, max_length=4096, description="The admission from the sale's waiting room, if it has one"
    )


class ConfirmBody(RequestBody):
    """The optional body of a confirm."""

    receipt: str | None = Field(
        None,
        max_length=16 * 1024,
        description="The hold's receipt: confirms the hold even if it expired or was lost",
    )


def surely_plain(body: bytes, names: int) -> bool:
    """Return whether a valid body with this number of names contains each name once.

    Cheap, and True is always right: every name has a colon, and colons in texts only add to the count.
    """
    return body.count(b":") == names
