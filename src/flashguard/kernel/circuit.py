"""Stops calls to a server that does not answer, until a probe is answered."""

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
"""A server that hangs accepts a probe and never answers it."""


class Circuit:
    """Open while a server does not answer: a call without an answer opens it, an answered probe closes it.

    Parameters:
        probe: sends the server a small command; raises when there is no answer.
        name: of the server, for the log.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]], name: str = "Valkey") -> None:
        self.open = False
        self.opened_total = 0
        self.name = name
        self._probe = probe
        self._probing: asyncio.Task[None] | None = None

    def trip(self, why: object) -> None:
        """Open the circuit; probe until the server answers, then close it."""
        if self.open:
            return
        self.open = True
        self.opened_total += 1
        log.warning("%s does not answer; requests are refused until it does: %s", self.name, why)
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
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()


class Circuits:
    """The circuits of all partitions: one on a single server; one per partition in a cluster, where nodes
    fail independently."""

    def __init__(self, partitions: int, kernel: Kernel) -> None:
        self._kernel = kernel
        self.apart = kernel.client.sharded
        if self.apart:
            self.of = [
                Circuit(partial(kernel.ping_key, keys.partition(number)), f"Valkey of partition {number}")
                for number in range(partitions)
            ]
            self.limits = Circuit(partial(kernel.ping_key, keys.limits()), "Valkey of the rate limits")
        else:
            self.limits = Circuit(kernel.ping)
            self.of = [self.limits] * partitions

    def trip(self, partition: int, why: object) -> None:
        """Open the circuit of every partition on the same node."""
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
        """The partitions whose server does not answer."""
        return [number for number, circuit in enumerate(self.of) if circuit.open]

    @property
    def opened_total(self) -> int:
        return sum(circuit.opened_total for circuit in {*self.of, self.limits})

    def stop(self) -> None:
        """Stop probing."""
        for circuit in {*self.of, self.limits}:
            circuit.stop()
