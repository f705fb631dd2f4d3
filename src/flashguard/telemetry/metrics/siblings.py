"""Several worker processes of one `flashguard api` share a port: whoever is asked answers for all of them.

Each keeps what it counted in a file of its own, written every second and whenever it is asked itself, so
that what Prometheus sees of a counter never goes back. A worker that is gone is one whose lock can be had;
what it counted is added to one file for all that are gone.
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

from .family import Family, added_up

log = logging.getLogger("flashguard")

WRITE_SECONDS: Final = 1.0
"""How far behind what is said of the other workers may be."""
_ENDED: Final = "ended"
_COUNTED: Final = ".counted"
_LIVES: Final = ".lives"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Family]).decode


class Siblings:
    """One worker's place among its siblings.

    Parameters:
        folder: theirs alone; every worker of one service has the same.
        own: what this worker counted so far.
    """

    def __init__(self, folder: Path, own: Callable[[], list[Family]]) -> None:
        self._folder = folder
        self._own = own
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._life = (folder / f"{self._name}{_LIVES}").open("w")
        fcntl.flock(self._life, fcntl.LOCK_EX)
        with self._alone():
            self._bury()

    async def write_regularly(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                self._write(self._name, self._own())
            except OSError as error:
                log.warning("this worker's metrics can't be written: %s", error)
            await asyncio.sleep(WRITE_SECONDS)

    def all(self) -> list[Family]:
        """What all workers counted, those that are gone included."""
        own = self._own()
        with self._alone():
            self._write(self._name, own)
            living, ended = [own], [self._read(_ENDED)]
            for name in self._others():
                (ended if self._is_gone(name) else living).append(self._read(name))
        return added_up(living, ended=added_up(ended))

    def close(self) -> None:
        """Leaves behind what this worker counted."""
        self._write(self._name, self._own())
        self._life.close()

    def _bury(self) -> None:
        """Adds those that are gone to the one file of all that are gone."""
        gone = [name for name in self._others() if self._is_gone(name)]
        if gone:
            self._write(_ENDED, added_up([], ended=added_up(map(self._read, (_ENDED, *gone)))))
        for name in gone:
            (self._folder / f"{name}{_COUNTED}").unlink(missing_ok=True)
            (self._folder / f"{name}{_LIVES}").unlink(missing_ok=True)

    def _others(self) -> list[str]:
        return [path.stem for path in self._folder.glob(f"*{_LIVES}") if path.stem != self._name]

    def _is_gone(self, name: str) -> bool:
        with (self._folder / f"{name}{_LIVES}").open() as life:
            try:
                fcntl.flock(life, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _read(self, name: str) -> list[Family]:
        try:
            return _decode((self._folder / f"{name}{_COUNTED}").read_bytes())
        except FileNotFoundError:  # it has counted nothing yet
            return []

    def _write(self, name: str, families: list[Family]) -> None:
        new = self._folder / f"{self._name}.new"
        new.write_bytes(_encode(families))
        new.rename(self._folder / f"{name}{_COUNTED}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else reads or buries meanwhile; each does it within a millisecond."""
        with (self._folder / "alone").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
