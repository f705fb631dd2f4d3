"""Real Valkey or Redis servers with a port, as many as a topology needs, and commands to each."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flashguard.embedded import EmbeddedValkey
from flashguard.valkey.address import Address
from flashguard.valkey.connection import ServerClient

HOST = "127.0.0.1"


class Node(EmbeddedValkey):
    """The embedded Valkey, or another binary with its settings, that also has a port.

    Parameters:
        options: more settings.
        binary: in place of the embedded one.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        options: Mapping[str, str],
        binary: Path | None = None,
        *,
        bus_port: int = 0,
    ) -> None:
        super().__init__(folder)
        self.port = port
        self.bus_port = bus_port
        self._binary = binary
        where = {"port": "0", "tls-port": str(port)} if "tls-cert-file" in options else {"port": str(port)}
        self._options = where | {"bind": HOST} | dict(options)
        self._client: ServerClient | None = None

    async def _prepare(self) -> list[str | Path]:
        binary, *words = await super()._prepare()
        more = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        return [self._binary or binary, *words, *more]

    async def ask(self, *command: Any) -> Any:
        """One command, by way of the socket; the answer as it comes."""
        if self._client is None:
            self._client = ServerClient(Address(self.url), timeout_seconds=5.0)
        return await self._client.execute_command(*command)

    async def info(self, section: str = "replication") -> dict[str, str]:
        found: dict[str, str] = await self.ask("INFO", section)
        return found

    async def stop(self, timeout_seconds: float = 0.5) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        await self.kill()
        await super().stop(timeout_seconds)


@asynccontextmanager
async def all_started(nodes: Sequence[Node]) -> AsyncIterator[None]:
    """Every one of them runs; afterwards none does."""
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        yield
    finally:
        await asyncio.gather(*(node.stop() for node in nodes), return_exceptions=True)
