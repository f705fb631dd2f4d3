"""A small Django shop with its own stock, and FlashGuard beside it: one line per outcome.

It sells as many shops do: it reads the stock, takes the payment, then writes the rest. During a payment, two
buyers can read the same stock. FlashGuard learns of every outcome and shows how often that happens.

    export FLASHGUARD_URL=… FLASHGUARD_KEY=… FLASHGUARD_SALE=…
    python examples/django_shop/shop.py fill sneaker=100
    python examples/django_shop/shop.py runserver --noreload 127.0.0.1:8080
"""

import json
import os
import sys
import urllib.request
from functools import cache

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from flashguard.client import Shadow

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.environ.get("SHOP_SECRET", "an example, for no real shop"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3"),
            "OPTIONS": {"timeout": 20},
        }
    },
    USE_TZ=True,
)
django.setup()


@cache
def shadow() -> Shadow:
    """Return the connection to FlashGuard; created once per process."""
    return Shadow(os.environ["FLASHGUARD_URL"], os.environ["FLASHGUARD_KEY"], os.environ["FLASHGUARD_SALE"])


@csrf_exempt
@require_POST
def checkout(request: HttpRequest) -> JsonResponse:
    """Sell one basket, as this shop always did; then report it to FlashGuard."""
    body = json.loads(request.body)
    customer, sku, quantity = body["customer"], body["sku"], body["quantity"]
    left = _stock(sku)
    if left < quantity:
        shadow().tell(customer, {sku: quantity}, "refused")
        return JsonResponse({"sold": False, "left": left}, status=409)
    _take_payment(customer)
    order = _sell(customer, sku, quantity, left - quantity)
    shadow().tell(customer, {sku: quantity}, "sold", key=f"order-{order}", reference=f"order-{order}")
    return JsonResponse({"sold": True, "order": order}, status=201)


@csrf_exempt
@require_POST
def give_back(request: HttpRequest, order: int) -> JsonResponse:
    """Take an order back; its units are on sale again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT customer, sku, quantity FROM orders WHERE id = %s AND NOT returned", [order])
        row = cursor.fetchone()
        if row is None:
            return JsonResponse({"returned": False}, status=404)
        customer, sku, quantity = row
        cursor.execute("UPDATE orders SET returned = 1 WHERE id = %s", [order])
        cursor.execute("UPDATE stock SET units = units + %s WHERE sku = %s", [quantity, sku])
    shadow().tell(customer, {sku: quantity}, "returned", key=f"order-{order}")
    return JsonResponse({"returned": True})


def _stock(sku: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT units FROM stock WHERE sku = %s", [sku])
        return int(cursor.fetchone()[0])


def _take_payment(customer: str) -> None:
    """Ask the payment provider, which takes some time."""
    url = os.environ.get("SHOP_PAYMENT_URL")
    if url:
        with urllib.request.urlopen(f"{url}?customer={customer}", timeout=30) as answer:
            answer.read()


def _sell(customer: str, sku: str, quantity: int, left: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE stock SET units = %s WHERE sku = %s", [left, sku])
        cursor.execute(
            "INSERT INTO orders (customer, sku, quantity) VALUES (%s, %s, %s)", [customer, sku, quantity]
        )
        return int(cursor.lastrowid)


def fill(stock: dict[str, int]) -> None:
    """Create the shop's tables, with this stock."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, units INTEGER NOT NULL)")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT,"
            " sku TEXT, quantity INTEGER, returned INTEGER NOT NULL DEFAULT 0)"
        )
        cursor.executemany("INSERT OR REPLACE INTO stock VALUES (%s, %s)", list(stock.items()))


urlpatterns = [path("checkout", checkout), path("orders/<int:order>/return", give_back)]
application = get_wsgi_application()

if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill({sku: int(units) for sku, units in (pair.split("=") for pair in sys.argv[2:])})
    else:
        execute_from_command_line(sys.argv)
