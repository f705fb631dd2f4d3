"""The processes of a run: each has its own loop, and runs the real parts of FlashGuard."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from flashguard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger, LedgerAway
from flashguard.payments import Payments
from flashguard.recorder import Recorder
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.simulation.network import Network
from tests.simulation.world import Loop, World

T = TypeVar("T")
AGAIN_SECONDS: Final = 0.2
log = logging.getLogger("flashguard")


class NoAnswer(Exception):
    """The process died, or its answer was lost."""


class ServerError(Exception):
    """The process failed: an answer 500."""


class Process:
    """A process that can be started, killed, and stopped for a while."""

    def __init__(self, world: World, network: Network, name: str, settings: Settings) -> None:
        self.world, self.network, self.name, self.settings = world, network, name, settings
        self.starts = 0
        self.loop: Loop | None = None
        self.task: asyncio.Task[None] | None = None
        self.pending: dict[asyncio.Future[Any], None] = {}
        """Requests that have not been answered: they fail when the process dies, in their order."""

    @property
    def is_alive(self) -> bool:
        return self.loop is not None

    def start(self) -> None:
        """Start the process."""
        self.starts += 1
        self.world.note(self.name, "starts")
        self.loop = self.world.loop(f"{self.name}.{self.starts}")
        self.loop.routes = self.network.connect
        self.task = self.loop.create_task(self._main())

    def kill(self) -> None:
        """End the process in the middle of whatever it does."""
        if self.loop is None:
            return
        loop, self.loop = self.loop, None
        self.world.note(self.name, "is killed")
        self.world.bury(loop)
        self.network.cut_process(loop)
        for future in [*self.pending]:
            if not future.done():
                future.set_exception(NoAnswer())
        self.pending.clear()

    def pause(self, seconds: float) -> None:
        """Give the process no processor for a while."""
        if self.loop is not None:
            self.world.note(self.name, f"stops for {seconds:.3f} s")
            self.loop.busy_until = max(self.loop.busy_until, self.world.now + seconds)

    async def _main(self) -> None:
        raise NotImplementedError


class Api(Process):
    """A process that answers buyers."""

    guard: FlashGuard | None = None
    payments: Payments | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.under_way: set[asyncio.Future[Any]] = set()
        """Requests on their way to this process, or in it: also those of callers who have given up."""

    async def _main(self) -> None:
        self.guard = None
        while self.guard is None:
            try:
                self.guard = await FlashGuard.connect(self.settings)
            except (LedgerAway, MemoryAway):
                await asyncio.sleep(AGAIN_SECONDS)
        if self.settings.payment_providers:
            self.payments = Payments(self.guard, self.settings)

    def kill(self) -> None:
        super().kill()
        self.guard = None
        self.under_way.clear()

    async def call(self, work: Callable[[FlashGuard], Awaitable[T]], *, loses: float = 0.0) -> T:
        """Have the process do this, from another process; return its result.

        Parameters:
            loses: how likely the request is lost, and the answer.

        Raises:
            NoAnswer, ServerError, MemoryAway, LedgerAway: there is no result.
        """
        world, answered = self.world, asyncio.get_running_loop().create_future()
        self.pending[answered] = None
        self.under_way.add(answered)

        def finish(result: Any, error: Exception | None) -> None:
            if answered.done():
                return
            if world.rng.random() < loses:
                error = NoAnswer()
            answered.set_result(result) if error is None else answered.set_exception(error)

        async def serve(guard: FlashGuard) -> None:
            result: Any = None
            failure: Exception | None = None
            try:
                result = await work(guard)
            except (MemoryAway, LedgerAway) as error:
                failure = error
            except Exception as error:
                log.exception("a request failed")
                failure = ServerError(repr(error))
            finally:
                self.under_way.discard(answered)
            world.at(world.now + world.delay(), finish, result, failure)

        def arrive() -> None:
            if self.loop is None or self.guard is None or world.rng.random() < loses:
                self.under_way.discard(answered)
                finish(None, NoAnswer())
            else:
                self.loop.create_task(serve(self.guard))

        world.at(world.now + world.delay(), arrive)
        try:
            return await answered  # type: ignore[no-any-return]
        finally:
            self.pending.pop(answered, None)


class RecorderProcess(Process):
    """A recorder."""

    recorder: Recorder | None = None

    async def _main(self) -> None:
        while True:
            try:
                assert self.settings.database_url
                assert self.settings.redis_url
                ledger = await Ledger.connect(
                    self.settings.database_url, timeout=self.settings.ledger_timeout_seconds
                )
                installation = await ledger.installation()
                break
            except LedgerAway:
                await asyncio.sleep(AGAIN_SECONDS)
        kernel = Kernel(
            connect_kernel(self.settings.redis_url, self.settings),
            max_backlog=self.settings.max_backlog_entries,
        )
        self.recorder = Recorder(kernel, ledger, self.settings, installation.partitions)
        self.recorder.name = f"{self.name}.{self.starts}"  # the true one names this machine
        await self.recorder.run()
        await kernel.client.aclose()
        await ledger.close()
