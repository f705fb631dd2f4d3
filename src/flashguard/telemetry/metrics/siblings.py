"""Adds the metrics of the worker processes of one `flashguard api`, which share a port.

Each worker writes its counts to a file every second, and before it answers for all, so that no counter ever
decreases for Prometheus. A worker whose lock is free has ended; its counts are added to one file for all
ended workers.
"""

import asyncio
import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from .family import Family, total

log = logging.getLogger("flashguard")

WRITE_SECONDS: Final = 1.0
"""Maximum age of the counts of the other workers."""
_ENDED: Final = "ended"
_COUNTED: Final = ".counted"
_LIVES: Final = ".lives"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Family]).decode


class Siblings:
    """The metrics of one worker and its siblings.

    Parameters:
        folder: used only by the workers of this service, all of them.
        own: returns what this worker counted so far.
    """

    def __init__(self, folder: Path, own: Callable[[], list[Family]]) -> None:
        self._folder = folder
        self._own = own
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._life = (folder / f"{self._name}{_LIVES}").open("w")
        fcntl.flock(self._life, fcntl.LOCK_EX)
        with self._alone():
            self._add_ended()

    async def write_regularly(self) -> None:
        """Write this worker's counts every second, until cancelled."""
        while True:
            try:
                self._write(self._name, self._own())
            except OSError as error:
                log.warning("cannot write this worker's metrics: %s; retrying in %g s", error, WRITE_SECONDS)
            await asyncio.sleep(WRITE_SECONDS)

    def all(self) -> list[Family]:
        """Return what all workers counted, including those that have ended."""
        own = self._own()
        with self._alone():
            self._write(self._name, own)
            living, ended = [own], [self._read(_ENDED)]
            for name in self._others():
                (ended if self._has_ended(name) else living).append(self._read(name))
        return total(living, ended=total(ended))

    def close(self) -> None:
        """Write this worker's counts for the last time."""
        self._write(self._name, self._own())
        self._life.close()

    def _add_ended(self) -> None:
        """Move the counts of workers that have ended to the file of all ended workers."""
        gone = [name for name in self._others() if self._has_ended(name)]
        if gone:
            self._write(_ENDED, total([], ended=total(map(self._read, (_ENDED, *gone)))))
        for name in gone:
            (self._folder / f"{name}{_COUNTED}").unlink(missing_ok=True)
            (self._folder / f"{name}{_LIVES}").unlink(missing_ok=True)

    def _others(self) -> list[str]:
        return [path.stem for path in self._folder.glob(f"*{_LIVES}") if path.stem != self._name]

    def _has_ended(self, name: str) -> bool:
        with (self._folder / f"{name}{_LIVES}").open() as life:
            try:
                fcntl.flock(life, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _read(self, name: str) -> list[Family]:
        try:
            return _decode((self._folder / f"{name}{_COUNTED}").read_bytes())
        except FileNotFoundError:  # it has not counted anything yet
            return []

    def _write(self, name: str, families: list[Family]) -> None:
        new = self._folder / f"{self._name}.new"
        new.write_bytes(_encode(families))
        new.rename(self._folder / f"{name}{_COUNTED}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude the other workers; each holds the lock for about a millisecond."""
        with (self._folder / "alone").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
