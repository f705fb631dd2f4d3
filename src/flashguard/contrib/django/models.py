"""What the app keeps in the shop's own database: the holds that the shop's transactions paid for."""

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

MAX_ID: Final = 255
"""Characters; FlashGuard's ids are shorter."""


class PaidHold(models.Model):
    """A hold that a transaction of the shop paid for.

    The row is written in that transaction, so that the confirm is never forgotten: as long as the row is
    pending, `flashguard_confirm_pending` confirms it, also late, with the receipt.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        CONFIRMED = "confirmed", _("confirmed")
        REFUSED = "refused", _("refused")

    reservation = models.CharField(max_length=MAX_ID, unique=True)
    receipt = models.TextField(blank=True)
    reference = models.CharField(
        max_length=MAX_ID, blank=True, db_index=True, help_text=_("the shop's own order number")
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING, db_index=True)
    code = models.CharField(max_length=64, blank=True, help_text=_("why it was refused, or what failed last"))
    refund = models.JSONField(
        null=True, blank=True, help_text=_("what to give back, in the currency's minor unit")
    )
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("paid hold")
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.reservation} ({self.state})"


class ListedSale(models.Model):
    """A sale of the settings. It has no table: the admin reads it from FlashGuard."""

    id = models.CharField(max_length=MAX_ID, primary_key=True)

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = _("sale")

    def __str__(self) -> str:
        return str(self.id)
