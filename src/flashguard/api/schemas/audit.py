"""The view of a sale's audit."""

from typing import Literal

from pydantic import BaseModel, Field


class ItemAuditView(BaseModel):
    sku: str = Field(description="The item, or the pool")
    kind: Literal["item", "pool", "location"]
    location: str | None = Field(description="Of an item at one location; else null")
    stock: int | None = Field(description="Null of an item that only draws from pools, like `available`")
    available: int | None
    held: int
    sold: int
    memory_stock: int | None
    memory_held: int | None
    memory_sold: int | None
    tail_entries: int
    returning: int = Field(description="Units of expired holds that are not back in stock yet")
    returning_seconds: float = Field(description="Seconds since the oldest of them expired")
    oversold: int
    differences: list[str]
    ok: bool
    in_transit: int = Field(
        description="Units moving between shards of a spread sale: in stock and available"
    )


class SaleAuditView(BaseModel):
    sale_id: str
    ok: bool
    orders: int
    refused: int
    differences: list[str]
    items: list[ItemAuditView]
    parts: list["SaleAuditView"] = Field(description="Of a spread sale: the audits of its shards")
