"""The bodies and views of what a sale sells: items, pools, and locations."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from flashguard.model import MAX_PRICE_MINOR, MAX_STOCK
from flashguard.model.arguments import ONE_OF_BOTH
from flashguard.model.limits import MAX_ITEM_LIMITS
from flashguard.model.locations import MAX_LOCATIONS
from flashguard.model.pools import MAX_USE, MAX_USES

from .bodies import Name, RequestBody, never_null
from .limits import Limit


def _sku(text: str) -> str:
    if text in (".", ".."):
        raise ValueError("must not be . or .., which clients remove from an address")
    return text


class UseBody(RequestBody):
    """What one unit of an item draws from a pool."""

    pool: Name
    quantity: int = Field(1, ge=1, le=MAX_USE)


class PoolBody(RequestBody):
    """Units that several items draw from."""

    id: Annotated[Name, AfterValidator(_sku)]
    name: Name
    stock: int = Field(ge=0, le=MAX_STOCK)


class LocationBody(RequestBody):
    """A place where units of items are."""

    id: Name
    name: Name


class ItemBody(RequestBody):
    """An item to sell."""

    sku: Annotated[Name, AfterValidator(_sku)]
    name: Name
    price_minor: int = Field(ge=0, le=MAX_PRICE_MINOR, description="Price in the currency's minor unit")
    currency: str = Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])
    stock: int | None = Field(
        None,
        ge=0,
        le=MAX_STOCK,
        description="Its own stock; an item with `uses` or `stock_by_location` needs none",
    )
    uses: list[UseBody] = Field([], max_length=MAX_USES, description="What one unit draws from pools")
    stock_by_location: dict[Name, Annotated[int, Field(ge=0, le=MAX_STOCK)]] = Field(
        {},
        max_length=MAX_LOCATIONS,
        description="Its stock at each of the sale's locations, in place of `stock`",
        examples=[{"berlin": 40, "hamburg": 60}],
    )
    limit_per_customer: Limit | None = Field(
        None, description=f"The most units of it for one customer; at most {MAX_ITEM_LIMITS} items have one"
    )

    @model_validator(mode="after")
    def _has_stock(self) -> "ItemBody":
        if self.stock_by_location and (self.stock is not None or self.uses):
            raise ValueError("stock_by_location: such an item has no stock and no uses")
        if self.stock is None and not self.uses and not self.stock_by_location:
            raise ValueError("stock: only an item with uses or stock_by_location needs none")
        return self


def _one_of_both(schema: dict[str, Any]) -> None:
    never_null("delta", "stock")(schema)
    schema["oneOf"] = [{"required": ["delta"]}, {"required": ["stock"]}]
    schema["examples"] = [{"delta": 10, "reason": "a pallet"}]


class RestockBody(RequestBody):
    """A change of stock: `delta`, or `stock` where the units were counted; one of both."""

    model_config = ConfigDict(json_schema_extra=_one_of_both)

    delta: int | None = Field(None, ge=-MAX_STOCK, le=MAX_STOCK)
    stock: int | None = Field(None, ge=0, le=MAX_STOCK)
    reason: Name

    @model_validator(mode="after")
    def _one_of_both(self) -> "RestockBody":
        if (self.delta is None) == (self.stock is None) or {"delta", "stock"} <= self.model_fields_set:
            raise ValueError(ONE_OF_BOTH)
        return self


class ItemRestockBody(RestockBody):
    """A change of an item's stock: `delta`, or `stock` where the units were counted; one of both."""

    location: Name | None = Field(None, description="Where, of an item that has its stock at locations")


class UseView(BaseModel):
    pool: str
    quantity: int


class PoolView(BaseModel):
    id: str
    name: str
    stock: int
    available: int
    held: int
    sold: int


class LocationView(BaseModel):
    id: str
    name: str


class LocationStockView(BaseModel):
    id: str
    stock: int
    available: int
    held: int
    sold: int


class ItemView(BaseModel):
    sku: str
    name: str
    price_minor: int
    currency: str
    stock: int | None = Field(
        description="Its own stock, or that of all its locations; null where it only draws from pools"
    )
    available: int
    held: int
    sold: int
    uses: list[UseView]
    locations: list[LocationStockView] = Field(
        description="Its units at each location of the sale; empty for an item that has none at locations"
    )
    limit_per_customer: int | None = Field(description="The most units of it for one customer, if limited")
    on_sale: bool = Field(description="False: no new holds; what is held goes on")
