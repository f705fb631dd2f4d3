"""Remembers that memory does not answer, so that nobody else waits for it until it does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from . import keys
from .kernel import Kernel

log = logging.getLogger("flashguard")

PROBE_EVERY_SECONDS: Final = 0.05
PROBE_TIMEOUT_SECONDS: Final = 0.5
"""A server that hangs takes the question and never answers it."""


class Circuit:
    """Open while memory is away. Opened by a call that got no answer, closed by a probe that got one.

    Parameters:
        probe: asks the server something small; raises when there is no answer.
        name: what it is that is away, for the log.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]], name: str = "memory") -> None:
        self.open = False
        self.opened_total = 0
        self.name = name
        self._probe = probe
        self._probing: asyncio.Task[None] | None = None

    def trip(self, why: object) -> None:
        """Opens the circuit, and has it closed as soon as memory answers again."""
        if self.open:
            return
        self.open = True
        self.opened_total += 1
        log.warning("%s does not answer: %s", self.name, why)
        self._probing = asyncio.get_running_loop().create_task(self._close_when_it_answers())

    async def _close_when_it_answers(self) -> None:
        started = asyncio.get_running_loop().time()
        while self.open:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    await self._probe()
                self.open = False
            except Exception as error:
                log.debug("%s still does not answer: %s", self.name, error)
                await asyncio.sleep(PROBE_EVERY_SECONDS)
        seconds = asyncio.get_running_loop().time() - started
        log.warning("%s answers again after %.1f s", self.name, seconds)

    def stop(self) -> None:
        """Probes no more."""
        if self._probing is not None:
            self._probing.cancel()


class Circuits:
    """A circuit for all partitions on one server; in a cluster one for each, since they go and come apart."""

    def __init__(self, partitions: int, kernel: Kernel) -> None:
        self._kernel = kernel
        self.apart = kernel.client.sharded
        if self.apart:
            self.of = [
                Circuit(partial(kernel.ping_key, keys.partition(number)), f"the memory of partition {number}")
                for number in range(partitions)
            ]
            self.limits = Circuit(partial(kernel.ping_key, keys.limits()), "the memory of the rate limits")
        else:
            self.limits = Circuit(kernel.ping)
            self.of = [self.limits] * partitions

    def trip(self, partition: int, why: object) -> None:
        """Opens the circuit of every partition that is where this one is."""
        if not self.apart:
            self.of[partition].trip(why)
            return
        node = self._node(partition)
        for number, circuit in enumerate(self.of):
            if not circuit.open and self._node(number) == node:
                circuit.trip(f"{node}: {why}")

    def _node(self, partition: int) -> str:
        return self._kernel.client.node_of(keys.partition(partition))

    @property
    def away(self) -> list[int]:
        """The partitions whose memory does not answer."""
        return [number for number, circuit in enumerate(self.of) if circuit.open]

    @property
    def opened_total(self) -> int:
        return sum(circuit.opened_total for circuit in {*self.of, self.limits})

    def stop(self) -> None:
        """Probes no more."""
        for circuit in {*self.of, self.limits}:
            circuit.stop()
