"""PostgreSQL in a run: the real server behind its wire protocol, asked synchronously.

A process speaks the protocol with its own driver. What it sends is given to a real backend up to the point
where PostgreSQL answers, and the answer is read at once: a statement is one moment of virtual time. A
statement that waits for a lock waits in virtual time too, until another statement frees the lock.
"""

import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.simulation.ledger_clock import Clock, with_our_clock
from tests.simulation.network import Link, Server, Session
from tests.simulation.postgres_wire import Backend
from tests.simulation.virtual import START_SECONDS
from tests.simulation.world import World

CANCEL: Final = 80_877_102
WAIT_SECONDS: Final = 0.02
"""Real seconds after which a statement is asked whether it waits for a lock."""
SETTLE_SECONDS: Final = 0.005
"""Real seconds in which one that was woken has its lock, or waits for the next one."""
SYNC: Final = b"S\0\0\0\4"
STARTUP: Final = struct.pack("!i", 196_608) + b"user\0flashguard\0database\0flashguard\0\0"


class Backends:
    """The real server's connections, which live longer than a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.own = Backend(path, STARTUP)
        """The harness's own."""
        self._idle: dict[bytes, list[Backend]] = {}

    def lend(self, startup: bytes) -> Backend:
        idle = self._idle.get(startup)
        return idle.pop() if idle else Backend(self.path, startup)

    def give_back(self, backend: Backend) -> None:
        """Keep a connection for another client; what it had open is rolled back."""
        if backend.status != b"I":
            backend.query("ROLLBACK")
        backend.query("DISCARD ALL")
        self._idle.setdefault(backend.startup, []).append(backend)

    def is_blocked(self, backend: Backend) -> bool:
        """Return whether a backend waits for a lock that another one has."""
        return self.blockers([backend])[str(backend.pid)] != "{}"

    def blockers(self, backends: Sequence[Backend]) -> dict[str, str]:
        """Return whom each backend waits for, by its number: `{}` where it does not wait."""
        pids = ", ".join(f"({backend.pid})" for backend in backends)
        rows = self.own.query(f"SELECT pid, pg_blocking_pids(pid) FROM (VALUES {pids}) AS v (pid)")
        return {str(pid): str(blockers) for pid, blockers in rows}

    def cancel(self, backend: Backend) -> None:
        self.own.query(f"SELECT pg_cancel_backend({backend.pid})")


class Postgres(Server):
    """The server of a run."""

    name = "postgres"

    def __init__(self, world: World, backends: Backends, clock: Clock) -> None:
        super().__init__(world)
        self.backends = backends
        self.waiting: list[PostgresSession] = []
        self.sessions: dict[PostgresSession, None] = {}
        """Those that have a connection of the real server."""
        self.statements = 0
        self._clock = clock
        self.slow_seconds = 0.0
        """How much longer each answer takes."""
        self._holding: list[Backend] = []
        self._blockers: dict[str, str] = {}

    def session(self, link: Link) -> "PostgresSession":
        return PostgresSession(self, link)

    def set_clock(self) -> None:
        """Let the ledger see the run's time."""
        self._clock.set(int((START_SECONDS + self.world.now) * 1_000_000))

    def hold(self, rows: str) -> Callable[[], None]:
        """Lock rows by a transaction of another client; return what ends it. A server that is down has no
        client."""
        if self.is_down:
            return lambda: None
        backend = self.backends.lend(STARTUP)
        self._holding.append(backend)
        backend.query(f"BEGIN; {rows}")

        def free() -> None:
            if backend in self._holding:
                self._holding.remove(backend)
                self.backends.give_back(backend)
                self.let_others_go_on()

        return free

    def cut_all(self, why: str) -> None:
        """Cut every connection, and end every transaction: none may have a row when a copy is restored."""
        super().cut_all(why)
        self.waiting, waited = [], self.waiting
        for session in waited:
            self.backends.cancel(session.the_backend)
            session.skip()
        while self.sessions:
            next(iter(self.sessions)).leave()
        while self._holding:
            self.backends.give_back(self._holding.pop())

    def let_others_go_on(self) -> None:
        """Finish the statements whose lock is free now, in the order in which they came."""
        while self.waiting:
            seen = self.backends.blockers([session.the_backend for session in self.waiting])
            free = [each for each in self.waiting if seen[str(each.the_backend.pid)] == "{}"]
            if not free and seen == self._blockers:
                return
            self._blockers = seen  # who was woken may wait for the next lock at once: look again
            if free and free[0].the_backend.is_ready(WAIT_SECONDS):
                self.waiting.remove(free[0])
                free[0].finish()
            elif not free:
                self.waiting[0].the_backend.is_ready(SETTLE_SECONDS)

    def end(self) -> None:
        """Free every connection after the run."""
        for link in list(self.links):
            link.is_open = False
            link.session.closed()
        self.links.clear()

    def cancel(self, pid: int) -> None:
        """Cancel a statement that waits."""
        for session in list(self.waiting):
            if session.the_backend.pid == pid:
                self.backends.cancel(session.the_backend)
                self.waiting.remove(session)
                session.finish()


