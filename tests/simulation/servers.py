"""The real servers under all runs: a PostgreSQL with a migrated ledger, and a Valkey without a disk."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from flashguard.embedded import EmbeddedPostgres
from flashguard.embedded.valkey import find_valkey
from flashguard.ledger import Ledger
from tests.simulation import ledger_clock
from tests.simulation.copies import Copies
from tests.simulation.postgres import Backends
from tests.simulation.valkey import Ears, Wire

PARTITIONS: Final = (2, 4, 6)
"""Those of a run. A recorder writes groups of several partitions together only where it has three or more."""
SECRET: Final = "00" * 32
FEWER_PARTITIONS: Final = """
UPDATE flashguard.installation SET partitions = {0};
DELETE FROM flashguard.partitions WHERE partition >= {0}
"""
START_SECONDS: Final = 20.0
IN_ORDER: Final = ("--hash-max-listpack-value", "4096", "--hash-max-listpack-entries", "4096")
"""A hash answers in the order of its fields' first writes: that of a hash table is not always the same."""


class Servers:
    """What runs use."""

    def __init__(self, folder: Path, database_url: str) -> None:
        socket = folder / "valkey.sock"
        self.wires = [Wire(socket, 0), Wire(socket, 1)]
        self.ears = Ears(socket)
        host = parse_qs(urlsplit(database_url).query)["host"][0]
        postgres = Path(host) / ".s.PGSQL.5432"
        self.backends = Backends(postgres)
        self.clock = ledger_clock.Clock(folder / "clock")
        ledger_clock.install(self.backends.own, self.clock)
        self.copies = Copies(self.backends.own)
        self.copies.save("empty")

    def reset(self, partitions: int) -> None:
        """Empty everything for the next run, of so many partitions."""
        for wire in self.wires:
            wire.ask("FLUSHDB")
        self.copies.reset()
        self.backends.own.query(FEWER_PARTITIONS.format(partitions))


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[Servers]:
    """Start the servers in a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="fg-sim-", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    valkey = subprocess.Popen(
        [find_valkey(), "--port", "0", "--unixsocket", folder / "valkey.sock", "--save", "",
         "--appendonly", "no", "--hash-seed", "simulation", "--dir", folder, "--databases", "2", *IN_ORDER],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with EmbeddedPostgres(folder / "data") as postgres:
            ledger = await Ledger.connect(postgres.url)
            await ledger.migrate(max(PARTITIONS))
            async with ledger.connection() as connection:
                await connection.execute(f"UPDATE flashguard.installation SET secret = '{SECRET}'")
                await connection.execute("ALTER ROLE flashguard SET synchronous_commit = off")
            await ledger.close()
            deadline = time.monotonic() + START_SECONDS
            while not (folder / "valkey.sock").exists():
                assert time.monotonic() < deadline, "Valkey does not start"
                await asyncio.sleep(0.02)
            yield Servers(folder, postgres.url)
    finally:
        valkey.kill()
        valkey.wait()
        shutil.rmtree(folder, ignore_errors=True)
