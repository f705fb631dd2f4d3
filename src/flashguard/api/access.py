"""Who is calling, and what a caller may do. Knows no web framework: AWS Lambda's hot calls import it."""

import hmac
from enum import Enum, StrEnum
from typing import Final

from msgspec import Struct

from flashguard.access.identities import KEY_PREFIX, Identities, digest_of
from flashguard.access.tokens import MAX_TOKEN, UNKNOWN_KEY, Claims, TokenKind
from flashguard.api.responses.problems import RefusedError
from flashguard.errors import Code
from flashguard.model import CustomerId, Refused, SaleId
from flashguard.model.limits import HashedIdentities
from flashguard.settings import Settings

BEARER: Final = b"bearer "
BOOTSTRAP_ID: Final = "bootstrap"
"""Stands for FLASHGUARD_ADMIN_KEY where a key's id is shown."""
MAX_CALLERS: Final = 10_000
"""API keys whose `Caller` is kept between requests."""


class Scope(StrEnum):
    """What an API key may be used for. `admin` includes the others."""

    ADMIN = "admin"
    SHOP = "shop"
    READ = "read"


class Caller(Struct, frozen=True):
    """The caller of one request.

    Parameters:
        scopes: of the API key; empty for a buyer and for a caller without a key.
        key: the API key's id; None without one.
        customer: the customer that a buyer's token speaks for; None without a token.
        sale: the only sale that the token is valid for.
        token: the token's id.
        identities: those that the token carries; None where it carries none.
        pays: whether a buyer's orders need a payment here: a payment provider is set.
    """

    scopes: frozenset[Scope] = frozenset()
    key: str | None = None
    customer: CustomerId | None = None
    sale: SaleId | None = None
    token: str | None = None
    identities: HashedIdentities | None = None
    pays: bool = False

    @property
    def is_shop(self) -> bool:
        """Whether the caller sent an API key. A key of any scope belongs to the shop and may see drafts."""
        return self.key is not None


class Right(Enum):
    """One thing a caller may do. This is the table of who may do what.

    The columns: what the right allows; the scopes of which an API key needs one (`admin` has every right);
    whether a buyer's token is enough (the call then limits the buyer to its own customer and sale); whether a
    caller without a key or token has the right in development mode.
    """

    SELL = "hold, buy, confirm, amend, release, extend and wait for units", {Scope.SHOP}, True, True
    SELL_MANY = "hold and buy for many customers in one call", {Scope.SHOP}
    READ_SALES = "read sales, reservations, tickets and places", {Scope.SHOP, Scope.READ}, True, True
    READ_RESERVATIONS = (
        "list the reservations of a sale; without an API key only one customer's live holds",
        {Scope.SHOP, Scope.READ},
        True,
        True,
    )
    READ_ORDERS = "read orders, payments and the report of a shadow", {Scope.SHOP, Scope.READ}
    CHANGE_ORDERS = "amend and cancel orders", {Scope.SHOP}
    TRANSFER = "transfer holds to another customer", {Scope.SHOP}, False, True
    MINT_TOKENS = "mint buyers' tokens", {Scope.SHOP}
    REVOKE_TOKENS = "revoke buyers' tokens", {Scope.SHOP}
    RECORD_ATTEMPTS = "record what the shop's own stock decided", {Scope.SHOP}
    READ_FACTS = "read the feed of facts", {Scope.READ}
    READ_AUDIT = "read the audit of a sale", {Scope.READ}
    READ_CALLER = "read what the caller itself may do", {Scope.SHOP, Scope.READ}, True, True
    READ_SYSTEM = "read the system's state and metrics", {Scope.READ}, False, True
    MANAGE_SALES = "create, import and change sales", set[Scope]()
    MANAGE_KEYS = "manage API keys and signing keys", set[Scope]()
    MANAGE_WEBHOOKS = "manage webhooks", set[Scope]()
    RUN_SIMULATIONS = "start, list and stop simulations", set[Scope]()
    READ_ADMIN_LOG = "read the admin log", set[Scope]()

    def __init__(
        self, allows_to: str, scopes: set[Scope], for_buyers: bool = False, for_anonymous: bool = False
    ) -> None:
        self.allows_to = allows_to
        self.scopes = frozenset({Scope.ADMIN, *scopes})
        self.for_buyers = for_buyers
        self.for_anonymous = for_anonymous

    @property
    def is_logged(self) -> bool:
        """Whether the admin log has the calls with this right that change something: those that only `admin`
        may make, and those with which the shop's server takes back what a buyer has."""
        return self.scopes == {Scope.ADMIN} or self in (Right.CHANGE_ORDERS, Right.REVOKE_TOKENS)

    def allows(self, caller: Caller) -> bool:
        """Return whether an identified caller has this right."""
        return self.for_buyers if caller.customer is not None else not self.scopes.isdisjoint(caller.scopes)

    def has(self, caller: Caller) -> bool:
        """Return whether a caller that was let in has this right, also one without a key or token."""
        return self.for_anonymous if caller is ANONYMOUS else self.allows(caller)

    @property
    def word(self) -> str:
        """The right's name in the contract."""
        return self.name.lower().replace("_", "-")


