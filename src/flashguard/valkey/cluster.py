"""A client for a cluster: each command goes to the node that has its key, wherever that is by now.

A node that says MOVED, ASK or TRYAGAIN did nothing, so the command is sent again, within its time. A command
whose answer was lost is never sent again, here as everywhere.
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
"""How long one node may take to say who has which slots."""
MAP_EVERY_SECONDS: Final = 0.05
"""Between two looks at the map: while a primary is gone every command fails, and would like a new one."""
AGAIN_SECONDS: Final = 0.01
"""Between two tries at a key whose slot is half moved."""
TRIES_MOST: Final = 1_000
"""Tries of one command, most of them for a slot that is half moved; its time ends them before."""
ASKED_AT_ONCE: Final = 3
"""Nodes asked for the map together; the first answer counts."""


class NotSent(Exception):
    """No connection could be made, so nothing was sent."""


class ClusterClient:
    """Commands to the nodes of a cluster: one client each."""

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
        """One command and its answer, in redis-py's shapes for those that the kernel uses.

        Raises:
            RedisError: there is no answer, or it is an error.
            OSError: no connection can be made.
        """
        return shaped(command, await self._ask(key_of(command), command, blocks="BLOCK" in command))

    async def evalsha(self, sha: str, count: int, *keys_and_args: Any) -> Any:
        return await self._ask(keys_and_args[0], ("EVALSHA", sha, count, *keys_and_args))

    async def eval(self, source: str, count: int, *keys_and_args: Any) -> Any:
        return await self._ask(keys_and_args[0], ("EVAL", source, count, *keys_and_args))

    async def script_load(self, source: str) -> Any:
        """Has every primary keep a script; one that comes later is sent the script when it is called."""
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
        """What people call the node that has a key, as far as we know."""
        client = self._slots[slot_of(key)]
        return "" if client is None else client.address.name

    def nodes(self) -> dict[str, ServerClient]:
        """A client for each primary and replica that the cluster named last."""
        return {each.name: self._client(each.host, each.port) for each in self._known()}

    def link(self, key: str) -> Connection | None:
        """The connection by which a command about this key is asked now; None when there is none."""
        client = self._slots[slot_of(key)]
        return None if client is None else client.link()

    async def beside(self, key: str) -> Connection:
        """One more connection to the node that has a key, for who waits in it."""
        return await (await self._next(slot_of(key), None, None)).beside()

    async def homes(self, channels: Sequence[str]) -> list[tuple[Address, tuple[str, ...]]]:
        """Where to hear which channels: each at the primary of its slot, by a map of just now."""
        await self._map()
        at: dict[ServerClient, list[str]] = {}
        for channel in channels:
            at.setdefault(await self._next(slot_of(channel), None, None), []).append(channel)
        return [(client.address, tuple(said)) for client, said in at.items()]

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
        try:  # as almost always
            return await link.ask(command, self._timeout_seconds)
        except (AskError, TryAgainError) as error:
            return await self._follow(slot, command, client, error, blocks=blocks)
        except ResponseError as error:
            if isinstance(error, ClusterDownError):
                self._map_soon()
            raise
        except BaseException:  # the caller gave up, or the connection is lost: perhaps there is a new primary
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
        """Sends a command to wherever it is told to, until it is done, or can't be within its time."""
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
        raise error or LostConnection("the cluster does not agree who has the key")

    async def _next(self, slot: int, said_by: ServerClient | None, error: RedisError | None) -> ServerClient:
        """Who is asked now: whoever a redirection names, else whoever has the slot."""
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
        """Has looked at the map when it returns, whether that helped or not."""
        self._map_soon()
        if self._mapping is not None:
            await asyncio.wait([self._mapping])

    def _map_soon(self) -> None:
        if self._mapping is None and not self._closed:
            self._mapping = asyncio.get_running_loop().create_task(self._look_at_the_map())

    async def _look_at_the_map(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(max(0.0, self._mapped_at + MAP_EVERY_SECONDS - loop.time()))
            self._take(await self._ask_around())
            self._trouble = ""
        except (RedisError, OSError, TimeoutError) as error:
            self._trouble = f"no node of the cluster answers: {error or 'not in time'}"
            log.debug("%s", self._trouble)
        finally:
            self._mapped_at = loop.time()
            self._mapping = None

    async def _ask_around(self) -> list[SlotRange]:
        """The map, from the first of some nodes that answers; which ones is left to chance."""
        known = list({(each.host, each.port): None for each in (*self._known(), *self._seeds)})
        random.shuffle(known)
        trouble: BaseException = LostConnection("it has no nodes")
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
            raise ClusterDownError(f"{client.address.name} knows of no slots")
        return read_slots(answer, client.address)

    def _known(self) -> list[Address]:
        return [each for shard in self.shards for each in (shard.primary, *shard.replicas)]

    def _take(self, shards: list[SlotRange]) -> None:
        """Goes by this map from now on; forgets nodes that are in it no more."""
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
