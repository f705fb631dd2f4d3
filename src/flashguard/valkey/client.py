"""What is needed of a client of memory, whatever the topology."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from .address import Address
from .connection import Connection


class Commands(Protocol):
    """What the kernel needs of a client. Without an answer it raises `RedisError` or `OSError`."""

    async def execute_command(self, *command: Any) -> Any:
        """Sends one command and returns its answer."""

    async def evalsha(self, sha: str, count: int, *keys_and_args: Any) -> Any:
        """Runs a script that the server has."""

    async def eval(self, source: str, count: int, *keys_and_args: Any) -> Any:
        """Runs a script; the server keeps it."""

    async def script_load(self, source: str) -> Any:
        """Has the server keep a script."""


class ValkeyClient(Commands, Protocol):
    """A client that knows where its keys are: of one server, of a primary and its Sentinels, of a cluster."""

    sharded: bool
    """Whether what is announced is said to the channel's shard alone."""

    def node_of(self, key: str) -> str:
        """What people call the server that has a key, as far as is known."""

    def nodes(self) -> "Mapping[str, ValkeyClient]":
        """A client for each server that is known, by name."""

    def link(self, key: str) -> Connection | None:
        """The connection by which a command about this key is asked now; None when there is none."""

    async def beside(self, key: str) -> Connection:
        """One more connection to the server that has a key, for who waits in it."""

    async def homes(self, channels: Sequence[str]) -> list[tuple[Address, tuple[str, ...]]]:
        """Where to hear which channels."""

    async def aclose(self) -> None:
        """Ends every connection."""