ANONYMOUS: Final = Caller()
"""A caller without a key or token; accepted only in development mode."""
ADMIN: Final = Caller(frozenset(Scope), BOOTSTRAP_ID)
UNAUTHENTICATED: Final = Refused(code=Code.UNAUTHENTICATED)
UNKNOWN_API_KEY: Final = Refused(code=Code.UNAUTHENTICATED, detail="Unknown or revoked API key.")


class Callers:
    """Identifies callers by the `Authorization` header. A known key or token costs microseconds.

    Only hashes are compared, so the time of a comparison reveals nothing about the secret.
    """

    def __init__(self, settings: Settings, identities: Identities) -> None:
        self.identities = identities
        admin = settings.admin_key.get_secret_value() if settings.admin_key else ""
        self._admin = digest_of(admin.encode()) if admin else b""
        self._of_keys: dict[tuple[str, tuple[str, ...]], Caller] = {}
        self._buyers_pay = bool(settings.payment_providers)

    def identify(self, authorization: bytes) -> Caller | Refused:
        """Return the caller who sent this `Authorization`, as far as this process knows the key."""
        secret = authorization[len(BEARER) :].strip()
        if authorization[: len(BEARER)].lower() != BEARER or not 0 < len(secret) <= MAX_TOKEN:
            return UNAUTHENTICATED
        digest = digest_of(secret)
        if hmac.compare_digest(digest, self._admin):
            return ADMIN
        key = self.identities.key(digest)
        if key is not None:
            return self._with_key(key.id, key.scopes)
        if secret.startswith(KEY_PREFIX.encode()):
            return UNKNOWN_API_KEY
        if secret.count(b".") != 2:
            return UNAUTHENTICATED
        claims = self.identities.ring.verify(TokenKind.BUYER, secret, digest)
        if isinstance(claims, Claims):
            # The customer exactly as signed: it was normalized when the token was minted.
            identities = claims.more.get("identities")
            return Caller(
                customer=CustomerId(claims.subject), sale=claims.sale, token=claims.id,
                identities=HashedIdentities(identities) if identities else None, pays=self._buyers_pay,
            )  # fmt: skip
        return claims

    async def find(self, authorization: bytes) -> Caller:
        """Return the caller; an unknown key triggers a lookup in the ledger, because it may be new.

        Raises:
            RefusedError: the key or token is not valid.
            LedgerAway: the key is unknown here and the ledger does not answer.
        """
        found = self.identify(authorization)
        if found is UNKNOWN_API_KEY or found is UNKNOWN_KEY:
            await self.identities.reload()
            found = self.identify(authorization)
        if isinstance(found, Refused):
            raise RefusedError(found)
        return found

    def _with_key(self, id_: str, scopes: tuple[str, ...]) -> Caller:
        caller = self._of_keys.get((id_, scopes))
        if caller is None:
            if len(self._of_keys) > MAX_CALLERS:
                self._of_keys.clear()
            given = frozenset(map(Scope, scopes))
            caller = Caller(frozenset(Scope) if Scope.ADMIN in given else given, id_)
            self._of_keys[id_, scopes] = caller
        return caller
