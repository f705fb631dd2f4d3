"""The caller itself: its key, its scopes and what it may do."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from flashguard.api.access import Caller, Right, Scope
from flashguard.api.schemas.answers import problems
from flashguard.api.schemas.views import json_response
from flashguard.api.security import requires

router = APIRouter(prefix="/v1", tags=["keys"])

RIGHTS: Final = [right.word for right in Right]
RightName = Literal[*RIGHTS]  # type: ignore[valid-type]


class CallerView(BaseModel):
    """The caller of this request."""

    key: str | None = Field(
        description="The API key's id; null for a buyer's token, and without a key", examples=["bootstrap"]
    )
    scopes: list[Scope] = Field(description="Of the API key; empty without one")
    rights: list[RightName] = Field(
        description="What the caller may do, for example `manage-sales`", examples=[["read-sales", "sell"]]
    )


@router.get("/caller", response_model=CallerView, responses=problems(401, 503))
async def read_caller(caller: Annotated[Caller, requires(Right.READ_CALLER)]) -> Response:
    """Read what the caller itself may do, so that a program offers nothing that would be refused."""
    rights = [right.word for right in Right if right.has(caller)]
    return json_response({"key": caller.key, "scopes": sorted(caller.scopes), "rights": rights})
