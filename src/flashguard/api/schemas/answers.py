"""Shapes that many calls return: a page of rows, and the problem of RFC 9457."""

from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, Field

from .orders import LineView

T = TypeVar("T")

ETAG: Final = {
    "ETag": {
        "description": "Names this state of the sale. Send it as `If-None-Match` with the next read.",
        "schema": {"type": "string"},
    }
}
NOT_MODIFIED: Final[dict[str, Any]] = {
    "description": "The answer that the caller has is still the newest",
    "headers": ETAG,
}


class PageView(BaseModel, Generic[T]):
    """A page of rows. The contract names its schemas `Page_SaleView_` and so on."""

    __qualname__ = "Page"

    data: list[T]
    next_cursor: str | None

    @classmethod
    def model_parametrized_name(cls, params: tuple[type[Any], ...]) -> str:
        return f"Page[{params[0].__name__}]"


class AmountView(BaseModel):
    currency: str
    amount_minor: int


class RefundView(BaseModel):
    """What a shop that was paid for the hold should refund."""

    items: list[LineView]
    amounts: list[AmountView]


class FieldError(BaseModel):
    where: str
    what: str


class ProblemView(BaseModel):
    """An RFC 9457 problem."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    sku: str | None = None
    available: int | None = None
    pool: str | None = None
    limit: int | None = None
    used: int | None = Field(None, description="Units that count for the limit already", examples=[2])
    by: str | None = Field(None, description="The identity that the limit counts by", examples=["card"])
    retry_after_seconds: float | None = None
    refund: RefundView | None = None
    errors: list[FieldError] | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with these problem statuses."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
    return {status: {"model": ProblemView, "content": content} for status in statuses}
