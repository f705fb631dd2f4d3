"""What the engine is connected to: memory, the ledger, and the feed of commits."""

import asyncio
import contextlib
from typing import Self

from flashguard.kernel import keys
from flashguard.ledger import Installation, Ledger
from flashguard.settings import Settings
from flashguard.valkey.client import ValkeyClient
from flashguard.valkey.connect import connect_kernel

from .announcements import Announcements
from .listening import Listening, check
from .watermark import Watermark


class Backend:
    """The connections of one process, from `connect` to `close`.

    Parameters:
        lone: the process serves one request at a time (AWS Lambda): it subscribes to commits only while one
            is pending, by `listening`.
    """

    def __init__(
        self, client: ValkeyClient, ledger: Ledger, installation: Installation, *, lone: bool
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.installation = installation
        self.watermark = Watermark()
        self.listening = Listening(client, self.watermark.announced) if lone else None
        channels = [keys.recorded(number) for number in range(installation.partitions)]
        self._announcements = Announcements(client, channels, self.watermark.announced)
        self._feed = None if lone else asyncio.create_task(self._announcements.run())

    @classmethod
    async def connect(cls, settings: Settings, *, lone: bool = False) -> Self:
        """Connect to the servers that the settings name. Memory is connected to by the first command.

        Raises:
            ConfigurationError: the ledger is not migrated, or an address is no address.
            LedgerAway: PostgreSQL can't be reached.
        """
        assert settings.redis_url
        assert settings.database_url
        ledger = await Ledger.connect(
            settings.database_url,
            connections=settings.ledger_connections,
            prepared=settings.keeps_prepared,
            timeout=settings.ledger_timeout_seconds,
        )
        try:
            installation = await ledger.installation()
            client = connect_kernel(settings.redis_url, settings)
        except BaseException:
            await ledger.close()
            raise
        return cls(client, ledger, installation, lone=lone)

    async def subscribed(self) -> None:
        """Wait until commits are heard; return at once where they are heard only while one is pending."""
        if self._feed is not None:
            await self._announcements.subscribed.wait()

    async def check(self, seconds: float) -> None:
        """Give up connections that don't answer in time: for a process that was frozen."""
        await asyncio.gather(
            check(self.client, seconds),
            self.ledger.check(seconds),
            *([] if self.listening is None else [self.listening.check(seconds)]),
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._feed is not None:
            self._feed.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._feed
        if self.listening is not None:
            self.listening.close()
        await self.client.aclose()
        await self.ledger.close()
