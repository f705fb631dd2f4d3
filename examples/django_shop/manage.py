"""A Django shop that sells with FlashGuard.

    python examples/django_shop/manage.py demo       # beside `make run`: migrates, then serves on port 8080

docs/how-to/django-shop.md explains it. The environment may name another FlashGuard (FLASHGUARD_URL,
SHOP_KEY), another sale (SHOP_SALE), a shadow sale (SHOP_SHADOW), the shop's database file
(SHOP_DATABASE), the shop's own payment provider (SHOP_PAYMENT_URL) or one of FlashGuard's (SHOP_PROVIDER).
"""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
