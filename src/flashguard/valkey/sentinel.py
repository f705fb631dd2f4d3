"""The client for a primary watched by Sentinels: after a failover it finds the new primary.

It asks every Sentinel and uses the newest configuration among the prompt answers, but only if the server
there confirms that it is a primary. When a Sentinel announces a switch, the client drops its connections at
once: a primary that is cut off may go on granting what will be lost.
"""

import asyncio
import contextlib
import logging
from typing import Any, Final, NamedTuple

from .address import Address, Topology
from .connection import ServerClient, connect, visiting
from .errors import LostConnection, RedisError, ResponseError
from .push import Subscription

log = logging.getLogger("flashguard")

SENTINEL_SECONDS: Final = 0.5
"""How long one Sentinel, and the server that it names, may take to answer."""
OTHERS_SECONDS: Final = 0.05
"""How long to wait for the other Sentinels after the first answer: one that was cut off has an old
configuration."""
WATCH_AGAIN_SECONDS: Final = 0.2
SWITCH: Final = "+switch-master"
POLL_SECONDS: Final = 5.0
"""How often a Sentinel is also asked: its message of a switch may have been lost."""


class NoPrimary(LostConnection):
    """No Sentinel names a server that is a primary."""


class NamedPrimary(NamedTuple):
    """The primary by a Sentinel's answer, and the epoch of its configuration."""

    config_epoch: int
    primary: Address


class SentinelClient(ServerClient):
    """Sends commands to the server that is the primary now."""

    def __init__(self, topology: Topology, *, timeout_seconds: float) -> None:
        super().__init__(topology.server, timeout_seconds=timeout_seconds)
        self.service = topology.service
        self.sentinels = topology.seeds
        self._config_epoch = -1
        self._watching: asyncio.Task[None] | None = None

    async def _where(self) -> Address:
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        named = await self._find()
        self._config_epoch, self.address = named
        return self.address

    async def _find(self) -> NamedPrimary:
        """Return the primary.

        Raises:
            NoPrimary: no Sentinel names a server that is a primary.
        """
        asked = {asyncio.ensure_future(self._named_by(sentinel)) for sentinel in self.sentinels}
        try:
            _, late = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            while late and not any(_answered(task) for task in asked - late):
                _, late = await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
            if late:
                await asyncio.wait(late, timeout=OTHERS_SECONDS)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        named = [task.result() for task in asked if _answered(task)]
        said = [_why(task) for task in asked if not _answered(task)]
        for each in sorted(named, key=lambda each: -each.config_epoch):
            try:
                await _check_primary(each.primary)
                return each
            except (RedisError, OSError, TimeoutError) as error:
                said.append(f"{each.primary.name}: {error or 'timeout'}")
        raise NoPrimary(f"no primary of {self.service!r} is known: {'; '.join(dict.fromkeys(said))}")

    async def _named_by(self, sentinel: Address) -> NamedPrimary:
        async with asyncio.timeout(SENTINEL_SECONDS), visiting(sentinel) as connection:
            try:
                where, fields = await asyncio.gather(
                    connection.ask(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service), SENTINEL_SECONDS),
                    connection.ask(("SENTINEL", "MASTER", self.service), SENTINEL_SECONDS),
                )
            except ResponseError as error:
                raise NoPrimary(f"{sentinel.name}: {error}") from error
        if not where:
            raise NoPrimary(f"{sentinel.name} knows no {self.service!r}")
        fields_of = dict(zip(fields[::2], fields[1::2], strict=True))
        return NamedPrimary(
            int(fields_of.get(b"config-epoch", 0)), self.address.at(where[0].decode(), int(where[1]))
        )

    async def _watch(self) -> None:
        """Listen for switches, at one Sentinel at a time, until cancelled."""
        turn = 0
        while True:
            sentinel = self.sentinels[turn % len(self.sentinels)]
            turn += 1
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await self._hear(sentinel)
            await asyncio.sleep(WATCH_AGAIN_SECONDS)

    async def _hear(self, sentinel: Address) -> None:
        async with asyncio.timeout(SENTINEL_SECONDS):
            subscription = await connect(sentinel, lambda: Subscription(self._switched))
        try:
            subscription.subscribe([SWITCH])
            while subscription.lost is None:
                named = await self._named_by(sentinel)  # it may have switched before the subscription
                if named.config_epoch > self._config_epoch:
                    self._drop_unless(named.primary)
                await asyncio.wait([subscription.ended], timeout=POLL_SECONDS)
        finally:
            subscription.end(LostConnection("the subscription is closed"))

    def _switched(self, message: bytes) -> None:
        service, _, _, host, port = message.decode().split(" ")[:5]
        if service == self.service:
            self._drop_unless(self.address.at(host, int(port)))

    def _drop_unless(self, primary: Address) -> None:
        """Drop the connections to a server that is no longer the primary."""
        link = self.link()
        if link is None or link.address is None or link.address.name == primary.name:
            return
        log.warning("Valkey: the primary of %r is now %s; connecting to it", self.service, primary.name)
        self.drop(LostConnection(f"{primary.name} is the primary now"))

    async def aclose(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await super().aclose()


async def _check_primary(primary: Address) -> None:
    """Raise unless this server confirms that it is a primary."""
    async with asyncio.timeout(SENTINEL_SECONDS), visiting(primary) as there:
        role: list[Any] = await there.ask(("ROLE",), SENTINEL_SECONDS)
    if role[0] != b"master":
        raise NoPrimary(f"it is a {role[0].decode()}")


def _answered(task: "asyncio.Future[NamedPrimary]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _why(task: "asyncio.Future[NamedPrimary]") -> str:
    error = None if task.cancelled() else task.exception()
    return str(error) if error is not None and str(error) else "a Sentinel did not answer in time"
