"""Sends the decisions of the shop's own stock to a shadow sale in the background; the shop never waits."""

import atexit
import logging
import os
import threading
import time
import uuid
from collections import deque
from functools import partial
from itertools import islice
from typing import Final, Literal

from .answers import ClientError, NoAnswer
from .calls import Basket, Told, lines_of
from .sync import Client

log = logging.getLogger("flashguard.client")

MAX_AT_ONCE: Final = 100
MAX_LINES_AT_ONCE: Final = 400
"""Keeps a message below the service's bound on bodies."""
IDLE_SECONDS: Final = 0.2
POLL_SECONDS: Final = 0.01
CLOSE_SECONDS: Final = 5.0


class Shadow:
    """Sends attempts from its own thread: `tell` costs the shop microseconds, never waits and never raises.

    Attempts that FlashGuard can't accept now are sent again. With more than `most_waiting` waiting, new ones
    are dropped and counted, to bound the shop's memory. Works in servers that fork.

    Parameters:
        url, bearer: FlashGuard's address, and an API key for it.
        sale: a shadow sale.
    """

    def __init__(self, url: str, bearer: str | None, sale: str, *, most_waiting: int = 10_000) -> None:
        self.dropped = 0
        self._connect = partial(Client, url, bearer)
        self._sale = sale
        self._most_waiting = most_waiting
        self._waiting: deque[Told] = deque()
        self._something = threading.Event()
        self._closing = False
        self._start = threading.Lock()
        self._runs_in: int | None = None
        atexit.register(self.close)

    def tell(
        self,
        customer: str,
        items: Basket,
        shop: Literal["sold", "refused", "returned"],
        *,
        key: str | None = None,
        reference: str | None = None,
    ) -> str:
        """Queue a decision of the shop's own stock; return the attempt's key, with which a sale can be
        `returned`.

        Parameters:
            key: the shop's own name for the attempt, if it has one.
            reference: the shop's order number, to find it by in the report.
        """
        key = key or uuid.uuid4().hex
        if len(self._waiting) >= self._most_waiting or self._closing:
            self.dropped += 1
            return key
        self._waiting.append(
            Told(key=key, customer=customer, items=lines_of(items), shop=shop, reference=reference)
        )
        if self._runs_in != os.getpid():
            self._run_in_this_process()
        self._something.set()
        return key

    def flush(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Wait until everything is sent; return False if that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while self._waiting:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what waits, for at most `seconds`, and stop."""
        if not self._closing:
            self.flush(seconds)
            self._closing = True
            self._something.set()
            atexit.unregister(self.close)

    def _run_in_this_process(self) -> None:
        with self._start:
            if self._runs_in != os.getpid():
                self._runs_in = os.getpid()
                threading.Thread(target=self._run, name="flashguard-shadow", daemon=True).start()

    def _run(self) -> None:
        with self._connect() as client:
            while not self._closing:
                batch = self._next()
                if not batch:
                    self._something.wait(IDLE_SECONDS)
                    self._something.clear()
                elif self._send(client, batch):
                    for _ in batch:
                        self._waiting.popleft()

    def _next(self) -> list[Told]:
        """Return the oldest attempts that fit into one message."""
        batch: list[Told] = []
        lines = 0
        for attempt in list(islice(self._waiting, MAX_AT_ONCE)):
            lines += len(attempt.items)
            if batch and lines > MAX_LINES_AT_ONCE:
                break
            batch.append(attempt)
        return batch

    def _send(self, client: Client, batch: list[Told]) -> bool:
        """Send a batch; return whether it is done: compared, or refused for good."""
        try:
            client.tell_shadow(self._sale, batch)
        except NoAnswer as error:
            log.warning("the shadow %s is behind: %s; sending it again", self._sale, error)
            return self._closing
        except ClientError as error:
            self.dropped += len(batch)
            log.error(
                "the shadow %s refused %d attempts, which are dropped: %s", self._sale, len(batch), error
            )
        except Exception:  # no error may end the comparison
            self.dropped += len(batch)
            log.exception(
                "cannot send %d attempts to the shadow %s; they are dropped", len(batch), self._sale
            )
        return True
