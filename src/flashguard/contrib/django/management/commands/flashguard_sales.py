"""`manage.py flashguard_sales`: show the shop's sales, and the orders that the shop does not know."""

from argparse import ArgumentParser
from itertools import islice
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from flashguard.client import ClientError
from flashguard.contrib.django.conf import shop_settings
from flashguard.contrib.django.connection import client
from flashguard.contrib.django.models import PaidHold
from flashguard.errors import Code

CHUNK: Final = 500
"""Ids that one query asks for."""


class Command(BaseCommand):
    help = "Show the sales of settings.FLASHGUARD as FlashGuard has them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--compare", action="store_true", help="list the orders that have no paid hold in this shop, too"
        )

    def handle(self, *_: object, **options: Any) -> None:
        try:
            for id_ in shop_settings().sales:
                self._show(id_)
                if options["compare"]:
                    self._compare(id_)
        except ClientError as error:
            unknown = getattr(error, "code", None) == Code.UNAUTHENTICATED
            raise CommandError(
                f"{error} See KEY of settings.FLASHGUARD." if unknown else str(error)
            ) from error

    def _show(self, id_: str) -> None:
        sale = client().sale(id_)
        self.stdout.write(f"{sale.id}: {sale.name} ({sale.status})")
        for item in sale.items:
            self.stdout.write(f"  {item.sku}: {item.available} available, {item.held} held, {item.sold} sold")

    def _compare(self, id_: str) -> None:
        """Write the orders without a paid hold: bought past this shop, or their row was lost."""
        orders = client().orders(id_)
        while chunk := {order.id: order for order in islice(orders, CHUNK)}:
            known = PaidHold.objects.filter(reservation__in=chunk).values_list("reservation", flat=True)
            for unknown in chunk.keys() - set(known):
                order = chunk[unknown]
                self.stdout.write(f"  no paid hold: {order.id} {order.status} of {order.customer}")
