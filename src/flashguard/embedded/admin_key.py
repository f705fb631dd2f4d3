"""The admin key of an installation that was given none: made at first start, kept in the data directory."""

import os
import secrets
from pathlib import Path
from typing import Final

from flashguard.errors import ConfigurationError

FILE_NAME: Final = "admin.key"
KEY_BYTES: Final = 24
"""192 random bits: nobody guesses that."""


def read_admin_key(data_dir: Path) -> str | None:
    """The key kept in this data directory, if there is one.

    Raises:
        ConfigurationError: the file is there, but empty or somebody else's.
    """
    path = data_dir / FILE_NAME
    try:
        key = path.read_text().strip()
    except FileNotFoundError:
        return None
    except PermissionError as problem:
        raise ConfigurationError(f"{path} belongs to somebody else; set FLASHGUARD_ADMIN_KEY.") from problem
    if not key:
        raise ConfigurationError(
            f"{path} is empty; remove it to have a new key made, or write your key into it."
        )
    return key


def keep_admin_key(data_dir: Path) -> str:
    """The key kept in this data directory; one is made, with mode 0600, where there is none."""
    key = read_admin_key(data_dir)
    if key is None:
        key = f"fg_admin_{secrets.token_urlsafe(KEY_BYTES)}"
        write_private(data_dir / FILE_NAME, f"{key}\n")
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read: whole, or not at all."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:  # on a full disk every try would leave one more draft
        draft.unlink(missing_ok=True)
        raise
