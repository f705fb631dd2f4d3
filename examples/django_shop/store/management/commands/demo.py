"""`manage.py demo [PORT]`: migrate, create an account for the admin, and serve."""

import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from store.models import OwnStock


class Command(BaseCommand):
    help = "Migrate, create an account for the admin, and serve the shop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("port", nargs="?", type=int, default=8080)
        parser.add_argument("--own", nargs="*", default=[], metavar="SKU=UNITS", help="the shop's own stock")

    def handle(self, *_: object, port: int, own: list[str], **__: Any) -> None:
        call_command("migrate", verbosity=0)
        for sku, _, units in (each.partition("=") for each in own):
            OwnStock.objects.update_or_create(sku=sku, defaults={"units": int(units)})
        users = get_user_model()
        if not users.objects.filter(username="admin").exists():
            password = secrets.token_urlsafe(12)
            users.objects.create_superuser("admin", password=password)
            self.stdout.write(f"Admin: http://127.0.0.1:{port}/admin/ as admin with {password}")
        self.stdout.write(f"Shop:  http://127.0.0.1:{port}/")
        self.stdout.flush()
        call_command("runserver", f"127.0.0.1:{port}", use_reloader=False, insecure_serving=True)
