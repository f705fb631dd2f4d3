"""Delivers the messages that the recorder wrote: at least once, in order per reservation, by endpoint.

Several deliverers may run: one statement with a row lock leases a message to one of them.
"""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from typing import Final

import asyncpg

from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.facts import FactBook
from flashguard.ledger.sealing import sealer_of
from flashguard.ledger.unreadable import CANT_BE_READ, UNREADABLE
from flashguard.ledger.webhooks import EnabledEndpoint, Settlement, WebhookBook
from flashguard.settings import Settings

from .messages import Message, message_of
from .sending import GONE, Attempt, Sender

log = logging.getLogger("flashguard.webhooks")

POLL_SECONDS: Final = 0.5
"""How often the endpoints are read, and an endpoint without messages asks for the next ones."""
LEASE_MARGIN_SECONDS: Final = 15.0
"""A lease outlasts the longest attempt by this: the ledger may be slow to take the settlement."""
FORGET_SECONDS: Final = 600.0
FORGET_ROWS: Final = 5_000
SETTLE_SECONDS: Final = 1.0
"""How long an ending deliverer may take to settle what was delivered."""
DAY_SECONDS: Final = 86_400.0


class Deliverer:
    """Serves every enabled endpoint."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        key = settings.secrets_key
        self._book = WebhookBook(ledger, sealer=sealer_of(key.get_secret_value() if key else None))
        self._locked: set[str] = set()
        self._facts = FactBook(ledger)
        self._settings = settings
        self._couriers: dict[str, tuple[Courier, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Serve until cancelled."""
        forgotten_at = -FORGET_SECONDS
        try:
            while True:
                try:
                    await self._update_couriers()
                    if time.monotonic() - forgotten_at > FORGET_SECONDS:
                        forgotten_at = time.monotonic()
                        await self._forget()
                except (LedgerAway, asyncpg.PostgresError) as error:
                    log.warning("webhooks wait for PostgreSQL, next try in %.1f s: %s", POLL_SECONDS, error)
                except Exception:
                    log.exception("webhooks: next try in %.1f s", POLL_SECONDS)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            tasks = [task for _, task in self._couriers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _update_couriers(self) -> None:
        """Start a courier for each enabled endpoint whose messages can be signed, and end the others."""
        enabled = await self._book.enabled_endpoints()
        served = {each.id: each for each in enabled if each.signers}
        locked = {each.id for each in enabled} - served.keys()
        for id_ in locked - self._locked:
            log.error("webhook %s waits: FLASHGUARD_SECRETS_KEY can't decrypt its secret", id_)
        self._locked = locked
        for id_ in self._couriers.keys() - served.keys():
            self._couriers.pop(id_)[1].cancel()
        for id_, endpoint in served.items():
            known = self._couriers.get(id_)
            if known is not None:
                known[0].endpoint = endpoint
            else:
                courier = Courier(endpoint, self._book, self._settings)
                self._couriers[id_] = courier, asyncio.create_task(courier.run())

    async def _forget(self) -> None:
        """Delete the log's oldest lines and the feed's oldest facts, some rows at a time."""
        seconds = self._settings.webhook_log_days * DAY_SECONDS
        while await self._book.forget_deliveries(seconds, FORGET_ROWS) == FORGET_ROWS:
            pass
        await self._forget_beyond()
        while await self._book.forget_orphans(FORGET_ROWS) == FORGET_ROWS:
            pass
        seconds = self._settings.fact_days * DAY_SECONDS
        await self._facts.end_unread(seconds)
        while await self._facts.forget(seconds, FORGET_ROWS) == FORGET_ROWS:
            pass
        while await self._facts.forget_beyond(self._settings.facts_kept, FORGET_ROWS) == FORGET_ROWS:
            pass

    async def _forget_beyond(self) -> None:
        """Delete the messages beyond the log's greatest length, some rows at a time."""
        most, lost, gone = self._settings.webhook_log_messages, 0, FORGET_ROWS
        while gone == FORGET_ROWS:
            gone, waiting = await self._book.forget_deliveries_beyond(most, FORGET_ROWS)
            lost += waiting
        if lost:
            log.error(
                "%d webhook messages are deleted before they were delivered: their receiver is slower than "
                "the sales, and FLASHGUARD_WEBHOOK_LOG_MESSAGES keeps the newest %d",
                lost, most,
            )  # fmt: skip


class Courier:
    """Delivers to one endpoint, with connections of its own and a bounded number of attempts at a time."""

    def __init__(self, endpoint: EnabledEndpoint, book: WebhookBook, settings: Settings) -> None:
        self.endpoint = endpoint
        self._book = book
        self._settings = settings
        self._flying: dict[asyncio.Task[Attempt], Message] = {}

    async def run(self) -> None:
        """Deliver until cancelled; messages under way then are due again when their lease ends."""
        settings = self._settings
        sender = Sender(
            private=settings.webhook_private_addresses,
            at_once=settings.webhook_concurrency,
            timeout_seconds=settings.webhook_timeout_seconds,
        )
        try:
            while True:
                try:
                    await self._turn(sender)
                except (LedgerAway, asyncpg.PostgresError) as error:
                    log.warning("webhook %s waits for PostgreSQL, next try soon: %s", self.endpoint.id, error)
                    await asyncio.sleep(POLL_SECONDS)
                except Exception:
                    log.exception("webhook %s: next try soon", self.endpoint.id)
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            await self._stop(sender)

    async def _turn(self, sender: Sender) -> None:
        """Start attempts up to the bound, wait for the next answers, and settle them."""
        most = self._settings.webhook_concurrency
        room = most - len(self._flying)
        if room >= max(1, most // 2):
            for message in await self._claim(room):
                call = sender.send(self.endpoint.url, message, list(self.endpoint.signers))
                self._flying[asyncio.create_task(call)] = message
        if not self._flying:
            await asyncio.sleep(POLL_SECONDS)
            return
        done, _ = await asyncio.wait(self._flying, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if done:
            await self._settle([(self._flying.pop(task), task.result()) for task in done])

    async def _claim(self, most: int) -> list[Message]:
        lease_seconds = self._settings.webhook_timeout_seconds + LEASE_MARGIN_SECONDS
        messages: list[Message] = []
        unreadable: list[Settlement] = []
        for row in await self._book.claim(self.endpoint.id, most, lease_seconds):
            try:
                messages.append(message_of(row))
            except CANT_BE_READ as error:  # it is given up, and stops no other
                UNREADABLE.note("webhook delivery", str(row["id"]), error)
                why = "its row in the ledger can't be read"
                unreadable.append(Settlement(row["id"], row["attempts"], "failed", 0.0, None, why, None))
        if unreadable:
            await self._book.settle(self.endpoint.id, unreadable)
        return messages

    async def _settle(self, done: Sequence[tuple[Message, Attempt]]) -> None:
        id_ = self.endpoint.id
        await self._book.settle(id_, [self._settlement(message, attempt) for message, attempt in done])
        if any(attempt.error is None for _, attempt in done):
            await self._book.note_success(id_)
            return
        gone = any(attempt.status == GONE for _, attempt in done)
        days = self._settings.webhook_disable_days
        why = "the receiver answered 410 Gone" if gone else f"nothing was delivered for {days:g} days"
        disabled = await self._book.note_failure(
            id_, disable_seconds=days * DAY_SECONDS, why=f"{why}; last: {done[-1][1].error}", disable_now=gone
        )
        if disabled is not None:
            log.error(
                "webhook %s to %s is disabled: %s. Enable it when the receiver works", id_, disabled, why
            )

    def _settlement(self, message: Message, attempt: Attempt) -> Settlement:
        state, wait_seconds = self._next(message, attempt)
        return Settlement(
            message.delivery, message.attempts, state, wait_seconds, attempt.status, attempt.error,
            attempt.took_ms,
        )  # fmt: skip

    def _next(self, message: Message, attempt: Attempt) -> tuple[str, float]:
        """Return the message's next state, and the seconds until its next attempt."""
        if attempt.error is None:
            return "delivered", 0.0
        settings = self._settings
        if message.trying_seconds >= settings.webhook_disable_days * DAY_SECONDS:
            log.error(
                "webhook %s: message %s is given up, a replay sends it again: %s",
                self.endpoint.id, message.id, attempt.error,
            )  # fmt: skip
            return "failed", 0.0
        # Wait as long as it has been tried so far: that doubles the wait each time, for any deliverer.
        least, longest = settings.webhook_retry_seconds, settings.webhook_retry_seconds_most
        wait = min(longest, max(least, message.trying_seconds))
        return "pending", max(wait * random.uniform(0.75, 1.25), attempt.retry_after)  # noqa: S311

    async def _stop(self, sender: Sender) -> None:
        ended = [(message, task.result()) for task, message in self._flying.items() if task.done()]
        for task in self._flying:
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)
        self._flying.clear()
        await sender.close()
        if ended:
            try:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await self._settle(ended)
            except (LedgerAway, asyncpg.PostgresError, TimeoutError) as error:
                log.warning(
                    "webhook %s: %d messages are sent again, their delivery was not noted: %s",
                    self.endpoint.id, len(ended), error,
                )  # fmt: skip
