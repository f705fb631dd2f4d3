"""Where things lie: the data directory, its locks, its private folders and its sockets."""

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
"""Linux keeps a unix socket's path in 108 bytes, the last of them a zero."""

SOCKET_PROBE_SECONDS: Final = 1.0

FULL_DISK_BYTES: Final = 64 * 1024 * 1024
"""Less than this is a full disk: PostgreSQL alone wants 16 MiB at a time for its log."""

SHARED_HOME: Final = Path("/var/lib/flashguard")
"""Where root puts what PostgreSQL's account must reach but can't reach in the data directory."""


def open_data_dir(data_dir: Path) -> Path:
    """Makes the data directory where it is missing, and never changes the mode of one that is there.

    One made by root may be passed through by others (0711), so that PostgreSQL's account reaches its part;
    all that lies in it is private by itself.
    """
    if not data_dir.is_dir():
        try:
            data_dir.parent.mkdir(parents=True, exist_ok=True)
            make_folder(data_dir, 0o711 if os.geteuid() == 0 else 0o700)
        except OSError as problem:
            raise ConfigurationError(
                f"The data directory {data_dir} can't be made ({problem.strerror}); "
                "choose another with --data-dir or FLASHGUARD_DATA_DIR."
            ) from problem
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"The data directory {data_dir} belongs to somebody else; "
            "choose another with --data-dir or FLASHGUARD_DATA_DIR."
        )
    return data_dir.resolve()


def make_folder(path: Path, mode: int, account: Account | None = None) -> None:
    """Makes a folder with exactly this mode and owner; one that exists stays as it is."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)  # the umask may have taken bits away
    if account:
        os.chown(path, account.uid, account.gid)


class DirectoryLock:
    """Keeps a second run out for as long as this process lives; the kernel lets go when it dies."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise ConfigurationError(
                f"The data directory {path.parent} is in use by another run (process {holder or 'unknown'}). "
                "Stop that one first, or choose another directory with --data-dir or FLASHGUARD_DATA_DIR."
            ) from taken
        with contextlib.suppress(OSError):  # on a full disk: the lock holds without our name in it
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets the next run in. The file stays: removing it would let two runs hold two locks of one name."""
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
            return f"the disk of {folder} takes no more files"
    return None


def reachable(path: Path, account: Account) -> bool:
    """Whether the account may read this file or enter this folder, and pass every folder on the way."""
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
    """A folder outside the data directory, and the data directory that it belongs to."""

    folder: Path
    owner_id: str
    """`identity_of` the data directory; empty in a memo of an older version."""
    owner: Path


def identity_of(data_dir: Path) -> str:
    """Return what no copy of a data directory has, and what it keeps when it is renamed: device and inode."""
    status = data_dir.stat()
    return f"{status.st_dev}:{status.st_ino}"


def write_memo(memo: Path, folder: Path) -> None:
    """Remember, in the data directory that `memo` lies in, a folder that belongs to it."""
    write_private(memo, f"{folder}\n{identity_of(memo.parent)}\n{memo.parent}\n")


def read_memo(memo: Path) -> Memo | None:
    """Return what `memo` remembers, or None. Its owner is another directory where it came with a copy."""
    try:
        lines = memo.read_text().splitlines()
    except FileNotFoundError:
        return None
    folder, owner_id, owner = (*lines, "", "", "")[:3]
    return Memo(Path(folder), owner_id, Path(owner)) if folder else None


def open_socket_folder(preferred: Path, socket_name: str, memo: Path, account: Account | None = None) -> Path:
    """Return a private folder for a server's socket: the preferred one, or, if its path is too long, a
    temporary one.

    `memo` remembers a temporary folder, so that a restart, or the run after a dead one, takes it again.
    A memo that came with a copy of another data directory does not count: that folder is in use there.
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
        f"No directory is short enough for a unix socket in place of {preferred}; set TMPDIR."
    )


def close_socket_folder(memo: Path) -> None:
    """Remove the temporary socket folder that `memo` remembers, if it is ours and no server lives in it."""
    remembered = read_memo(memo)
    if remembered is not None and remembered.owner_id == identity_of(memo.parent):
        folder = remembered.folder
        ours = folder.name.startswith("flashguard-") and folder.is_dir() and not folder.is_symlink()
        if ours and not any(each.is_socket() and is_live(each) for each in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
    memo.unlink(missing_ok=True)


def is_live(path: Path) -> bool:
    """Whether a server listens on this unix socket; a refused connection or no file means that none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(SOCKET_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # its queue is full, or it is not ours: somebody listens
            return True
    return True


def remove_dead_socket(path: Path) -> None:
    """Remove the socket that a dead server left, if any.

    Raises:
        ConfigurationError: a server listens on it: removing it would give that server's clients to ours.
    """
    if is_live(path):
        raise ConfigurationError(f"Another server listens on {path}. Stop the server that uses it first.")
    path.unlink(missing_ok=True)


def _remembered(memo: Path, account: Account | None) -> Path | None:
    """Return the temporary folder of an earlier start, if it is still there, private and ours."""
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
