"""What a buyer sends: the bodies of the hot calls, without the framework."""

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
    if not is_name(text) and one_customer(text) is None:  # a joiner in a name is not printable, yet right
        raise ValueError(f"must be {WHAT_IT_IS.removeprefix('customer: ')}")
    return text


VISIBLE: Final = r"^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$"
"""What is printable, as JSON Schema says it."""
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
    """Return what takes `null` out of these properties' schemas: each may be left out, not cleared."""

    def change(schema: dict[str, Any]) -> None:
        for name in names:
            property_ = schema["properties"][name]
            [kind] = [each for each in property_.pop("anyOf") if each != {"type": "null"}]
            property_.pop("default", None)
            property_.update(kind)

    return change


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class LineBody(Body):
    """So many units of one item."""

    sku: Name
    quantity: int = Field(ge=1, le=MAX_QUANTITY)


class BasketBody(Body):
    """Who wants what. All or nothing; the same sku on two lines adds up."""

    customer: Customer
    items: list[LineBody] = Field(min_length=1, max_length=MAX_LINES)
    admission: str | None = Field(
        None, max_length=4096, description="From the sale's waiting room, where it has one"
    )


class ConfirmBody(Body):
    """What a confirm may bring along."""

    receipt: str | None = Field(
        None,
        max_length=16 * 1024,
        description="The hold's receipt: has one that ended or was lost honoured",
    )


def surely_plain(body: bytes, names: int) -> bool:
    """Whether a body that was found valid, with so many names in all, says each of them once.

    Cheap, and never wrong in saying yes: every name has its colon, and colons in texts only add to them.
    """
    return body.count(b":") == names
