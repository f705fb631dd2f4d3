"""The network of a run: connections between processes and servers, and what goes wrong on them.

A process has a real asyncio protocol on a transport of ours; a server has a session. Bytes keep their order
each way. A connection that is cut delivers a part of what was under way, and no answer. What a process sent
before it closed a connection still arrives, however late, as it does with TCP.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from tests.simulation.world import Loop, World


class Session(Protocol):
    """The server's end of a connection."""

    def received(self, data: bytes) -> None:
        """Read what the client sent."""

    def closed(self) -> None:
        """The client has gone."""


class Server:
    """A server that may be down, or hang for a while."""

    name = ""

    def __init__(self, world: World) -> None:
        self.world = world
        self.links: list[Link] = []
        self.is_down = False
        self.hangs_until = 0.0

    def session(self, link: "Link") -> Session:
        """Return a new connection's session."""
        raise NotImplementedError

    def cut_all(self, why: str) -> None:
        """Cut every connection."""
        self.world.note(self.name, f"all connections are cut: {why}")
        for link in list(self.links):
            link.cut(why)


class Link(asyncio.Transport):
    """A connection of one process to one server."""

    def __init__(self, world: World, loop: Loop, protocol: asyncio.BaseProtocol, server: Server) -> None:
        super().__init__()
        self.world, self.loop, self.protocol, self.server = world, loop, protocol, server
        self.is_open = True
        self.up_at = self.down_at = 0.0
        """When the newest bytes each way arrive: no later bytes come before."""
        self._up: deque[bytes] = deque()
        self.session = server.session(self)
        server.links.append(self)

    # The process's end

    def write(self, data: Any) -> None:
        if self.is_open:
            self._up.append(bytes(data))
            self.up_at = max(self.up_at, self.world.now + self.world.delay())
            self.world.at(self.up_at, self._arrive)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def abort(self) -> None:
        self._end(None)

    def close(self) -> None:
        self._end(None)

    def is_closing(self) -> bool:
        return not self.is_open

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    # The way to the server and back

    def _arrive(self) -> None:
        if not self._up:
            return
        if self.server.hangs_until > self.world.now:
            self.up_at = max(self.up_at, self.server.hangs_until)
            self.world.at(self.server.hangs_until, self._arrive)
            return
        self.session.received(self._up.popleft())
        if not self.is_open and not self._up:
            self._leave()

    def reply(self, data: bytes) -> None:
        """Send bytes to the process."""
        if self.is_open:
            self.down_at = max(self.down_at, self.world.now + self.world.delay())
            self.world.at(self.down_at, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if self.is_open and not self.loop.dead:
            self.loop.call_soon(self._hand, data)

    def _hand(self, data: bytes) -> None:
        if self.is_open:
            self.protocol.data_received(data)  # type: ignore[attr-defined]

    def stall(self, seconds: float, *, up: bool) -> None:
        """Deliver nothing of one direction for a while, as when packets are lost and sent again."""
        if up:
            self.up_at = max(self.up_at, self.world.now + seconds)
        else:
            self.down_at = max(self.down_at, self.world.now + seconds)

    def cut(self, why: str) -> None:
        """End the connection. Some of what is under way still arrives; no answer does."""
        if self not in self.server.links:
            return
        while self._up and not self.server.is_down and self.world.rng.random() < 0.5:
            self.session.received(self._up.popleft())
        self._up.clear()
        if self.is_open:
            self._end(ConnectionResetError(why))
        else:
            self._leave()

    def _end(self, why: Exception | None) -> None:
        if not self.is_open:
            return
        self.is_open = False
        if not self._up:
            self._leave()
        if not self.loop.dead:
            self.loop.call_soon(self.protocol.connection_lost, why)

    def _leave(self) -> None:
        """Let the server know: what it was sent has arrived, or never will."""
        self.server.links.remove(self)
        self.world.at(self.world.now, self.session.closed)


class Network:
    """Which address leads to which server."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.servers: dict[str, Callable[[Loop], Server]] = {}

    def connect(self, path: str, protocol: asyncio.BaseProtocol, loop: Loop) -> Link:
        """Return a new connection.

        Raises:
            ConnectionRefusedError: the server is down.
        """
        server = self.servers[path](loop)
        if server.is_down:
            raise ConnectionRefusedError(f"{server.name} is down")
        return Link(self._world, loop, protocol, server)

    def cut_process(self, loop: Loop) -> None:
        """Cut all connections of a process that has died."""
        for find in self.servers.values():
            for link in [each for each in find(loop).links if each.loop is loop]:
                link.cut("the process died")
