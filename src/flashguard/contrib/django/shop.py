"""What a shop's views call: hold for this buyer, and confirm after the shop's own commit."""

import logging
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
from django.db import models, router, transaction
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string

from flashguard.client import ClientError, Granted, Outcome, Reservation
from flashguard.client.calls import Basket

from .conf import shop_settings
from .connection import client
from .models import PaidHold

log = logging.getLogger("flashguard.django")

GUEST: Final = "flashguard_guest"
"""The session's entry with a guest's id."""

confirmed = Signal()
"""A paid hold is an order: `hold` is the `PaidHold`, `reservation` FlashGuard's. Receivers run in the
transaction that notes it: if one raises, the hold stays pending, and the next attempt calls them again."""
refused = Signal()
"""A paid hold can't be an order: `hold` has the `code` and the `refund` that the shop owes."""


def customer_of(request: HttpRequest) -> str:
    """Return the buyer's id: the user's, or one that a guest's session keeps over a login."""
    chosen = shop_settings().customer
    if chosen is not None:
        return str(import_string(chosen)(request))
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return f"user-{user.pk}"
    return str(request.session.setdefault(GUEST, f"guest-{uuid.uuid4().hex}"))


def reserve(
    request: HttpRequest,
    items: Basket,
    *,
    sale: str | None = None,
    customer: str | None = None,
    key: str | None = None,
    admission: str | None = None,
    reference: str | None = None,
    metadata: Mapping[str, str] | None = None,
    identities: Mapping[str, str] | None = None,
) -> Outcome:
    """Hold units for this request's buyer; return `Granted` or `Refused`.

    Parameters:
        items: quantities by sku.
        sale: None: the first of the settings.
        customer: None: `customer_of(request)`.
        key: names the attempt, for example from a hidden field of the form: a form that is sent twice
            holds once.
        admission, reference, metadata, identities: as for `Client.reserve`.

    Raises:
        ClientError: FlashGuard did not answer, or the request must be corrected.
    """
    return client().reserve(
        sale or shop_settings().sales[0],
        customer or customer_of(request),
        items,
        key=key,
        admission=admission,
        reference=reference,
        metadata=metadata,
        identities=identities,
    )


def confirm_on_commit(
    reservation: Reservation | str,
    receipt: str | None = None,
    *,
    reference: object = "",
    using: str | None = None,
) -> PaidHold:
    """Note in the shop's transaction that a hold is paid, and confirm it after the commit.

    Call it where the shop writes its order as paid, in the same transaction. If the transaction rolls back,
    nothing is confirmed. If the process dies after the commit, or FlashGuard does not answer, the note stays
    pending, and `manage.py flashguard_confirm_pending` confirms it.

    Parameters:
        reservation: the hold, or its id with its `receipt`.
        reference: the shop's own order number.
        using: the database of the shop's transaction.

    Returns:
        the note; call its `refresh_from_db()` after the transaction to see what came of it.

    Raises:
        TransactionManagementError: there is no transaction, so the shop's order and the note could differ.
    """
    database = using or router.db_for_write(PaidHold)
    if not transaction.get_connection(database).in_atomic_block:
        raise transaction.TransactionManagementError(
            "confirm_on_commit must be called in the transaction that writes the shop's order: "
            "with transaction.atomic(): …"
        )
    if isinstance(reservation, Reservation):
        receipt = receipt or reservation.receipt
    id_ = reservation.id if isinstance(reservation, Reservation) else reservation
    hold, _ = PaidHold.objects.using(database).get_or_create(
        reservation=id_, defaults={"receipt": receipt or "", "reference": str(reference)}
    )
    if hold.state == PaidHold.State.PENDING:
        transaction.on_commit(lambda: _settle_or_log(hold), using=database)
    return hold


def pending(older_than_seconds: float = 0.0, *, using: str | None = None) -> "models.QuerySet[PaidHold]":
    """Return the paid holds that are neither confirmed nor refused, oldest first."""
    before = timezone.now() - timedelta(seconds=older_than_seconds)
    rows = PaidHold.objects.using(using or router.db_for_write(PaidHold))
    return rows.filter(state=PaidHold.State.PENDING, created_at__lte=before).order_by("created_at", "id")


def settle(hold: PaidHold) -> str:
    """Confirm a paid hold, note what came of it and tell the receivers; return its state.

    It may be called any number of times, by any number of processes: FlashGuard confirms a hold once, and the
    receivers' transaction is committed once.

    Raises:
        ClientError: FlashGuard did not answer, or does not accept the key; the hold stays pending.
    """
    database = hold._state.db
    outcome = client().confirm(hold.reservation, receipt=hold.receipt or None)
    noted: dict[str, Any] = {"state": PaidHold.State.CONFIRMED, "code": "", "settled_at": timezone.now()}
    if not isinstance(outcome, Granted):
        refund = None if outcome.refund is None else msgspec.to_builtins(outcome.refund)
        noted |= {"state": PaidHold.State.REFUSED, "code": str(outcome.code), "refund": refund}
    with transaction.atomic(using=database):
        rows = PaidHold.objects.using(database).filter(pk=hold.pk, state=PaidHold.State.PENDING)
        first = rows.update(**noted) == 1
        hold.refresh_from_db(using=database)
        if first and isinstance(outcome, Granted):
            confirmed.send(PaidHold, hold=hold, reservation=outcome.reservation)
        elif first:
            refused.send(PaidHold, hold=hold)
    return str(hold.state)


def _settle_or_log(hold: PaidHold) -> None:
    """Confirm after the commit. The shop's order stands already, so nothing is raised into its view."""
    try:
        settle(hold)
    except ClientError as error:
        log.warning("%s is paid and not confirmed yet: %s", hold.reservation, error)
        _note_failure(hold, error)
    except Exception:
        log.exception("%s is paid, and noting its confirm failed; it stays pending", hold.reservation)


def _note_failure(hold: PaidHold, error: ClientError) -> None:
    code = str(getattr(error, "code", "")) or type(error).__name__
    rows = PaidHold.objects.using(hold._state.db).filter(pk=hold.pk, state=PaidHold.State.PENDING)
    rows.update(code=code[:64])
