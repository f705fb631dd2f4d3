"""`settings.FLASHGUARD`, checked."""

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from msgspec import Struct, ValidationError, convert, field

MAX_SALES: Final = 100
"""The admin and the commands read each of them."""


class ShopSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shop sets in `settings.FLASHGUARD`.

    Parameters:
        url: FlashGuard's address.
        key: an API key of the scope `shop`; without one, only what development allows.
        sales: the ids of the sales that the shop sells from; `reserve` takes the first unless told otherwise.
        shadow: the id of a shadow sale, to run FlashGuard beside the shop's own stock.
        customer: the dotted path of a function from a request to the buyer's id, in place of `customer_of`.
        most_seconds: maximum seconds that a call may take, with its retries.
    """

    url: str = field(name="URL")
    key: str | None = field(name="KEY", default=None)
    sales: tuple[str, ...] = field(name="SALES", default=())
    shadow: str | None = field(name="SHADOW", default=None)
    customer: str | None = field(name="CUSTOMER", default=None)
    most_seconds: float = field(name="MOST_SECONDS", default=10.0)


def shop_settings() -> ShopSettings:
    """Return the shop's settings.

    Raises:
        ImproperlyConfigured: they are missing or wrong; the message says what to change.
    """
    given: Any = getattr(settings, "FLASHGUARD", None)
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(
            'settings.FLASHGUARD is missing: FLASHGUARD = {"URL": "http://127.0.0.1:8000", "SALES": ["demo"]}'
        )
    try:
        read = convert(dict(given), ShopSettings)
    except ValidationError as error:
        raise ImproperlyConfigured(f"settings.FLASHGUARD: {error}") from error
    if not read.url.startswith(("http://", "https://")):
        raise ImproperlyConfigured(
            f"settings.FLASHGUARD: URL {read.url!r} is not an address such as http://…"
        )
    if len(read.sales) > MAX_SALES or not (read.sales or read.shadow):
        raise ImproperlyConfigured(
            f"settings.FLASHGUARD: SALES needs 1 to {MAX_SALES} ids of sales, or SHADOW one"
        )
    if read.most_seconds <= 0:
        raise ImproperlyConfigured("settings.FLASHGUARD: MOST_SECONDS must be more than 0")
    return read
