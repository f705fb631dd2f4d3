"""The bodies and views of sales, as pydantic models; the OpenAPI document is generated from them."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from flashguard.model import invalid_time, is_sale_id
from flashguard.model.arguments import MAX_ITEMS
from flashguard.model.limits import MAX_LIMITS
from flashguard.model.locations import MAX_LOCATIONS
from flashguard.model.pools import MAX_POOLS

from .bodies import Name, RequestBody, never_null
from .goods import ItemBody, ItemView, LocationBody, LocationView, PoolBody, PoolView
from .limits import Limit, LimitBody, Limits, LimitView


def _sale_id(text: str) -> str:
    if not is_sale_id(text):
        raise ValueError("must be 1 to 64 of a-z, 0-9 and '-', not starting with '-'")
    return text


RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _time_text(value: object) -> object:
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise ValueError("must be a time with its offset, as in 2027-06-30T10:00:00Z (RFC 3339)")
    return value


def _safe_time(value: datetime) -> datetime:
    wrong = invalid_time(value)
    if wrong:
        raise ValueError(wrong)
    return value


Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_time_text), AfterValidator(_safe_time)]
"""A time in RFC 3339. pydantic alone would also accept dates, digits and numbers."""
SaleSlug = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        examples=["demo"],
        json_schema_extra={"pattern": "^[a-z0-9][a-z0-9-]*$"},
    ),
    AfterValidator(_sale_id),
]
HoldSeconds = Annotated[int, Field(ge=1, le=86_400)]
HoldDurability = Literal["memory", "disk", "replicated", "ledger"]


class RulesBody(RequestBody):
    """The optional rules of a sale; null: the sale does not have the rule."""

    max_held_per_customer: Limit | None = Field(
        None, description="Maximum units that one customer may have in unconfirmed holds"
    )
    cool_down_after: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Holds ended without an order after which a customer cools down; null: 3"
    )
    cool_down_seconds: Annotated[int, Field(ge=1, le=604_800)] | None = Field(
        None, description="Seconds for which a customer who cools down can't hold units"
    )
    waiting_list: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="Maximum entries that may wait for returned units; null: the sale has no list"
    )
    waiting_list_hold_seconds: HoldSeconds | None = Field(
        None, description="Seconds that returned units are held for a waiting buyer; null: hold_seconds"
    )


ProofHarderAt = Annotated[
    int,
    Field(
        ge=1,
        le=10_000_000,
        description="Waiting buyers from which a proof takes more tries, in proportion to the crowd, up to "
        "16 times as many; null: never",
    ),
]


class WaitingRoomBody(RequestBody):
    """How a sale admits its buyers."""

    mode: Literal["lottery", "fifo"] = Field(
        "lottery", description="The order in which tickets taken before the opening are admitted"
    )
    admit_per_second: float = Field(50.0, ge=0.01, le=100_000)
    max_active: int = Field(1_000, ge=1, le=1_000_000, description="Maximum buyers admitted at the same time")
    session_seconds: int = Field(300, ge=1, le=86_000, description="Seconds that an admission lasts")
    max_waiting: int = Field(1_000_000, ge=1, le=10_000_000)
    proof_of_work: bool = Field(
        False, description="Whether a ticket requires the solution of an ALTCHA challenge"
    )
    proof_tries: int = Field(
        256, ge=1, le=4_096, description="Keys that a solution takes on average, of 2 MiB of memory each"
    )
    proof_harder_at: ProofHarderAt | None = None
    shared: bool = Field(
        False, description="Whether other sales may share the room; once true, it stays true"
    )


class WaitingRoomPatch(RequestBody):
    """How buyers are admitted from now on; omitted fields stay unchanged. Only a draft changes the mode.

    A draft or scheduled sale that has no room gets one.
    """

    mode: Literal["lottery", "fifo"] = "lottery"
    admit_per_second: float = Field(50.0, ge=0.01, le=100_000)
    max_active: int = Field(1_000, ge=1, le=1_000_000)
    session_seconds: int = Field(300, ge=1, le=86_000)
    max_waiting: int = Field(1_000_000, ge=1, le=10_000_000)
    proof_of_work: bool = False
    proof_tries: int = Field(256, ge=1, le=4_096)
    proof_harder_at: ProofHarderAt | None = None
    shared: bool = Field(
        False, description="Whether other sales may share the room; once true, it stays true"
    )
    open_to_all: bool = Field(
        False,
        description="True opens the doors for good: all are admitted, and no buyer needs an admission",
    )


class WaitingRoomView(BaseModel):
    mode: Literal["lottery", "fifo"]
    admit_per_second: float
    max_active: int
    session_seconds: int
    max_waiting: int
    proof_of_work: bool
    proof_tries: int
    proof_harder_at: int | None
    shared: bool = Field(description="Whether other sales may share the room")
    open_to_all: bool = Field(description="Whether the doors are open: no buyer needs an admission any more")
    commitment: str = Field(description="SHA-256 of the lottery's seed, which is published after the opening")


def _each_once(items: list[ItemBody]) -> None:
    if len({item.sku for item in items}) < len(items):
        raise ValueError("items: every sku may appear only once")


class SaleBody(RulesBody):
    """A sale to create, as a draft."""

    id: SaleSlug | None = None
    name: Name
    items: list[ItemBody] = Field(min_length=1, max_length=MAX_ITEMS)
    pools: list[PoolBody] = Field([], max_length=MAX_POOLS)
    locations: list[LocationBody] = Field(
        [], max_length=MAX_LOCATIONS, description="In the order in which units are taken from them"
    )
    split: bool = Field(
        False, description="Whether a basket that no location has all of is taken from several locations"
    )
    starts_at: Time | None = None
    ends_at: Time | None = None
    hold_seconds: HoldSeconds = 120
    limit_per_customer: Limit | None = None
    limits: list[LimitBody] = Field([], max_length=MAX_LIMITS)
    hold_durability: HoldDurability = "disk"
    waiting_room: WaitingRoomBody | None = None
    room: SaleSlug | None = Field(
        None, description="In place of a waiting_room: the sale whose room it shares"
    )
    spread: int = Field(
        1,
        ge=1,
        le=256,
        description="Number of partitions, for more demand than one core serves; can't be changed later",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "SaleBody":
        _each_once(self.items)
        known = {pool.id for pool in self.pools}
        if len(known | {item.sku for item in self.items}) < len(self.pools) + len(self.items):
            raise ValueError("pools: every id may appear only once, and no sku may have it")
        for item in self.items:
            unknown = next((use.pool for use in item.uses if use.pool not in known), None)
            if unknown is not None:
                raise ValueError(f"uses: there is no pool {unknown}")
            if len({use.pool for use in item.uses}) < len(item.uses):
                raise ValueError("uses: every pool may appear only once in an item")
        places = {location.id for location in self.locations}
        if len(places) < len(self.locations):
            raise ValueError("locations: every id may appear only once")
        for item in self.items:
            unknown = next((place for place in item.stock_by_location if place not in places), None)
            if unknown is not None:
                raise ValueError(f"stock_by_location: there is no location {unknown}")
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self


NEVER_NULL: Final = ("name", "items", "limits", "hold_seconds", "hold_durability")


class SalePatch(RulesBody):
    """What to change; null clears a time, the limit or an optional rule. `items`, and a waiting room that
    comes, goes or changes its mode: only of a draft. `limits` of another sale keep all but their units."""

    model_config = ConfigDict(json_schema_extra=never_null(*NEVER_NULL))

    name: Name | None = None
    items: Annotated[list[ItemBody], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    starts_at: Time | None = None
    ends_at: Time | None = None
    hold_seconds: HoldSeconds | None = None
    limit_per_customer: Limit | None = None
    limits: Limits | None = None
    hold_durability: HoldDurability | None = None
    waiting_room: WaitingRoomPatch | None = None
    room: SaleSlug | None = None

    @model_validator(mode="after")
    def _not_cleared(self) -> "SalePatch":
        for name in NEVER_NULL:
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} can't be null")
        _each_once(self.items or [])
        return self


class SaleView(BaseModel):
    id: str
    name: str
    status: Literal["draft", "scheduled", "open", "paused", "closed"]
    starts_at: datetime | None
    ends_at: datetime | None
    hold_seconds: int
    limit_per_customer: int | None
    limits: list[LimitView]
    hold_durability: HoldDurability
    effective_hold_durability: HoldDurability | None = Field(
        description="The durability that an answered hold reaches with the current configuration of "
        "Valkey/Redis, for example `memory` where `disk` is required without an append-only file; null while "
        "unknown"
    )
    spread: int = Field(description="Number of partitions that the sale is spread over")
    max_held_per_customer: int | None
    cool_down_after: int | None
    cool_down_seconds: int | None
    waiting_list: int | None
    waiting_list_hold_seconds: int | None
    waiting_room: WaitingRoomView | None
    room: str | None = Field(description="The sale whose waiting room it shares; null: it shares none")
    created_at: datetime | None
    items: list[ItemView]
    pools: list[PoolView]
    locations: list[LocationView]
    split: bool
