"""What the embedded servers share: start, readiness, stop, kill, and the log."""

import asyncio
import logging
import os
import time
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from pathlib import Path
from signal import Signals
from types import TracebackType
from typing import BinaryIO, ClassVar, Final, NoReturn, Self

from flashguard.errors import ConfigurationError, FlashGuardError
from flashguard.slices import take_short_slices

from .child import Account, end, spawn
from .places import DirectoryLock, is_live, make_folder, open_data_dir

logger = logging.getLogger("flashguard.embedded")

START_TIMEOUT_SECONDS: Final = 60.0
"""Reading a long append-only file or write-ahead log takes seconds; a longer start is a fault."""
STOP_TIMEOUT_SECONDS: Final = 10.0
READY_POLL_SECONDS: Final = 0.02
LEFTOVER_TIMEOUT_SECONDS: Final = 15.0
"""When its parent dies, Linux signals PostgreSQL to quit, which takes at most 5 s."""
LOG_TAIL_LINES: Final = 15
MAX_LOG_BYTES: Final = 10_000_000
"""A longer log is renamed to `.old` at the next start."""


class ServerFailedError(FlashGuardError):
    """An embedded server did not start; the message ends with the last lines of its log."""


class EmbeddedServer(ABC):
    """A real server as a child process, with exclusive use of its data directory."""

    name: ClassVar[str]
    death_signal: ClassVar[Signals]
    """The signal that Linux sends the server when this process dies."""
    stop_signals: ClassVar[tuple[Signals, ...]]
    """From gentle to firm; SIGKILL follows the last."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.account: Account | None = None
        self._process: Process | None = None
        self._lock: DirectoryLock | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The address of the running server."""

    @abstractmethod
    async def _prepare(self) -> list[str | Path]:
        """Prepare the files, remove what a dead run left, and return the command line."""

    @abstractmethod
    async def _is_ready(self) -> bool:
        """Return whether the server answers now."""

    @abstractmethod
    def _clean_up(self) -> None:
        """Remove what only a running server needs."""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise FlashGuardError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def log_file(self) -> Path:
        return self.data_dir / "logs" / f"{self.name}.log"

    async def start(self, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
        """Start the server and return once it answers.

        Raises:
            ConfigurationError: the directory is in use, can't be used, or the server is not installed.
            ServerFailedError: the server ended, or did not answer in time.
        """
        if self.running:
            return
        try:
            self.data_dir = open_data_dir(self.data_dir)
            if self._lock is None:
                self._lock = DirectoryLock(self.data_dir / f"{self.name}.lock")
            command = await self._prepare()
            await self._launch(command, timeout_seconds)
        except BaseException:
            await self.kill()
            self._release()
            raise

    async def stop(self, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> None:
        """End the server: gently within the given time, then firmly. Its data stays."""
        await self._end(timeout_seconds)
        self._process = None
        self._release()

    async def kill(self) -> None:
        """End the server as a crash would, with SIGKILL. The directory stays locked until `stop`."""
        if self._process is not None:
            await end(self._process, [])

    async def restart(self, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
        """Restart the server under the same address; a running one is stopped first."""
        await self._end(STOP_TIMEOUT_SECONDS)
        await self.start(timeout_seconds)

    async def wait(self) -> int:
        """Return the exit code when the server ends, for whatever reason."""
        if self._process is None:
            raise FlashGuardError(f"{self.name} is not running")
        return await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _end(self, timeout_seconds: float) -> None:
        if self._process is not None:
            patience_seconds = timeout_seconds / len(self.stop_signals)
            await end(self._process, [(signal, patience_seconds) for signal in self.stop_signals])

    async def _launch(self, command: list[str | Path], timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        with open_log(self.log_file) as log:
            log_start = log.tell()
            self._process = await spawn(
                command,
                death_signal=self.death_signal,
                output=log,
                account=self.account,
                env=bare_environment(),
                cwd=Path("/"),
            )
        take_short_slices(self._process.pid)
        while not await self._is_ready():
            if not self.running:
                self._fail(f"{self.name} ended with exit code {self._process.returncode}", log_start)
            if time.monotonic() > deadline:
                self._fail(f"{self.name} did not answer within {timeout_seconds:g} s", log_start)
            await asyncio.sleep(READY_POLL_SECONDS)

    def _fail(self, what: str, log_start: int) -> NoReturn:
        raise ServerFailedError(
            f"{what}; its log, {self.log_file}, ends with:\n{log_tail(self.log_file, log_start)}"
        )

    def _release(self) -> None:
        if self._lock is not None:
            self._clean_up()
            self._lock.release()
            self._lock = None


def bare_environment() -> dict[str, str]:
    """Return the environment of a server: without FlashGuard's keys and without PG* variables, which would
    change its behaviour."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def open_log(path: Path) -> BinaryIO:
    """Open a server's log to append to; rename a long one first."""
    make_folder(path.parent, 0o700)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.old"))
    return path.open("ab")


def log_tail(path: Path, start: int = 0) -> str:
    """Return the last lines of a log, from byte `start` on."""
    with path.open("rb") as log:
        log.seek(max(start, path.stat().st_size - 64 * 1024))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:]) or "  (nothing)"


def processes_in(folder: Path, program: str) -> list[int]:
    """Return the processes of this program whose working directory is this folder, as a server's is its
    data."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == program and (process / "cwd").readlink() == folder:
                found.append(int(process.name))
        except OSError:  # it has just ended, or belongs to another user
            continue
    return found


async def wait_for_leftovers(folder: Path, program: str, socket: Path) -> None:
    """Wait until no process of a dead run uses this folder or listens on this socket.

    Both are asked: when Linux ends a process, it takes the working directory from it some time before it
    closes its sockets.

    Raises:
        ConfigurationError: one still runs; it may not be ended here.
    """
    deadline = time.monotonic() + LEFTOVER_TIMEOUT_SECONDS
    while user := _user_of(folder, program, socket):
        if time.monotonic() > deadline:
            raise ConfigurationError(f"{user}; end it first.")
        await asyncio.sleep(READY_POLL_SECONDS)


def _user_of(folder: Path, program: str, socket: Path) -> str | None:
    """Return a sentence about a process that uses this folder or this socket, or None."""
    if left := processes_in(folder, program):
        return f"A {program} of another run still uses {folder} (process {left[0]})"
    return f"Another server listens on {socket}" if is_live(socket) else None
