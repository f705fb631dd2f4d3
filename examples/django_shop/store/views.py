"""How this shop sells with FlashGuard: hold, take the payment, confirm after the shop's own commit."""

import uuid

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from flashguard.client import Granted, NoAnswer
from flashguard.contrib.django.conf import shop_settings
from flashguard.contrib.django.connection import client
from flashguard.contrib.django.shop import confirm_on_commit, customer_of, reserve

from .models import Order
from .payment import take_payment
from .provider import note_if_paid


@require_GET
def front(request: HttpRequest) -> HttpResponse:
    """Show what is on sale. The form has an attempt's name: sent twice, it holds once."""
    sale = client().sale(shop_settings().sales[0])
    return render(request, "store/front.html", {"sale": sale, "attempt": uuid.uuid4().hex})


@require_POST
def hold(request: HttpRequest) -> HttpResponse:
    """Hold units for this buyer, and keep the receipt in the shop's order."""
    sku, quantity = request.POST["sku"], int(request.POST.get("quantity", 1))
    try:
        outcome = reserve(request, {sku: quantity}, key=f"shop-{request.POST['attempt']}")
    except NoAnswer:
        return render(request, "store/refused.html", {"code": "try-again"}, status=503)
    if not isinstance(outcome, Granted):
        return render(request, "store/refused.html", {"code": outcome.code}, status=409)
    held = outcome.reservation
    order, _ = Order.objects.get_or_create(
        reservation=held.id,
        defaults={
            "customer": held.customer,
            "sku": sku,
            "quantity": quantity,
            "receipt": held.receipt,
            "held_until": held.expires_at,
        },
    )
    return redirect("order", order.pk)


@require_POST
def pay(request: HttpRequest, number: int) -> HttpResponse:
    """Take the payment. The order is written as paid, and the confirm follows that transaction's commit."""
    order = get_object_or_404(Order, pk=number, customer=customer_of(request), state="held")
    take_payment(order.customer)
    with transaction.atomic():
        Order.objects.filter(pk=order.pk, state="held").update(state="paid")
        confirm_on_commit(order.reservation, order.receipt, reference=f"order-{order.pk}")
    return redirect("order", order.pk)


@require_GET
def show(request: HttpRequest, number: int) -> HttpResponse:
    order = get_object_or_404(Order, pk=number, customer=customer_of(request))
    if settings.SHOP_PROVIDER and order.state == "held":
        note_if_paid(order)
    return render(request, "store/order.html", {"order": order})
