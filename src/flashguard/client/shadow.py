"""Tells a shadow sale what the shop's own stock decides, without the shop ever waiting for it."""

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

MOST_AT_ONCE: Final = 100
MOST_LINES_AT_ONCE: Final = 400
"""So that a message stays below the service's bound on bodies."""
IDLE_SECONDS: Final = 0.2
LOOK_SECONDS: Final = 0.01
CLOSE_SECONDS: Final = 5.0


class Shadow:
    """A messenger in a thread of its own: `tell` costs the shop microseconds, never waits and never raises.

    What FlashGuard does not take for the moment is told again; beyond `most_waiting` the newest are dropped
    and counted, for a comparison is not worth the shop's memory. It works in servers that fork, too.

    Parameters:
        url, bearer: where FlashGuard is, and an API key for it.
        sale: a sale that was made a shadow.
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
        """Notes what the shop's own stock decided; the attempt's key, by which a sale can be `returned`.

        Parameters:
            key: the shop's own name for the attempt, where it has one.
            reference: the shop's order, to find it by in the report.
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
        """Waits until all is told; False when that takes longer."""
        deadline = time.monotonic() + seconds
        while self._waiting:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Tells what waits, for so long at most, and ends."""
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
                some = self._next()
                if not some:
                    self._something.wait(IDLE_SECONDS)
                    self._something.clear()
                elif self._told(client, some):
                    for _ in some:
                        self._waiting.popleft()

    def _next(self) -> list[Told]:
        """The oldest that fit into one message."""
        some: list[Told] = []
        lines = 0
        for told in list(islice(self._waiting, MOST_AT_ONCE)):
            lines += len(told.items)
            if some and lines > MOST_LINES_AT_ONCE:
                break
            some.append(told)
        return some

    def _told(self, client: Client, some: list[Told]) -> bool:
        """Whether these are done with: compared, or of no use."""
        try:
            client.tell_shadow(self._sale, some)
        except NoAnswer as error:
            log.warning("the shadow %s is behind: %s", self._sale, error)
            return self._closing
        except ClientError as error:
            self.dropped += len(some)
            log.error("the shadow %s does not take what it is told: %s", self._sale, error)
        except Exception:  # nothing that is wrong here may end the comparison
            self.dropped += len(some)
            log.exception("the shadow %s", self._sale)
        return True
