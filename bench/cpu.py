"""CPU time of process trees, from the operating system's accounting."""

import asyncio
import os
import resource
import time
from collections.abc import Mapping

import psutil

SETTLE_SECONDS = 0.2
SETTLE_CPU_SECONDS = 0.02
"""Two ticks of the accounting: less than this in a settle time is idle."""
SETTLE_MOST_SECONDS = 20.0


def tree_seconds(pid: int) -> float:
    """Return user and system time of a process and all its descendants, including those that ended."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0.0
    for process in family:
        try:
            total += sum(process.cpu_times()[:4])  # user, system, and both of the children waited for
        except psutil.NoSuchProcess:
            continue
    return total


def busy_seconds() -> float:
    """Return the busy seconds of all processors since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)


class Meter:
    """Reads CPU time per part between `start` and `stop`.

    Parameters:
        parts: the root process of each part, by its name.
    """

    def __init__(self, parts: Mapping[str, int]) -> None:
        self._parts = dict(parts)

    def start(self) -> None:
        self._began = time.monotonic()
        self._machine = busy_seconds()
        self._client = self._own()
        self._before = {name: tree_seconds(pid) for name, pid in self._parts.items()}

    def client_done(self, client_seconds: float | None = None) -> None:
        """End the load: CPU of other processes is counted up to here.

        Parameters:
            client_seconds: the CPU time of load generators that still run; ended ones are counted without it.
        """
        self.client_seconds = self._own() - self._client if client_seconds is None else client_seconds
        known = sum(tree_seconds(pid) - self._before[name] for name, pid in self._parts.items())
        elapsed = time.monotonic() - self._began
        others = busy_seconds() - self._machine - known - self.client_seconds
        self.others_cores = max(0.0, others / elapsed)

    def stop(self) -> dict[str, float]:
        """Return the CPU seconds of each part since `start`."""
        return {name: tree_seconds(pid) - self._before[name] for name, pid in self._parts.items()}

    async def settle(self, names: tuple[str, ...] = ("api", "recorder")) -> None:
        """Wait until these parts have finished their remaining work."""
        pids = [self._parts[name] for name in names if name in self._parts]
        deadline = time.monotonic() + SETTLE_MOST_SECONDS
        last = sum(map(tree_seconds, pids))
        while time.monotonic() < deadline:
            await asyncio.sleep(SETTLE_SECONDS)
            now = sum(map(tree_seconds, pids))
            if now - last < SETTLE_CPU_SECONDS:
                return
            last = now

    @staticmethod
    def _own() -> float:
        """Return the CPU time of this process and of its ended load generators."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return sum(os.times()[:2]) + children.ru_utime + children.ru_stime
