"""The admin key of an installation without a configured one: generated at the first start, kept in the data
directory."""

import os
import secrets
from pathlib import Path
from typing import Final

from flashguard.errors import ConfigurationError

FILE_NAME: Final = "admin.key"
KEY_BYTES: Final = 24
"""192 random bits, which can't be guessed."""


def read_admin_key(data_dir: Path) -> str | None:
    """Return the key kept in this data directory; None without one.

    Raises:
        ConfigurationError: the file is empty or belongs to another user.
    """
    path = data_dir / FILE_NAME
    try:
        key = path.read_text().strip()
    except FileNotFoundError:
        return None
    except PermissionError as problem:
        raise ConfigurationError(f"{path} belongs to another user; set FLASHGUARD_ADMIN_KEY.") from problem
    if not key:
        raise ConfigurationError(
            f"{path} is empty; remove it to generate a new key, or write your key into it."
        )
    return key


def keep_admin_key(data_dir: Path) -> str:
    """Return the key kept in this data directory; generate one, with mode 0600, where there is none."""
    key = read_admin_key(data_dir)
    if key is None:
        key = f"fg_admin_{secrets.token_urlsafe(KEY_BYTES)}"
        write_private(data_dir / FILE_NAME, f"{key}\n")
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file atomically that only the current user may read."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:  # on a full disk every attempt would leave another draft
        draft.unlink(missing_ok=True)
        raise
