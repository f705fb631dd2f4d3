"""The body that changes one item of a sale."""

from pydantic import ConfigDict, Field, model_validator

from flashguard.model import MAX_PRICE_MINOR, MAX_STOCK

from .bodies import Name, RequestBody, never_null

NEVER_NULL = ("name", "price_minor", "on_sale")
CHANGEABLE = (*NEVER_NULL, "limit_per_customer")


class ItemPatch(RequestBody):
    """What to change of an item; omitted fields stay unchanged. A reservation keeps the price of its hold."""

    model_config = ConfigDict(json_schema_extra=never_null(*NEVER_NULL))

    name: Name | None = None
    price_minor: int | None = Field(
        None, ge=0, le=MAX_PRICE_MINOR, description="The price of holds from now on"
    )
    limit_per_customer: int | None = Field(
        None, ge=1, le=MAX_STOCK, description="The most units of it for one customer; null: no limit"
    )
    on_sale: bool | None = Field(None, description="False: no new holds; what is held goes on")

    @model_validator(mode="after")
    def _something(self) -> "ItemPatch":
        if not self.model_fields_set:
            raise ValueError(f"one of {', '.join(CHANGEABLE)}")
        for name in self.model_fields_set:
            if name in NEVER_NULL and getattr(self, name) is None:
                raise ValueError(f"{name}: can't be null")
        return self
