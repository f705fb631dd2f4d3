"""One run: a virtual clock, the processes' event loops, and what is under way between them. Nothing waits.

Of everything that is due at the same time, the seed chooses what comes first. Each step of a process takes a
little virtual time, so that answers of the network come in between any two of its steps.
"""

import asyncio
import gc
import hashlib
import heapq
import itertools
import math
import random
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TextIO

from tests.simulation.virtual import Virtual

STEP_SECONDS: Final = 20e-6
"""What one step of a process takes, on average."""
EVENTS_KEPT: Final = 400
STEPS_MOST: Final = 200_000
STEPS_TO_END: Final = 20_000
_LEFT_OVER: Final[list[object]] = []
"""Tasks that did not end; collected, they would go on without a loop."""


class Stuck(Exception):
    """The run does not end: nothing is due any more, or it takes too many steps."""


class Loop(asyncio.BaseEventLoop):
    """The event loop of one process. It has no socket of the system and never waits: the world steps it."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__()
        self.world = world
        self.name = name
        self.dead = False
        self.busy_until = 0.0
        self.stalls_seconds = 0.0
        """How much longer the step under way takes."""
        self.routes: Callable[[str, asyncio.BaseProtocol, Loop], asyncio.Transport] | None = None
        self._thread_id = threading.get_ident()
        self._ready: deque[Any]
        self._scheduled: list[Any]
        self._timer_cancelled_count: int
        self.tasks: list[asyncio.Task[Any]] = []
        self.set_exception_handler(self._note_exception)

    def time(self) -> float:
        return self.world.now

    def _write_to_self(self) -> None:
        pass

    def create_task(self, *args: Any, **more: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = super().create_task(*args, **more)
        self.tasks.append(task)  # a task of a dead process is never collected in the middle of a run
        return task

    def _note_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.world.note(self.name, f"unhandled: {context.get('message')} {context.get('exception')!r}")

    async def create_unix_connection(self, factory: Any, path: Any = None, **_: Any) -> Any:  # type: ignore[override]
        """Connect to a server of the world: see `Network`."""
        assert self.routes is not None
        await asyncio.sleep(self.world.delay())
        protocol = factory()
        transport = self.routes(str(path), protocol, self)
        protocol.connection_made(transport)
        return transport, protocol

    def next_at(self) -> float:
        """Return when this loop has something to do."""
        if self.dead:
            return math.inf
        if self._ready:
            return max(self.world.now, self.busy_until)
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False
        return max(scheduled[0]._when, self.busy_until) if scheduled else math.inf

    def step(self) -> None:
        """Run the next callback."""
        now, ready, scheduled = self.world.now, self._ready, self._scheduled
        while scheduled and scheduled[0]._when <= now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        handle = ready.popleft()
        if handle._cancelled:
            return
        asyncio._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(None)
        self.busy_until = now + self.world.rng.random() * 2 * STEP_SECONDS + self.stalls_seconds
        self.stalls_seconds = 0.0


class World:
    """The clock, the loops and the events of one run."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.rng = random.Random(f"{seed} world")
        self.now = 0.0
        self.loops: list[Loop] = []
        self.events: deque[str] = deque(maxlen=EVENTS_KEPT)
        self.latency = 0.0002
        """Seconds of one way, at the median."""
        self.log_seconds = 0.0
        """How long a line of the log stops its process, at most."""
        self.steps = 0
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._trace = hashlib.blake2b(digest_size=8)
        self.graveyard: list[Loop] = []
        """The loops of dead processes: nothing of them is collected before the run is over."""
        self.tape: TextIO | None = None
        """Where the whole trace is written."""

    def loop(self, name: str) -> Loop:
        """Return the loop of a new process."""
        loop = Loop(self, name)
        self.loops.append(loop)
        return loop

    def bury(self, loop: Loop) -> None:
        """Never step this loop again: its process is dead."""
        loop.dead = True
        self.loops.remove(loop)
        self.graveyard.append(loop)

    def at(self, when: float, call: Callable[..., object], *args: Any) -> None:
        """Call this at a virtual time."""
        heapq.heappush(self._due, (max(when, self.now), next(self._numbers), call, args))

    def delay(self) -> float:
        """Return the seconds that a message takes, one way: now and then very long."""
        rng = self.rng
        if rng.random() < 0.01:
            return rng.random() * 0.1
        return self.latency * (0.5 + rng.expovariate(1.0))

    def log(self, line: str) -> None:
        """Note a line of a process's log; the process waits until it is written."""
        self.note("log", line)
        writer = asyncio._get_running_loop()
        if self.log_seconds and isinstance(writer, Loop):
            writer.stalls_seconds += self.log_seconds * self.rng.random()

    def note(self, who: str, what: str, data: bytes = b"") -> None:
        """Add an event to the trace, by which two runs are compared."""
        line = f"{self.now:12.6f} {who}: {what}"
        self._trace.update(line.encode())
        self._trace.update(data)
        self.events.append(line)
        if self.tape is not None:
            self.tape.write(f"{line} {data!r}\n")

    def end(self) -> None:
        """Cancel every task, so that none is collected in the middle of what it does."""
        loops, self.loops = [*self.loops, *self.graveyard], []
        for loop in loops:
            loop.dead = False
            loop.busy_until = 0.0
            self.loops.append(loop)
            for task in loop.tasks:
                task.cancel()
        tasks = [task for loop in loops for task in loop.tasks]
        self.steps = STEPS_MOST - STEPS_TO_END

        def all_are_done() -> bool:
            while tasks and tasks[-1].done():
                tasks.pop()
            return not tasks

        try:
            self.run(all_are_done)
        except Stuck:
            _LEFT_OVER.extend(task for task in tasks if not task.done())
        self.loops = []

    @property
    def trace(self) -> str:
        """The hash of all that has happened."""
        return self._trace.hexdigest()

    def run(self, over: Callable[[], bool]) -> None:
        """Run until this is true.

        Raises:
            Stuck: it will not become true.
        """
        loops, rng = self.loops, self.rng
        Virtual.now = self.now
        gc.disable()
        hooks = sys.get_asyncgen_hooks()
        try:
            while not over():
                self.steps += 1
                if self.steps > STEPS_MOST:
                    raise Stuck(f"more than {STEPS_MOST} steps")
                soonest, choices = self._due[0][0] if self._due else math.inf, [-1]
                for number, loop in enumerate(loops):
                    at = loop.next_at()
                    if at < soonest:
                        soonest, choices = at, [number]
                    elif at == soonest:
                        choices.append(number)
                if soonest == math.inf:
                    raise Stuck("nothing is due any more")
                self.now = Virtual.now = max(self.now, soonest)
                chosen = choices[0] if len(choices) == 1 else rng.choice(choices)
                if chosen < 0:
                    _, _, call, args = heapq.heappop(self._due)
                    call(*args)
                else:
                    loops[chosen].step()
        finally:
            sys.set_asyncgen_hooks(*hooks)
            Virtual.now = None
            gc.enable()
