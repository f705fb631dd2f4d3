"""`manage.py note_paid`: note the orders of buyers who paid and did not come back; once a minute by cron."""

from datetime import timedelta
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.utils import timezone

from store.models import Order
from store.provider import note_if_paid

LATEST: Final = timedelta(days=1)
"""How long after a hold's time the shop asks for a payment that came late."""


class Command(BaseCommand):
    help = "Note the orders that a payment made while their buyer was away."

    def handle(self, *_: object, **__: Any) -> None:
        for order in Order.objects.filter(state="held", held_until__gte=timezone.now() - LATEST):
            note_if_paid(order)
