"""Both embedded servers in one data directory."""

from pathlib import Path
from types import TracebackType
from typing import Self

from .postgres import EmbeddedPostgres
from .valkey import EmbeddedValkey


class EmbeddedServers:
    """Valkey and PostgreSQL as child processes: `async with EmbeddedServers(data_dir) as servers: …`"""

    def __init__(self, data_dir: Path) -> None:
        self.valkey = EmbeddedValkey(data_dir)
        self.postgres = EmbeddedPostgres(data_dir)

    @classmethod
    async def start(cls, data_dir: Path) -> Self:
        """Start both and return once both answer.

        Raises:
            ConfigurationError: the directory is in use or can't be used, or a server is not installed.
            ServerFailedError: a server did not start.
        """
        servers = cls(data_dir)
        return await servers.__aenter__()

    @property
    def redis_url(self) -> str:
        return self.valkey.url

    @property
    def database_url(self) -> str:
        return self.postgres.url

    async def stop(self) -> None:
        """End both, Valkey first, so that PostgreSQL can record everything."""
        await self.valkey.stop()
        await self.postgres.stop()

    async def __aenter__(self) -> Self:
        try:
            await self.valkey.start()
            await self.postgres.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