class PostgresSession(Session):
    """One connection."""

    def __init__(self, server: Postgres, link: Link) -> None:
        self._server, self._link = server, link
        self._backend: Backend | None = None
        self._came = b""
        self._batch = b""
        self._last = b""
        self._gone = False

    @property
    def the_backend(self) -> Backend:
        assert self._backend is not None
        return self._backend

    def received(self, data: bytes) -> None:
        self._came += data
        if self._backend is None and not self._start():
            return
        while len(self._came) >= 5 and self not in self._server.waiting:
            size = 1 + struct.unpack_from("!i", self._came, 1)[0]
            if len(self._came) < size:
                return
            kind = self._came[:1]
            self._batch += self._came[:size]
            self._came = self._came[size:]
            if kind in b"SQH":
                self._run(b"TnE" if kind == b"H" else b"Z")

    def _start(self) -> bool:
        """Read the first message; return whether statements may follow."""
        if len(self._came) < 8:
            return False
        size, code = struct.unpack_from("!ii", self._came)
        if code == CANCEL:
            self._server.cancel(struct.unpack_from("!i", self._came, 8)[0])
            return False
        if len(self._came) < size:
            return False
        self._backend = self._server.backends.lend(self._came[4:size])
        self._server.sessions[self] = None
        self._came = self._came[size:]
        self._link.reply(self._backend.greeting)
        return True

    def _run(self, last: bytes) -> None:
        batch, self._batch, self._last = self._batch, b"", last
        server, backend = self._server, self.the_backend
        server.statements += 1
        server.world.note(self._link.loop.name, f"postgres {_short(batch)}", batch)
        server.set_clock()
        backend.send(with_our_clock(batch))
        while not backend.is_ready(WAIT_SECONDS):
            if server.backends.is_blocked(backend) and not backend.is_ready(SETTLE_SECONDS):
                server.world.note(self._link.loop.name, "postgres: waits for a lock")
                server.waiting.append(self)
                return
        self.finish()

    def finish(self) -> None:
        """Read the answer and send it."""
        server, before = self._server, self.the_backend.status
        answer = self.the_backend.read(self._last)
        if self._gone:
            self.leave()
        else:
            self._link.stall(server.slow_seconds, up=False)
            self._link.reply(answer)
        if server.waiting and (before != b"T" or self.the_backend.status != b"T"):
            server.let_others_go_on()
        if self._came and not self._gone:
            self.received(b"")

    def closed(self) -> None:
        self._gone = True
        if self._backend is None:
            return
        if self in self._server.waiting:  # PostgreSQL notices when the statement has its lock
            return
        self.leave()

    def skip(self) -> None:
        """Throw an answer away."""
        self.the_backend.read(self._last)
        if self._last != b"Z":
            self.the_backend.send(SYNC)
            self.the_backend.read(b"Z")

    def leave(self) -> None:
        """Give the connection back."""
        backend, self._backend = self.the_backend, None
        del self._server.sessions[self]
        self._server.backends.give_back(backend)
        self._server.let_others_go_on()


def _short(batch: bytes) -> str:
    words = re.findall(rb"[A-Za-z_.]{3,}", batch)[:7]
    return " ".join(word.decode() for word in words)
