"""Who is calling: the scopes of an API key, or the customer and the sale of a buyer's token."""

import hmac
from enum import StrEnum
from typing import Final

from msgspec import Struct

from flashguard.access.identities import KEY_PREFIX, Identities, digest_of
from flashguard.access.tokens import MAX_TOKEN, UNKNOWN_KEY, Claims, Kind
from flashguard.api.responses.problems import ProblemError
from flashguard.errors import Code
from flashguard.model import CustomerId, Refused, SaleId
from flashguard.settings import Settings

BEARER: Final = b"bearer "
BOOTSTRAP_ID: Final = "bootstrap"
"""Stands for FLASHGUARD_ADMIN_KEY where a key's id is shown."""


class Scope(StrEnum):
    """What a key may be used for. `admin` may do all that the others may."""

    ADMIN = "admin"
    SHOP = "shop"
    READ = "read"


class Caller(Struct, frozen=True):
    """Who is calling.

    Parameters:
        scopes: of an API key; empty for a buyer, and for anybody without a key.
        key: the API key's id; None without one.
        customer: whom a buyer's token speaks for; None without one.
        sale: the one sale that the token is for.
        token: the token's id.
    """

    scopes: frozenset[Scope] = frozenset()
    key: str | None = None
    customer: CustomerId | None = None
    sale: SaleId | None = None
    token: str | None = None

    @property
    def is_buyer(self) -> bool:
        return self.customer is not None

    @property
    def is_shop(self) -> bool:
        """Whether an API key was sent: with any scope, it is the shop's, and may see drafts."""
        return self.key is not None

    @property
    def is_anonymous(self) -> bool:
        """Nobody said who calls: only in development."""
        return self.key is None and self.customer is None


class Rights:
    """Who may make a call.

    Parameters:
        scopes: a key needs one of these; one with `admin` has them all.
        buyer: whether a buyer's token will do; what it may do then is the call's to say.
        anonymous: whether in development nothing is needed; what is sent is checked all the same.
    """

    def __init__(self, *scopes: Scope, buyer: bool = False, anonymous: bool = False) -> None:
        self.scopes = frozenset((Scope.ADMIN, *scopes))
        self.buyer = buyer
        self.anonymous = anonymous

    def lets(self, caller: Caller) -> bool:
        """Whether one who said who they are may make the call."""
        return self.buyer if caller.customer is not None else not self.scopes.isdisjoint(caller.scopes)


SELLS: Final = Rights(Scope.SHOP, buyer=True, anonymous=True)
LOOKS: Final = Rights(Scope.SHOP, Scope.READ, buyer=True, anonymous=True)
ANONYMOUS: Final = Caller()
ADMIN: Final = Caller(frozenset(Scope), BOOTSTRAP_ID)
REFUSED: Final = Refused(code=Code.UNAUTHENTICATED)
UNKNOWN: Final = Refused(code=Code.UNAUTHENTICATED, detail="The key is not known, or not any more.")


class Callers:
    """Tells callers from what they send. A key or a token that was seen before costs microseconds.

    What is compared is a hash: however long a comparison takes, it tells nothing of the secret.
    """

    def __init__(self, settings: Settings, identities: Identities) -> None:
        self.identities = identities
        admin = settings.admin_key.get_secret_value() if settings.admin_key else ""
        self._admin = digest_of(admin.encode()) if admin else b""
        self._of_scopes: dict[tuple[str, tuple[str, ...]], Caller] = {}

    def of(self, authorization: bytes) -> Caller | Refused:
        """The caller who sent this `Authorization`, as far as this process knows."""
        secret = authorization[len(BEARER) :].strip()
        if authorization[: len(BEARER)].lower() != BEARER or not 0 < len(secret) <= MAX_TOKEN:
            return REFUSED
        digest = digest_of(secret)
        if hmac.compare_digest(digest, self._admin):
            return ADMIN
        key = self.identities.key(digest)
        if key is not None:
            return self._with_key(key.id, key.scopes)
        if secret.startswith(KEY_PREFIX.encode()):
            return UNKNOWN
        if secret.count(b".") != 2:
            return REFUSED
        claims = self.identities.ring.verify(Kind.BUYER, secret, digest)
        if isinstance(claims, Claims):
            # Exactly as it was signed: the id was made the one that counts when the token was minted.
            return Caller(customer=CustomerId(claims.subject), sale=claims.sale, token=claims.id)
        return claims

    async def find(self, authorization: bytes) -> Caller:
        """The caller; a key that this process does not know is looked up, for it may be new.

        Raises:
            ProblemError: what was sent is no good.
            LedgerAway: nobody can tell.
        """
        found = self.of(authorization)
        if found is UNKNOWN or found is UNKNOWN_KEY:
            await self.identities.look()
            found = self.of(authorization)
        if isinstance(found, Refused):
            raise ProblemError(found)
        return found

    def _with_key(self, id_: str, scopes: tuple[str, ...]) -> Caller:
        caller = self._of_scopes.get((id_, scopes))
        if caller is None:
            if len(self._of_scopes) > 10_000:
                self._of_scopes.clear()
            given = frozenset(map(Scope, scopes))
            caller = Caller(frozenset(Scope) if Scope.ADMIN in given else given, id_)
            self._of_scopes[id_, scopes] = caller
        return caller
