"""An embedded PostgreSQL that other shops reach as they expect to: by TCP, on this machine's loopback."""

import random
from pathlib import Path

from flashguard.embedded.postgres import DATABASE, USER, EmbeddedPostgres


class LoopbackPostgres(EmbeddedPostgres):
    """Listens on an address of the loopback that no other server uses, so that its port can stay."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.host = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"

    @property
    def tcp_url(self) -> str:
        return f"postgres://{USER}@{self.host}:5432/{DATABASE}"

    async def _prepare(self) -> list[str | Path]:
        command = await super()._prepare()
        return [*command, "-c", f"listen_addresses={self.host}"]
