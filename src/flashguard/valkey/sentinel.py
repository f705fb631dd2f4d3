"""A client for one primary that Sentinels watch: it finds the new one by itself after a failover.

Every Sentinel is asked; the newest configuration that is told soon counts, and is taken only when the server
there says that it is a primary. A switch that a Sentinel tells of ends our connections at once: a primary
that was cut off may go on granting what nobody will know.
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
"""How long after the first answer we wait for the other Sentinels': one that was cut off tells old news."""
WATCH_AGAIN_SECONDS: Final = 0.2
SWITCH: Final = "+switch-master"
LOOK_SECONDS: Final = 5.0
"""How often a Sentinel is asked besides: its word of a switch may have been lost."""


class NoPrimary(LostConnection):
    """No Sentinel names a server that is a primary."""


class NamedPrimary(NamedTuple):
    """What a Sentinel says: the primary, and how new its configuration is."""

    config_epoch: int
    primary: Address


class SentinelClient(ServerClient):
    """Commands to whichever server is the primary now."""

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
        """The primary.

        Raises:
            NoPrimary: nobody names a server that is one.
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
                await _make_sure(each.primary)
                return each
            except (RedisError, OSError, TimeoutError) as error:
                said.append(f"{each.primary.name}: {error or 'no answer in time'}")
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
        told = dict(zip(fields[::2], fields[1::2], strict=True))
        return NamedPrimary(
            int(told.get(b"config-epoch", 0)), self.address.at(where[0].decode(), int(where[1]))
        )

    async def _watch(self) -> None:
        """Hears of switches, from one Sentinel at a time, until cancelled."""
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
                named = await self._named_by(sentinel)  # it may have switched before we heard
                if named.config_epoch > self._config_epoch:
                    self._leave_unless(named.primary)
                await asyncio.wait([subscription.ended], timeout=LOOK_SECONDS)
        finally:
            subscription.end(LostConnection("not needed any more"))

    def _switched(self, message: bytes) -> None:
        service, _, _, host, port = message.decode().split(" ")[:5]
        if service == self.service:
            self._leave_unless(self.address.at(host, int(port)))

    def _leave_unless(self, primary: Address) -> None:
        """Ends the connections to a server that is not the primary any more."""
        link = self.link()
        if link is None or link.address is None or link.address.name == primary.name:
            return
        log.warning("memory: the primary of %r is now %s", self.service, primary.name)
        self.forsake(LostConnection(f"the primary is {primary.name} now"))

    async def aclose(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await super().aclose()


async def _make_sure(primary: Address) -> None:
    """Raises unless this server says that it is a primary."""
    async with asyncio.timeout(SENTINEL_SECONDS), visiting(primary) as there:
        role: list[Any] = await there.ask(("ROLE",), SENTINEL_SECONDS)
    if role[0] != b"master":
        raise NoPrimary(f"it is a {role[0].decode()}")


def _answered(task: "asyncio.Future[NamedPrimary]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _why(task: "asyncio.Future[NamedPrimary]") -> str:
    error = None if task.cancelled() else task.exception()
    return str(error) if error is not None and str(error) else "a Sentinel did not answer in time"
