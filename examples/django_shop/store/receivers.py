"""What this shop does when FlashGuard has confirmed a paid hold, or can't."""

from django.dispatch import receiver

from flashguard.contrib.django.models import PaidHold
from flashguard.contrib.django.shop import confirmed, refused

from .models import Order


@receiver(confirmed)
def order_is_confirmed(hold: PaidHold, **_: object) -> None:
    Order.objects.filter(reservation=hold.reservation).update(state="confirmed")


@receiver(refused)
def order_is_refunded(hold: PaidHold, **_: object) -> None:
    """A real shop queues the refund of `hold.refund` here; this is in the transaction that notes it."""
    Order.objects.filter(reservation=hold.reservation).update(state="refund-due")
