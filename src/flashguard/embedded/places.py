"""The data directory, its locks, its private folders and its sockets."""

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from flashguard.errors import ConfigurationError

from .admin_key import write_private
from .child import Account

MAX_SOCKET_PATH_BYTES: Final = 107
"""Linux stores a unix socket's path in 108 bytes, the last of them zero."""

SOCKET_PROBE_SECONDS: Final = 1.0

FULL_DISK_BYTES: Final = 64 * 1024 * 1024
"""A disk with less free space counts as full: PostgreSQL alone allocates 16 MiB at a time for its log."""

SHARED_HOME: Final = Path("/var/lib/flashguard")
"""Where root puts files that PostgreSQL's account needs but can't reach in the data directory."""


def open_data_dir(data_dir: Path) -> Path:
    """Create the data directory if it is missing, and return it. The mode of an existing one never changes.

    Others may pass through a directory created by root (0711), so that PostgreSQL's account reaches its
    files; everything in it is private by itself.
    """
    if not data_dir.is_dir():
        try:
            data_dir.parent.mkdir(parents=True, exist_ok=True)
            make_folder(data_dir, 0o711 if os.geteuid() == 0 else 0o700)
        except OSError as problem:
            raise ConfigurationError(
                f"Cannot create the data directory {data_dir} ({problem.strerror}); "
                "choose another with --data-dir or FLASHGUARD_DATA_DIR."
            ) from problem
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"The data directory {data_dir} belongs to another user; "
            "choose another with --data-dir or FLASHGUARD_DATA_DIR."
        )
    return data_dir.resolve()


def make_folder(path: Path, mode: int, account: Account | None = None) -> None:
    """Create a folder with exactly this mode and owner; an existing one stays unchanged."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)  # the umask may have removed bits
    if account:
        os.chown(path, account.uid, account.gid)


class DirectoryLock:
    """Excludes a second run while this process lives; Linux releases the lock when it dies."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise ConfigurationError(
                f"The data directory {path.parent} is in use by another run (process {holder or 'unknown'}). "
                "Stop it first, or choose another directory with --data-dir or FLASHGUARD_DATA_DIR."
            ) from taken
        with contextlib.suppress(OSError):  # on a full disk the lock holds without the process id in it
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock. The file stays: removing it would let two runs hold two locks of the same
        name."""
        os.close(self._file)


def full_disk(folders: Iterable[Path]) -> str | None:
    """Return a sentence about the first of these folders whose disk is full, or None."""
    for folder in folders:
        try:
            disk = os.statvfs(folder)
        except OSError:
            continue
        free_bytes = disk.f_bavail * disk.f_frsize
        if free_bytes < FULL_DISK_BYTES:
            return f"the disk of {folder} is full ({free_bytes // 2**20} MiB free)"
        if disk.f_files and not disk.f_favail:
            return f"the disk of {folder} has no room for more files"
    return None


def reachable(path: Path, account: Account) -> bool:
    """Return whether the account may read this file or enter this folder, and pass every parent folder."""
    path = path.resolve()
    steps = [(parent, stat.S_IXOTH) for parent in path.parents]
    steps.append((path, stat.S_IXOTH if path.is_dir() else stat.S_IROTH))
    return all(_allows(step.stat(), bit, account) for step, bit in steps)


def _allows(status: os.stat_result, bit_for_others: int, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & bit_for_others << 6)
    if status.st_gid == account.gid:
        return bool(status.st_mode & bit_for_others << 3)
    return bool(status.st_mode & bit_for_others)


class Memo(NamedTuple):
    """A folder outside the data directory, and the data directory that owns it."""

    folder: Path
    owner_id: str
    """`identity_of` the data directory; empty in a memo written by an older version."""
    owner: Path


def identity_of(data_dir: Path) -> str:
    """Return device and inode, which a renamed data directory keeps and a copy does not have."""
    status = data_dir.stat()
    return f"{status.st_dev}:{status.st_ino}"


def write_memo(memo: Path, folder: Path) -> None:
    """Record, in the data directory that contains `memo`, a folder that belongs to it."""
    write_private(memo, f"{folder}\n{identity_of(memo.parent)}\n{memo.parent}\n")


def read_memo(memo: Path) -> Memo | None:
    """Return what `memo` records, or None. In a copied data directory the owner is the original."""
    try:
        lines = memo.read_text().splitlines()
    except FileNotFoundError:
        return None
    folder, owner_id, owner = (*lines, "", "", "")[:3]
    return Memo(Path(folder), owner_id, Path(owner)) if folder else None


def open_socket_folder(preferred: Path, socket_name: str, memo: Path, account: Account | None = None) -> Path:
    """Return a private folder for a server's socket: the preferred one, or a temporary one if its path is too
    long.

    `memo` records a temporary folder, so that a restart or the next run uses it again. A memo copied with
    another data directory is ignored: the original uses that folder.
    """
    if (remembered := _remembered(memo, account)) is not None:
        return remembered
    if _fits(preferred / socket_name):
        make_folder(preferred, 0o700, account)
        return preferred
    for base in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        fits = base.is_dir() and _fits(base / "flashguard-12345678" / socket_name)
        if fits and (account is None or reachable(base, account)):
            folder = Path(tempfile.mkdtemp(prefix="flashguard-", dir=base))
            try:
                if account:
                    os.chown(folder, account.uid, account.gid)
                write_memo(memo, folder)
            except BaseException:
                folder.rmdir()
                raise
            return folder
    raise ConfigurationError(
        f"No directory has a path short enough for a unix socket instead of {preferred}; set TMPDIR."
    )


def close_socket_folder(memo: Path) -> None:
    """Remove the temporary socket folder that `memo` records, if it belongs to this directory and no server
    uses it."""
    remembered = read_memo(memo)
    if remembered is not None and remembered.owner_id == identity_of(memo.parent):
        folder = remembered.folder
        ours = folder.name.startswith("flashguard-") and folder.is_dir() and not folder.is_symlink()
        if ours and not any(each.is_socket() and is_live(each) for each in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
    memo.unlink(missing_ok=True)


def is_live(path: Path) -> bool:
    """Return whether a server listens on this unix socket; a refused connection or a missing file means
    no."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(SOCKET_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # its queue is full, or it belongs to another user: a server listens
            return True
    return True


def _remembered(memo: Path, account: Account | None) -> Path | None:
    """Return the temporary folder of an earlier start, if it still exists, is private and has the right
    owner."""
    remembered = read_memo(memo)
    if remembered is None or remembered.owner_id != identity_of(memo.parent):
        return None
    try:
        status = remembered.folder.lstat()
    except FileNotFoundError:
        return None
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700
    ours = status.st_uid == (account.uid if account else os.geteuid())
    return remembered.folder if private and ours else None


def _fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= MAX_SOCKET_PATH_BYTES
