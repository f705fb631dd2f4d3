"""The client for a cluster: sends each command to the node that has its key.

A node that answers MOVED, ASK or TRYAGAIN has done nothing, so the command is sent again, within its timeout.
A command whose answer was lost is never sent again.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any, Final

from .address import Address, Topology
from .connection import Connection, ServerClient
from .errors import (
    AskError,
    ClusterDownError,
    LostConnection,
    MovedError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from .replies import shaped
from .slots import SLOTS, SlotRange, key_of, read_slots, slot_of

log = logging.getLogger("flashguard")

MAP_SECONDS: Final = 0.5
"""How long one node may take to answer CLUSTER SLOTS."""
MAP_EVERY_SECONDS: Final = 0.05
"""Between two reads of the map of slots: while a primary is down, every command fails and wants a new map."""
AGAIN_SECONDS: Final = 0.01
"""Between two tries at a key whose slot is being moved."""
TRIES_MOST: Final = 1_000
"""Most tries of one command, nearly all at a slot that is being moved; its timeout ends them sooner."""
ASKED_AT_ONCE: Final = 3
"""Nodes asked for the map of slots at the same time; the first answer counts."""


class NotSent(Exception):
    """No connection was made, so nothing was sent."""


class ClusterClient:
    """Sends commands to the nodes of a cluster, with a client for each node."""

    sharded = True

    def __init__(self, topology: Topology, *, timeout_seconds: float) -> None:
        self._server = topology.server
        self._seeds = topology.seeds
        self._timeout_seconds = timeout_seconds
        self._nodes: dict[tuple[str, int], ServerClient] = {}
        self._slots: list[ServerClient | None] = [None] * SLOTS
        self._mapping: asyncio.Task[None] | None = None
        self._mapped_at = 0.0
        self._closed = False
        self._trouble = ""
        self.shards: list[SlotRange] = []

    async def execute_command(self, *command: Any) -> Any:
        """Send one command and return its answer, shaped as redis-py shapes it.

        Raises:
            RedisError: there is no answer, or the answer is an error.
            OSError: no connection can be made.
        """
        return shaped(command, await self._ask(key_of(command), command, blocks="BLOCK" in command))

    async def evalsha(self, sha: str, count: int, *keys_and_args: Any) -> Any:
        return await self._ask(keys_and_args[0], ("EVALSHA", sha, count, *keys_and_args))

    async def eval(self, source: str, count: int, *keys_and_args: Any) -> Any:
        return await self._ask(keys_and_args[0], ("EVAL", source, count, *keys_and_args))

    async def script_load(self, source: str) -> Any:
        """Load a script into every primary. A later primary gets the script with its first call."""
        if not self.shards:
            await self._map()
        clients = self._primaries()
        if not clients:
            raise LostConnection(self._trouble or "the cluster has no slots yet")
        answers = await asyncio.gather(
            *(client.script_load(source) for client in clients), return_exceptions=True
        )
        found = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not found:
            raise next(answer for answer in answers if isinstance(answer, BaseException))
        return found[0]

    def node_of(self, key: str) -> str:
        """Return the name of the node that has a key; empty while it is not known."""
        client = self._slots[slot_of(key)]
        return "" if client is None else client.address.name

    def nodes(self) -> dict[str, ServerClient]:
        """Return a client for each primary and replica of the newest map."""
        return {each.name: self._client(each.host, each.port) for each in self._known()}

    def link(self, key: str) -> Connection | None:
        """Return the connection on which a command about this key is sent now; None while there is none."""
        client = self._slots[slot_of(key)]
        return None if client is None else client.link()

    async def beside(self, key: str) -> Connection:
        """Open another connection to the node that has a key, for a command that blocks."""
        return await (await self._next(slot_of(key), None, None)).beside()

    async def homes(self, channels: Sequence[str]) -> list[tuple[Address, tuple[str, ...]]]:
        """Return which primary to subscribe to for which channels, by a new map."""
        await self._map()
        at: dict[ServerClient, list[str]] = {}
        for channel in channels:
            at.setdefault(await self._next(slot_of(channel), None, None), []).append(channel)
        return [(client.address, tuple(there)) for client, there in at.items()]

    async def aclose(self) -> None:
        self._closed = True
        if self._mapping is not None:
            self._mapping.cancel()
        for client in self._nodes.values():
            await client.aclose()

    async def _ask(self, key: str, command: tuple[Any, ...], *, blocks: bool = False) -> Any:
        slot = slot_of(key)
        client = self._slots[slot]
        link = None if client is None or blocks else client.link()
        if client is None or link is None:
            return await self._follow(slot, command, None, None, blocks=blocks)
        try:  # nearly every command ends here
            return await link.ask(command, self._timeout_seconds)
        except (AskError, TryAgainError) as error:
            return await self._follow(slot, command, client, error, blocks=blocks)
        except ResponseError as error:
            if isinstance(error, ClusterDownError):
                self._map_soon()
            raise
        except BaseException:  # the caller gave up, or the connection is lost: there may be a new primary
            self._map_soon()
            raise

    async def _follow(
        self,
        slot: int,
        command: tuple[Any, ...],
        said_by: ServerClient | None,
        error: RedisError | None,
        *,
        blocks: bool,
    ) -> Any:
        """Send a command and follow redirections until it is done or its timeout has passed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_seconds
        for _ in range(TRIES_MOST):
            if isinstance(error, TryAgainError):
                if loop.time() + AGAIN_SECONDS > deadline:
                    raise error
                await asyncio.sleep(AGAIN_SECONDS)
            asking = isinstance(error, AskError) and not isinstance(error, MovedError)
            client = await self._next(slot, said_by, error)
            try:
                return await self._send(client, command, blocks=blocks, asking=asking)
            except (AskError, TryAgainError) as redirected:
                said_by, error = client, redirected
            except NotSent as away:
                await self._map()
                if self._slots[slot] is client or loop.time() > deadline:
                    raise (away.__cause__ or away) from None
                said_by = error = None
            except ResponseError as refused:
                if isinstance(refused, ClusterDownError):
                    self._map_soon()
                raise
            except BaseException:
                self._map_soon()
                raise
        raise error or LostConnection("the cluster's nodes do not agree which of them has the key")

    async def _next(self, slot: int, said_by: ServerClient | None, error: RedisError | None) -> ServerClient:
        """Return the node that a redirection names, or else the one that has the slot."""
        if isinstance(error, AskError):
            host = error.host or (said_by.address.host if said_by is not None else "")
            client = self._client(host, error.port)
            if isinstance(error, MovedError):
                self._slots[slot] = client
                self._map_soon()
            return client
        owner = self._slots[slot]
        if owner is None:
            await self._map()
            owner = self._slots[slot]
        if owner is None:
            if self._trouble:
                raise LostConnection(self._trouble)
            raise ClusterDownError(f"no node has slot {slot}")
        return owner

    async def _send(
        self, client: ServerClient, command: tuple[Any, ...], *, blocks: bool, asking: bool
    ) -> Any:
        if blocks:
            return await client.ask_blocking(command, asking=asking)
        link = client.link()
        if link is None:
            try:
                link = await client.connected()
            except (RedisError, OSError) as error:
                raise NotSent from error
        if asking:
            link.send_first(("ASKING",))
        return await link.ask(command, self._timeout_seconds)

    def _client(self, host: str, port: int) -> ServerClient:
        client = self._nodes.get((host, port))
        if client is None:
            client = self._nodes[host, port] = ServerClient(
                self._server.at(host, port), timeout_seconds=self._timeout_seconds
            )
        return client

    async def _map(self) -> None:
        """Read the map of slots; return when that is done or has failed."""
        self._map_soon()
        if self._mapping is not None:
            await asyncio.wait([self._mapping])

    def _map_soon(self) -> None:
        if self._mapping is None and not self._closed:
            self._mapping = asyncio.get_running_loop().create_task(self._read_map())

    async def _read_map(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(max(0.0, self._mapped_at + MAP_EVERY_SECONDS - loop.time()))
            self._use_map(await self._ask_around())
            self._trouble = ""
        except (RedisError, OSError, TimeoutError) as error:
            self._trouble = f"no node of the cluster answers: {error or 'timeout'}"
            log.debug("%s", self._trouble)
        finally:
            self._mapped_at = loop.time()
            self._mapping = None

    async def _ask_around(self) -> list[SlotRange]:
        """Return the map of the first node that answers, of nodes in random order."""
        known = list({(each.host, each.port): None for each in (*self._known(), *self._seeds)})
        random.shuffle(known)
        trouble: BaseException = LostConnection("the cluster has no nodes")
        for start in range(0, len(known), ASKED_AT_ONCE):
            asked = [
                asyncio.ensure_future(self._map_of(*each)) for each in known[start : start + ASKED_AT_ONCE]
            ]
            try:
                for answer in asyncio.as_completed(asked):
                    try:
                        return await answer
                    except (RedisError, OSError, TimeoutError) as error:
                        trouble = error
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
        raise trouble

    async def _map_of(self, host: str, port: int) -> list[SlotRange]:
        client = self._client(host, port)
        async with asyncio.timeout(MAP_SECONDS):
            answer = await client.execute_command("CLUSTER", "SLOTS")
        if not answer:
            raise ClusterDownError(f"{client.address.name} has no map of slots")
        return read_slots(answer, client.address)

    def _known(self) -> list[Address]:
        return [each for shard in self.shards for each in (shard.primary, *shard.replicas)]

    def _use_map(self, shards: list[SlotRange]) -> None:
        """Use this map from now on; forget nodes that are no longer in it."""
        self.shards = shards
        slots: list[ServerClient | None] = [None] * SLOTS
        for shard in shards:
            client = self._client(shard.primary.host, shard.primary.port)
            slots[shard.first : shard.last + 1] = [client] * (shard.last - shard.first + 1)
        self._slots = slots
        named = {(each.host, each.port) for each in (*self._known(), *self._seeds)}
        for gone in [place for place, client in self._nodes.items() if client.link() is None]:
            if gone not in named:
                del self._nodes[gone]

    def _primaries(self) -> list[ServerClient]:
        return list(dict.fromkeys(client for client in self._slots if client is not None))
