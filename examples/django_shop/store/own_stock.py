"""How this shop sold before: from its own stock, with FlashGuard beside it, one line per outcome.

It sells as many shops do: it reads the stock, takes the payment, then writes the rest. During a payment, two
buyers can read the same stock. FlashGuard learns of every outcome and shows how often that happens.
"""

import json

from django.db.models import F
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from flashguard.contrib.django.connection import shadow

from .models import OwnOrder, OwnStock
from .payment import take_payment


@csrf_exempt
@require_POST
def checkout(request: HttpRequest) -> JsonResponse:
    """Sell one basket, as this shop always did; then report it to FlashGuard."""
    body = json.loads(request.body)
    customer, sku, quantity = body["customer"], body["sku"], body["quantity"]
    stock = get_object_or_404(OwnStock, sku=sku)
    if stock.units < quantity:
        tell(customer, sku, quantity, "refused")
        return JsonResponse({"sold": False, "left": stock.units}, status=409)
    take_payment(customer)
    stock.units -= quantity
    stock.save()
    order = OwnOrder.objects.create(customer=customer, sku=sku, quantity=quantity)
    tell(customer, sku, quantity, "sold", order)
    return JsonResponse({"sold": True, "order": order.pk}, status=201)


@csrf_exempt
@require_POST
def give_back(request: HttpRequest, number: int) -> JsonResponse:
    """Take an order back; its units are on sale again."""
    order = get_object_or_404(OwnOrder, pk=number, returned=False)
    order.returned = True
    order.save()
    OwnStock.objects.filter(sku=order.sku).update(units=F("units") + order.quantity)
    tell(order.customer, order.sku, order.quantity, "returned", order)
    return JsonResponse({"returned": True})


def tell(customer: str, sku: str, quantity: int, shop: str, order: OwnOrder | None = None) -> None:
    """Report an outcome to the shadow sale, if there is one; takes microseconds."""
    reporter = shadow()
    if reporter is not None:
        name = None if order is None else f"order-{order.pk}"
        reporter.tell(customer, {sku: quantity}, shop, key=name, reference=name)
