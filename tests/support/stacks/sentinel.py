"""Memory is a real primary with two replicas that three real Sentinels watch."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from flashguard.embedded import EmbeddedPostgres
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.ports import free_ports
from tests.support.stacks import ONE_SERVER, Stack, folder, migrate
from tests.support.stacks.nodes import HOST, Node, all_started
from tests.support.stacks.users import api_at, as_user, refused, users_file

LACKS = frozenset((ONE_SERVER,))
SERVICE = "shop"
QUORUM = 2
SENTINELS = 3
REPLICAS = 2
PUT_BACK_TRIES = 4
OPTIONS = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1", "replica-priority": "100"}
CONF = f"""\
bind {HOST}
sentinel monitor {SERVICE} {HOST} {{primary}} {QUORUM}
sentinel down-after-milliseconds {SERVICE} 800
sentinel failover-timeout {SERVICE} 2000
sentinel parallel-syncs {SERVICE} 2
"""


class Sentinel(Node):
    """A server that watches others."""

    def __init__(
        self, folder: Path, port: int, primary: int, binary: Path | None = None, more: str = ""
    ) -> None:
        super().__init__(folder, port, {}, binary)
        self._conf = CONF.format(primary=primary) + more

    async def _prepare(self) -> list[str | Path]:
        binary, *_ = await super()._prepare()
        conf = self.home / "sentinel.conf"
        if not conf.exists():  # it writes what it learns into it
            port = f"port 0\ntls-port {self.port}" if "tls-cert-file" in self._conf else f"port {self.port}"
            conf.write_text(f"{port}\nunixsocket {self._socket}\ndir {self.home}\n{self._conf}")
        return [binary, conf, "--sentinel"]

    async def primary(self) -> int:
        """The port of the primary that it knows."""
        return int((await self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE))[1])

    async def fields(self) -> dict[str, str]:
        """What it knows of the primary."""
        flat = await self.ask("SENTINEL", "MASTER", SERVICE)
        text = [each.decode() for each in flat]
        return dict(zip(text[::2], text[1::2], strict=True))


class Watched:
    """The servers, and the Sentinels that watch them."""

    def __init__(self, servers: list[Node], sentinels: list[Sentinel]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        names = ",".join(f"{HOST}:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{names}/{SERVICE}"

    async def primary(self) -> Node:
        """The primary, as the first Sentinel that runs says."""
        sentinel = next(each for each in self.sentinels if each.running)
        port = await sentinel.primary()
        return next(node for node in self.servers if node.port == port)

    async def settled(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Every Sentinel knows the others and every replica, and every replica follows."""
        for sentinel in self.sentinels:
            await eventually(partial(self._is_well, sentinel), "the Sentinels know all", seconds)

    async def put_back(self) -> None:
        """Has every server follow the primary of now, which the Sentinels may change meanwhile."""
        for _ in range(PUT_BACK_TRIES):
            primary = await self.primary()
            for node in self.servers:
                if node is not primary:
                    await node.ask("REPLICAOF", HOST, primary.port)
            with contextlib.suppress(AssertionError):
                await self.settled(PATIENCE_SECONDS / PUT_BACK_TRIES)
                return
        await self.settled()

    async def _is_well(self, sentinel: Sentinel) -> bool:
        fields = await sentinel.fields()
        info = await (await self.primary()).info()
        online = sum("state=online" in value for name, value in info.items() if name.startswith("slave"))
        return (
            fields["flags"] == "master"
            and int(fields["num-other-sentinels"]) == len(self.sentinels) - 1
            and int(fields["num-slaves"]) >= online == len(self.servers) - 1
        )


@asynccontextmanager
async def started(
    place: Path, binary: Path | None = None, options: Mapping[str, str] | None = None, conf: str = ""
) -> AsyncIterator[Watched]:
    """All of them in this folder, in good order.

    Parameters:
        options: more settings of the servers.
        conf: more lines for the Sentinels.
    """
    ports = free_ports(1 + REPLICAS + SENTINELS)
    first, last = ports[: 1 + REPLICAS], ports[1 + REPLICAS :]
    more = OPTIONS | dict(options or {})
    follows = {"replicaof": f"{HOST} {first[0]}"}
    servers = [
        Node(place / f"server-{number}", port, more | (follows if number else {}), binary)
        for number, port in enumerate(first)
    ]
    sentinels = [
        Sentinel(place / f"sentinel-{number}", port, first[0], binary, conf)
        for number, port in enumerate(last)
    ]
    async with all_started(servers), all_started(sentinels):
        watched = Watched(servers, sentinels)
        await watched.settled()
        yield watched


@asynccontextmanager
async def running() -> AsyncIterator[Stack]:
    """All of it as the users of deploy/valkey/users.acl, who were refused nothing in the end."""
    with folder() as place:
        acl = {"aclfile": str(users_file(place / "acl"))}
        memory, ledger = started(place / "memory", options=acl), EmbeddedPostgres(place / "data")
        async with memory as watched, ledger:
            await migrate(ledger.url)
            api = api_at(as_user(watched.url, "flashguard-api"))
            yield Stack(as_user(watched.url, "flashguard-recorder"), ledger.url, api=api)
            assert await refused(watched.servers) == []
