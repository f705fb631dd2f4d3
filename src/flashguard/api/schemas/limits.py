"""The body and the view of a limit by identity."""

from typing import Annotated, Final

from pydantic import BaseModel, Field

from flashguard.model import MAX_STOCK
from flashguard.model.limits import MAX_LIMIT_SKUS, MAX_LIMITS

from .bodies import By, Name, RequestBody

HOLD_RULES: Final = (
    "Whether `max_held_per_customer` and the cool-down count for each identity as for a customer"
)
Limit = Annotated[int, Field(ge=1, le=MAX_STOCK)]


class LimitBody(RequestBody):
    """A limit by identity: all who name the same one are counted together."""

    by: By = Field(description="The identity's name, as in requests' `identities`", examples=["card"])
    units: Limit = Field(description="The most units for one identity")
    skus: Annotated[list[Name], Field(min_length=1, max_length=MAX_LIMIT_SKUS)] | None = Field(
        None, description="The items that count; null: all"
    )
    hold_rules: bool = Field(
        False,
        description=HOLD_RULES,
        examples=[True],
    )


Limits = Annotated[list[LimitBody], Field(max_length=MAX_LIMITS)]


class LimitView(BaseModel):
    by: str = Field(description="The identity's name", examples=["card"])
    units: int = Field(description="The most units for one identity", examples=[2])
    skus: list[str] | None = Field(description="The items that count; null: all")
    hold_rules: bool = Field(
        description=HOLD_RULES,
        examples=[True],
    )
