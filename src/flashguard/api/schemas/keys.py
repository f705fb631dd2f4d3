"""The bodies and views of API keys, signing keys and buyers' tokens."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from flashguard.access.tokens import MAX_TOKEN_SECONDS
from flashguard.api.access import Scope

from .bodies import IDENTITIES, Customer, Identities, Name, RequestBody

DAY_SECONDS: Final = 86_400
LONGEST_KEY_SECONDS: Final = 10 * 366 * DAY_SECONDS
LONGEST_GRACE_SECONDS: Final = 30 * DAY_SECONDS


class KeyBody(RequestBody):
    """A key to create."""

    name: Name = Field(description="The user of the key, for people", examples=["shop server"])
    scopes: list[Annotated[Scope, Field(strict=False)]] = Field(min_length=1, max_length=len(Scope))
    expires_in_seconds: int | None = Field(None, ge=60, le=LONGEST_KEY_SECONDS)


class KeyRotateBody(RequestBody):
    """How a key is replaced by its successor."""

    grace_seconds: int = Field(
        DAY_SECONDS, ge=0, le=LONGEST_GRACE_SECONDS, description="Seconds that the old key stays valid"
    )


class KeyView(BaseModel):
    id: str
    name: str
    hint: str = Field(description="The key's last characters")
    scopes: list[Scope]
    status: Literal["live", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Accurate to about ten seconds")
    revoked_at: datetime | None
    rotated_to: str | None = Field(description="The id of its successor")


class NewKeyView(KeyView):
    key: str | None = Field(
        description="The key itself, shown only in this answer; null in the answer to a retry"
    )


class SigningKeyView(BaseModel):
    id: str = Field(description="The `kid` of its tokens")
    signs_from: datetime
    ends_at: datetime | None = Field(description="When its tokens become invalid")


class SigningKeysView(BaseModel):
    data: list[SigningKeyView]
    next_cursor: None


class SigningKeysRotateBody(RequestBody):
    """How the signing keys are replaced."""

    revoke: bool = Field(False, description="Whether all tokens minted so far become invalid at once")


class BuyerTokenBody(RequestBody):
    """The customer of a new token."""

    customer: Customer
    expires_in_seconds: int | None = Field(
        None,
        ge=1,
        le=MAX_TOKEN_SECONDS,
        description="At most FLASHGUARD_BUYER_TOKEN_SECONDS, which is also the default",
    )
    identities: Identities | None = Field(None, description=IDENTITIES)


class BuyerTokenView(BaseModel):
    id: str = Field(description="The token's id, to revoke it")
    token: str
    sale_id: str
    customer: str
    expires_at: datetime


class RevokedTokenView(BaseModel):
    id: str
    revoked: Literal[True]
