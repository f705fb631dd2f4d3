"""A child that fails to connect again and again, as an API does while PostgreSQL is away; prints its memory.

    python -m bench.failed_connections 10000

The argument is how many objects of cycles may wait for Python's collector.
"""

import asyncio
import contextlib
import gc
import json
import sys
import time
from pathlib import Path

import asyncpg

import flashguard.api.app

FAILURES = 4_000
EVERY = 50


def memory_mb() -> float:
    """Return this process's memory; shared memory is divided among its users."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


async def main() -> None:
    assert flashguard.api.app  # an API's modules are loaded
    gc.collect()
    gc.freeze()
    gc.set_threshold(int(sys.argv[1]), 20, 250)
    started, before, points = time.monotonic(), memory_mb(), []
    for number in range(FAILURES):
        with contextlib.suppress(OSError):
            await asyncpg.connect(host="/tmp/no-such-folder", user="nobody", database="none", timeout=1)
        if number % EVERY == 0:
            points.append((round(time.monotonic() - started, 2), round(memory_mb() - before, 3)))
    print(json.dumps(points))


if __name__ == "__main__":
    asyncio.run(main())
