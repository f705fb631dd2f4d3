"""Valkey in a run: the real server, asked synchronously, with the run's clock in place of its own.

Between a command's arrival and its answer nothing else happens, as in the server itself. Emulated are only
what waits (XREAD with BLOCK, subscriptions), the clock, and faults.
"""

import asyncio
import hashlib
import re
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import hiredis

from tests.simulation.network import Link, Server, Session
from tests.simulation.turns import OFFERS, SELLS, Turns, reads_of
from tests.simulation.virtual import START_SECONDS
from tests.simulation.world import World

CLOCK: Final = "redis.call('TIME')"
READ_ONLY: Final = b"-READONLY You can't write against a read only replica.\r\n"
FULL: Final = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
NO_SCRIPT: Final = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
NOTHING: Final = b"*-1\r\n"
READS: Final = frozenset(
    (b"HGETALL", b"HGET", b"HEXISTS", b"HSCAN", b"SMEMBERS", b"XRANGE", b"ZRANGE", b"ZRANGEBYSCORE",
     b"EXISTS", b"PING", b"TIME", b"INFO", b"CONFIG")
)  # fmt: skip

Snapshot = list[tuple[bytes, bytes]]


class Wire:
    """A blocking connection to the real server."""

    def __init__(self, path: Path, database: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._loaded: dict[bytes, tuple[bytes, bytes]] = {}
        self.ask("SELECT", database)

    def raw(self, *command: Any) -> bytes:
        """Send a command; return its answer as it came."""
        [answer] = self.raw_all([command])
        return answer

    def raw_all(self, commands: Sequence[Sequence[Any]]) -> list[bytes]:
        """Send commands, all at once; return their answers as they came.

        One way to the server and back: on a busy machine these ways are most of what a seed takes.
        """
        self._socket.sendall(b"".join(hiredis.pack_command(tuple(each)) for each in commands))
        reader, parts, left = hiredis.Reader(), [], len(commands)
        while left:
            part = self._socket.recv(1 << 20)
            if not part:
                raise ConnectionError("the real Valkey has gone")
            parts.append(part)
            reader.feed(part)
            while left and reader.gets() is not False:
                left -= 1
        return split(b"".join(parts), len(commands))

    def ask(self, *command: Any) -> Any:
        """Send a command; return its answer.

        Raises:
            hiredis.HiredisError: it is an error.
        """
        reader = hiredis.Reader()
        reader.feed(self.raw(*command))
        answer = reader.gets()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def load(self, source: bytes) -> tuple[bytes, bytes]:
        """Load a script with the run's clock; return its hash, and that of what is run in its place."""
        if source not in self._loaded:
            text = source.decode()
            if text.count(CLOCK) > 1:
                raise AssertionError("the script's clock can't be replaced")
            ours = text.replace(CLOCK, "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
            known = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
            self._loaded[source] = known, cast("bytes", self.ask("SCRIPT", "LOAD", ours))
        return self._loaded[source]


def split(came: bytes, count: int) -> list[bytes]:
    """Return each of so many answers."""
    answers, at = [], 0
    for _ in range(count - 1):
        start, left = at, 1
        while left:
            end = came.index(b"\r\n", at) + 2
            kind, left = came[at : at + 1], left - 1
            if kind in b"$*":
                size = int(came[at + 1 : end - 2])
                left += size if kind == b"*" and size > 0 else 0
                end += size + 2 if kind == b"$" and size >= 0 else 0
            at = end
        answers.append(came[start:at])
    return [*answers, came[at:]]


class Ears:
    """A real subscription to every channel; it hears what scripts published."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._reader = hiredis.Reader()
        self._socket.sendall(b"PSUBSCRIBE *\r\n")
        self._next()

    def _next(self) -> Any:
        while (answer := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 20))
        return answer

    def heard(self) -> list[tuple[bytes, bytes]]:
        """Return the messages published since the last call: channel and text."""
        self._socket.sendall(hiredis.pack_command(("PING",)))
        messages: list[tuple[bytes, bytes]] = []
        while True:
            kind, *rest = self._next()
            if kind == b"pong":
                return messages
            messages.append((rest[1], rest[2]))


class Valkey(Server):
    """One server. Its data is a database of the real one."""

    def __init__(self, world: World, name: str, wire: Wire, ears: Ears) -> None:
        super().__init__(world)
        self.name = name
        self.skew_seconds = 0.0
        """How far its clock is from the run's."""
        self.refuses = b""
        """The error that every write is answered with; empty: none."""
        self.blocked: list[ValkeySession] = []
        self.hearers: list[ValkeySession] = []
        self.is_replicated = True
        """Whether a replica has each write at once; else it gets none, and WAIT counts none."""
        self.deaf = 0.0
        """The share of announcements that get lost."""
        self.calls = 0
        self.restored: Callable[[], None] = lambda: None
        """Called when all data was replaced."""
        self.judge: Callable[[str, list[bytes], bytes], None] = lambda *_: None
        """Called with the process, the command and its answer."""
        self._wire, self._ears = wire, ears
        self._shas: dict[bytes, bytes] = {}
        """The script that is run in place of one, by the hash of each: without the server's clock."""
        self._publishing: set[bytes] = set()
        self._selling: set[bytes] = set()
        self._offering: set[bytes] = set()
        self._awaited: list[tuple[re.Pattern[bytes], asyncio.Future[list[bytes]]]] = []
        self.turns: Turns | None = None
        """Who judges each call about a sale with a waiting list."""

    def session(self, link: Link) -> "ValkeySession":
        return ValkeySession(self, link)

    def next_call(self, pattern: re.Pattern[bytes]) -> "asyncio.Future[list[bytes]]":
        """Return a future of the next call of a script that has this in one of its words."""
        call: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._awaited.append((pattern, call))
        return call

    def snapshot(self, keys: str = "*") -> Snapshot:
        """Return a copy of all data, or of these keys."""
        return [(key, self._wire.ask("DUMP", key)) for key in sorted(self._wire.ask("KEYS", keys))]

    def restore(self, snapshot: Snapshot, keys: str = "*") -> None:
        """Replace all data, or these keys, by a copy."""
        found = self._wire.ask("KEYS", keys)
        if found:
            self._wire.ask("DEL", *found)
        for key, value in snapshot:
            self._wire.ask("RESTORE", key, 0, value)
        self._shas.clear()
        self.restored()

    def restart(self) -> None:
        """Forget what is only in the process: the scripts."""
        self._shas.clear()

    def execute(self, command: list[bytes]) -> bytes:
        """Return the raw answer of a command."""
        name, self.calls = command[0].upper(), self.calls + 1
        if self.refuses and name not in READS and name not in (b"SCRIPT", b"SUBSCRIBE"):
            return self.refuses
        if name == b"TIME":
            seconds, micros = self._clock()
            return b"*2\r\n$%d\r\n%d\r\n$%d\r\n%d\r\n" % (
                len(str(seconds)),
                seconds,
                len(str(micros)),
                micros,
            )
        if name == b"SCRIPT":
            return b"$40\r\n%s\r\n" % self._load(command[2])
        if name in (b"EVAL", b"EVALSHA"):
            return self._evaluate(name, command)
        return self._wire.raw(*command)

    def _clock(self) -> tuple[int, int]:
        now = START_SECONDS + self.world.now + self.skew_seconds
        return int(now), int(now * 1_000_000) % 1_000_000

    def _load(self, source: bytes) -> bytes:
        """Load a script with the run's clock; return the hash that the client knows it by."""
        known, ours = self._wire.load(source)
        self._shas[known] = ours
        if b"PUBLISH" in source:
            self._publishing.add(known)
        if SELLS in source:
            self._selling.add(known)
        if OFFERS in source:
            self._offering.add(known)
        return known

    def _evaluate(self, name: bytes, command: list[bytes]) -> bytes:
        known = self._load(command[1]) if name == b"EVAL" else command[1]
        if known not in self._shas:
            return NO_SCRIPT
        waiting = [session for session in self.blocked if session.stream in command]
        call = [b"EVALSHA", self._shas[known], *command[2:], *self._clock()]
        looks = reads_of(command) if self.turns is not None and known in self._offering else []
        answers = self._wire.raw_all([*looks, call, *looks, *(session.read for session in waiting)])
        answer, reads = answers[len(looks)], answers[1 + 2 * len(looks) :]
        if looks and self.turns is not None:
            seconds, micros = self._clock()
            now_ms = seconds * 1000 + micros // 1000
            after = answers[len(looks) + 1 : 1 + 2 * len(looks)]
            self.turns.judge(command, answers[: len(looks)], after, now_ms, sells=known in self._selling)
        if known in self._publishing:
            self._publish()
        if self._awaited:
            self._note_call(command)
        for session, read in zip(waiting, reads, strict=True):
            session.end_read(read)
        return answer

    def _note_call(self, command: list[bytes]) -> None:
        """Tell those who wait for such a call of it."""
        awaited, self._awaited = self._awaited, []
        for pattern, call in awaited:
            if call.done():
                continue
            if any(map(pattern.search, command)):
                call.set_result(command)
            else:
                self._awaited.append((pattern, call))

    def _publish(self) -> None:
        for channel, message in self._ears.heard():
            text = b"*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
                len(channel), channel, len(message), message
            )  # fmt: skip
            for session in self.hearers:
                if channel in session.channels and self.world.rng.random() >= self.deaf:
                    session.link.reply(text)

    def raw(self, *command: Any) -> bytes:
        """Return the raw answer of the real server, past the run."""
        return self._wire.raw(*command)

    def ask(self, *command: Any) -> Any:
        """Return the answer of the real server, past the run."""
        return self._wire.ask(*command)


class ValkeySession(Session):
    """One connection."""

    def __init__(self, server: Valkey, link: Link) -> None:
        self.link = link
        self.channels: set[bytes] = set()
        self._server = server
        self._reader = hiredis.Reader()
        self._reads: deque[list[bytes]] = deque()
        self._has_copy = True
        """Whether a replica has what came last on this connection."""

    def received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            self._answer(cast("list[bytes]", command))

    def _answer(self, command: list[bytes]) -> None:
        name, world = command[0].upper(), self._server.world
        if name == b"SUBSCRIBE":
            for count, channel in enumerate(command[1:], 1):
                self.channels.add(channel)
                self.link.reply(
                    b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:%d\r\n" % (len(channel), channel, count)
                )
            self._server.hearers.append(self)
            return
        if self.channels:
            self.link.reply(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
            return
        if name == b"WAIT":
            at = world.now if self._has_copy else world.now + int(command[2]) / 1000
            world.at(at, self.link.reply, b":%d\r\n" % self._has_copy)
            return
        if name == b"XREAD" and b"BLOCK" in command:
            at = command.index(b"BLOCK")
            self._reads.append(command[:at] + command[at + 2 :])
            self._server.blocked.append(self)
            world.at(world.now + int(command[at + 1]) / 1000, self._give_up, self._reads[-1])
            if len(self._reads) == 1:
                self.end_read(self._server.raw(*self.read))
            return
        self._has_copy = self._server.is_replicated
        answer = self._server.execute(command)
        self._server.judge(self.link.loop.name, command, answer)
        world.note(self.link.loop.name, f"{self._server.name} {_short(command)}", b"".join(command) + answer)
        self.link.reply(answer)

    @property
    def read(self) -> list[bytes]:
        """The read that is blocked."""
        return self._reads[0]

    @property
    def stream(self) -> bytes:
        """The stream that a blocked read waits for."""
        return self._reads[0][-2] if self._reads else b""

    def end_read(self, answer: bytes) -> None:
        """Answer a blocked read, unless there was nothing to read."""
        if answer not in (NOTHING, b"$-1\r\n"):
            self._end_read(answer)

    def _give_up(self, read: list[bytes]) -> None:
        if self._reads and self._reads[0] is read:
            self._end_read(NOTHING)

    def _end_read(self, answer: bytes) -> None:
        self._reads.popleft()
        if self in self._server.blocked:
            self._server.blocked.remove(self)
        self.link.reply(answer)

    def closed(self) -> None:
        self._reads.clear()
        if self in self._server.blocked:
            self._server.blocked.remove(self)
        if self in self._server.hearers:
            self._server.hearers.remove(self)


def _short(command: list[bytes]) -> str:
    return " ".join(word[:40].decode("ascii", "replace") for word in command[:4] if len(word) < 100)
