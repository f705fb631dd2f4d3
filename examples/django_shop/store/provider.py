"""How this shop sells where a payment provider of FlashGuard takes the money: SHOP_PROVIDER names it.

FlashGuard confirms a hold that is paid, or gives the money back. The shop begins the payment, and notes the
order when there is one.
"""

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from flashguard.client import ClientError, Refused
from flashguard.contrib.django.connection import client
from flashguard.contrib.django.shop import confirm_on_commit, customer_of

from .models import Order


@require_POST
def checkout(request: HttpRequest, number: int) -> HttpResponse:
    """Send the buyer to the provider's page, from which they come back to the order's."""
    order = get_object_or_404(Order, pk=number, customer=customer_of(request), state="held")
    back = request.build_absolute_uri(reverse("order", args=[order.pk]))
    payment = client().payments.begin(
        order.reservation, settings.SHOP_PROVIDER, success_url=back, cancel_url=back
    )
    if isinstance(payment, Refused):
        return render(request, "store/refused.html", {"code": payment.code}, status=409)
    return redirect(payment.url)


def note_if_paid(order: Order) -> None:
    """Note an order that a payment made. The hold is confirmed already, so this confirm takes no money and no
    unit: it writes the paid hold, and tells the receivers once."""
    try:
        held = client().reservation(order.reservation)
    except ClientError:
        return  # no answer now; the next look asks again
    if held.status == "confirmed":
        with transaction.atomic():
            Order.objects.filter(pk=order.pk, state="held").update(state="paid")
            confirm_on_commit(order.reservation, order.receipt, reference=f"order-{order.pk}")
        order.refresh_from_db()
