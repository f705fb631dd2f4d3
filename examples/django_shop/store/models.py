"""The shop's own tables: its orders; and its own stock, from before FlashGuard."""

from django.db import models


class Order(models.Model):
    """A buyer's order: held, then paid, then confirmed by FlashGuard; or to be refunded."""

    customer = models.CharField(max_length=200)
    sku = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    reservation = models.CharField(max_length=255, unique=True)
    receipt = models.TextField()
    held_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=16, default="held")  # held, paid, confirmed, refund-due


class OwnStock(models.Model):
    sku = models.CharField(max_length=200, primary_key=True)
    units = models.IntegerField()


class OwnOrder(models.Model):
    """An order from the shop's own stock."""

    customer = models.CharField(max_length=200)
    sku = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    returned = models.BooleanField(default=False)
