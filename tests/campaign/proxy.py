"""A network that misbehaves on demand: a small proxy between two unix sockets or TCP ports."""

import asyncio
import contextlib
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from pathlib import Path

CHUNK = 64 * 1024
Place = Path | int
"""A unix socket's path, or a port of 127.0.0.1."""


class Proxy:
    """Passes bytes on, at once, late or not at all; or cuts connections, in one direction or both.

    Parameters:
        place: where to listen.
        upstream: returns where to connect, for each connection: a failover changes it.
    """

    def __init__(self, place: Place, upstream: Callable[[], Place]) -> None:
        self.place = place
        self.delay_seconds = 0.0
        self._upstream = upstream
        self._passing = asyncio.Event()
        self._passing.set()
        self._refusing = False
        self._pairs: set[tuple[StreamWriter, StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        if isinstance(self.place, int):
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.place)
        else:
            self.place.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self.place)
            self.place.chmod(0o777)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def heal(self) -> None:
        """Pass everything again; delayed bytes arrive now."""
        self.delay_seconds = 0.0
        self._refusing = False
        self._passing.set()

    def hold_back(self) -> None:
        """Deliver nothing, silently, as if all packets were dropped and the sender kept retrying."""
        self._passing.clear()

    def cut(self, *, refuse: bool = False) -> None:
        """Reset every connection; with `refuse`, new ones too, until healed."""
        self._refusing = refuse
        for pair in list(self._pairs):
            for writer in pair:
                _reset(writer)

    def half_close(self, *, towards_server: bool) -> None:
        """End one direction of every connection; the other stays open."""
        for client, server in list(self._pairs):
            writer = server if towards_server else client
            with contextlib.suppress(OSError, RuntimeError):
                if writer.can_write_eof() and not writer.is_closing():
                    writer.write_eof()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._passing.wait()
            if self._refusing:
                return
            place = self._upstream()
            opened = (
                asyncio.open_connection("127.0.0.1", place)
                if isinstance(place, int)
                else asyncio.open_unix_connection(place)
            )
            try:
                far_reader, far_writer = await opened
            except OSError:
                return
            pair = (writer, far_writer)
            self._pairs.add(pair)
            try:
                await asyncio.gather(
                    self._pass(reader, far_writer), self._pass(far_reader, writer), return_exceptions=True
                )
            finally:
                self._pairs.discard(pair)
                _reset(far_writer)
        finally:
            _reset(writer)

    async def _pass(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if not self._passing.is_set():
                    await self._passing.wait()
                writer.write(chunk)
                await writer.drain()
        except (OSError, RuntimeError):
            _reset(writer)
            raise
        else:
            with contextlib.suppress(OSError, RuntimeError):
                if writer.can_write_eof() and not writer.is_closing():
                    writer.write_eof()


def _reset(writer: StreamWriter) -> None:
    """Close at once; on TCP with a reset, as a router would."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        if raw is not None and raw.family == socket.AF_INET:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError, RuntimeError):
        writer.transport.abort()


def unix_place(folder: Path, name: str) -> Path:
    """Return a short path for a socket to which other accounts may connect."""
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    return folder / name
