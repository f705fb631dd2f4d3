"""`run.json` in the data directory, by which other commands find the FlashGuard that runs there."""

from pathlib import Path
from typing import Final

import msgspec

from flashguard.errors import ConfigurationError
from flashguard.settings import Settings

from .admin_key import write_private
from .places import identity_of

FILE_NAME: Final = "run.json"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A running `flashguard up`. `started` tells its process from a later one with the same id.

    `data_dir_id` tells its data directory from a copy, which has a copied `run.json`. `embedded`: both
    servers are embedded.
    """

    url: str
    redis_url: str
    database_url: str
    pid: int
    started: int
    data_dir_id: str = ""
    embedded: bool = False
    production: bool = False
    pids: dict[str, int]


def write_run(data_dir: Path, run: Run) -> None:
    """Write `run.json`.

    Raises:
        OSError: it can't be written, as on a full disk.
    """
    write_private(data_dir / FILE_NAME, msgspec.json.encode(run).decode())


def remove_run(data_dir: Path) -> None:
    (data_dir / FILE_NAME).unlink(missing_ok=True)


def find_run(data_dir: Path) -> Run | None:
    """Return the FlashGuard that runs on this data directory; None where none runs, also after a crash."""
    try:
        run = msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=Run)
        ours = run.data_dir_id == identity_of(data_dir)
        return run if ours and started_of(run.pid) == run.started else None
    except (FileNotFoundError, ProcessLookupError, PermissionError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def with_servers(settings: Settings, data_dir: Path | None = None) -> Settings:
    """Return the settings with the servers that they name, or with those of the `up` on the data directory.

    Raises:
        ConfigurationError: there are neither.
    """
    if settings.redis_url and settings.database_url:
        return settings
    directory = data_dir or settings.data_dir
    if settings.redis_url or settings.database_url or (run := find_run(directory)) is None:
        raise ConfigurationError(
            "No servers: set FLASHGUARD_REDIS_URL and FLASHGUARD_DATABASE_URL, or run `flashguard up`, "
            f"which embeds both; none runs on {directory}."
        )
    found = {"redis_url": run.redis_url, "database_url": run.database_url, "embedded": run.embedded}
    return settings.model_copy(update=found)


def still_ends(data_dir: Path, part: str) -> bool:
    """Return whether a part of a dead run still runs: it was asked to stop and completes its requests."""
    try:
        run = msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=Run)
        if run.data_dir_id != identity_of(data_dir) or find_run(data_dir) is not None:
            return False
        return part.encode() in Path(f"/proc/{run.pids[part]}/cmdline").read_bytes().split(b"\0")
    except (OSError, KeyError, msgspec.DecodeError, UnicodeDecodeError):
        return False


def started_of(pid: int) -> int:
    """Return when a process started, in clock ticks since boot: the 22nd field of its `stat`."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError as problem:
        raise ProcessLookupError(pid) from problem
    return int(after_name[19])
