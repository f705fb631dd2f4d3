"""What calls about keys and tokens look like."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from flashguard.access.tokens import MAX_TOKEN_SECONDS
from flashguard.api.access import Scope

from .bodies import Body, Customer, Name

DAY_SECONDS: Final = 86_400
LONGEST_KEY_SECONDS: Final = 10 * 366 * DAY_SECONDS
LONGEST_GRACE_SECONDS: Final = 30 * DAY_SECONDS


class KeyBody(Body):
    """A key to make."""

    name: Name = Field(description="Who will use it, for people", examples=["shop server"])
    scopes: list[Annotated[Scope, Field(strict=False)]] = Field(min_length=1, max_length=len(Scope))
    expires_in_seconds: int | None = Field(None, ge=60, le=LONGEST_KEY_SECONDS)


class KeyRotateBody(Body):
    """How a key hands over to its successor."""

    grace_seconds: int = Field(
        DAY_SECONDS, ge=0, le=LONGEST_GRACE_SECONDS, description="How long the old one still counts"
    )


class KeyView(BaseModel):
    id: str
    name: str
    hint: str = Field(description="The key's last characters")
    scopes: list[Scope]
    status: Literal["live", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To within some ten seconds")
    revoked_at: datetime | None
    rotated_to: str | None = Field(description="The id of its successor")


class NewKeyView(KeyView):
    key: str | None = Field(
        description="The key itself: shown here, and never again; null in the answer to a retry"
    )


class SigningKeyView(BaseModel):
    id: str = Field(description="What its tokens name as `kid`")
    signs_from: datetime
    ends_at: datetime | None = Field(description="When nothing that it signed counts any more")


class SigningKeysView(BaseModel):
    data: list[SigningKeyView]
    next_cursor: None


class SigningKeysRotateBody(Body):
    """How the signing keys hand over."""

    revoke: bool = Field(False, description="Whether all tokens handed out so far stop counting at once")


class BuyerTokenBody(Body):
    """Whom a token shall speak for."""

    customer: Customer
    expires_in_seconds: int | None = Field(
        None,
        ge=1,
        le=MAX_TOKEN_SECONDS,
        description="At most FLASHGUARD_BUYER_TOKEN_SECONDS, which is also the default",
    )


class BuyerTokenView(BaseModel):
    id: str = Field(description="To revoke it by")
    token: str
    sale_id: str
    customer: str
    expires_at: datetime


class RevokedTokenView(BaseModel):
    id: str
    revoked: Literal[True]
