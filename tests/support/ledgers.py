"""Migrated ledgers to copy: `initdb` and all migrations cost a second of CPU, a copy costs a quarter."""

import asyncio
import atexit
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from flashguard.embedded import EmbeddedPostgres
from flashguard.ledger import Ledger

PARTITIONS = 16


@cache
def _template() -> Path:
    """The data directory that this process copies the others from."""
    folder = Path(tempfile.mkdtemp(prefix="fg-ledger-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root

    async def make() -> None:
        async with EmbeddedPostgres(folder / "data") as server:
            ledger = await Ledger.connect(server.url)
            await ledger.migrate(PARTITIONS)
            await ledger.close()

    with ThreadPoolExecutor(1) as thread:  # beside the loop of the tests
        thread.submit(asyncio.run, make()).result()
    return folder / "data"


def put_ledger(data_dir: Path) -> None:
    """Make a data directory whose PostgreSQL has a migrated, empty ledger."""
    subprocess.run(["cp", "-a", "--reflink=auto", _template(), data_dir], check=True)
