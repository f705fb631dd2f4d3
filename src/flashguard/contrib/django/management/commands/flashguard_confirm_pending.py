"""`manage.py flashguard_confirm_pending`: confirm what was paid for and is not confirmed yet."""

import time
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from flashguard.client import ClientError
from flashguard.contrib.django.shop import pending, settle

MOST_AT_ONCE: Final = 1000
"""Holds of one round."""


class Command(BaseCommand):
    help = "Confirm the holds that the shop's transactions paid for and that are still pending."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=float,
            default=10.0,
            metavar="SECONDS",
            help="leave younger ones to the request that paid for them (10)",
        )
        parser.add_argument(
            "--every", type=float, metavar="SECONDS", help="go on for ever, a round each so many seconds"
        )
        parser.add_argument("--database", help="the database of the shop's transactions")

    def handle(self, *_: object, **options: Any) -> None:
        while True:
            failed = self._round(options["older_than"], options["database"])
            if options["every"] is None:
                if failed:
                    raise CommandError(f"{failed} paid holds are still pending; run this again.")
                return
            time.sleep(max(0.1, options["every"]))

    def _round(self, older_than: float, database: str | None) -> int:
        """Confirm the pending holds; return how many could not be confirmed now."""
        failed = 0
        for hold in pending(older_than, using=database)[:MOST_AT_ONCE]:
            try:
                state = settle(hold)
            except ClientError as error:
                failed += 1
                self.stderr.write(f"{hold.reservation}: {error}")
            except Exception as error:  # a receiver's: the other holds must not wait for it
                failed += 1
                self.stderr.write(f"{hold.reservation}: {type(error).__name__}: {error}")
            else:
                self.stdout.write(f"{hold.reservation}: {state} {hold.code}".rstrip())
        return failed
