"""What every client of Valkey has, whatever the topology."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .address import Address
from .connection import Connection


class Commands(Protocol):
    """What the kernel needs of a client. A command without an answer raises `RedisError` or `OSError`."""

    async def execute_command(self, *command: Any) -> Any:
        """Send one command and return its answer."""

    async def evalsha(self, sha: str, count: int, *keys_and_args: Any) -> Any:
        """Run a script that the server has."""

    async def eval(self, source: str, count: int, *keys_and_args: Any) -> Any:
        """Run a script; the server keeps it."""

    async def script_load(self, source: str) -> Any:
        """Load a script into the server."""


class ValkeyClient(Commands, Protocol):
    """A client of one server, a primary with Sentinels, or a cluster; knows which server has a key."""

    sharded: bool
    """Whether announcements are published to the channel's shard alone."""

    def node_of(self, key: str) -> str:
        """Return the name of the server that has a key; empty while it is not known."""

    def nodes(self) -> "Mapping[str, ValkeyClient]":
        """Return a client for each known server, by name."""

    def link(self, key: str) -> Connection | None:
        """Return the connection on which a command about this key is sent now; None while there is none."""

    async def beside(self, key: str) -> Connection:
        """Open another connection to the server that has a key, for a command that blocks."""

    async def homes(self, channels: Sequence[str]) -> list[tuple[Address, tuple[str, ...]]]:
        """Return which server to subscribe to for which channels."""

    async def aclose(self) -> None:
        """Close every connection."""
