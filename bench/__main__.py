"""python -m bench [all | quick | a scenario]: measure FlashGuard beside its rivals.

python -m bench quick
python -m bench buy --connections 1000 --seconds 5 --only flashguard,row-lock
"""

import argparse
import asyncio
import contextlib
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from bench import wrk
from bench.house import House
from bench.loads import Bench
from bench.plan import SCENARIOS, SIZES, Step
from bench.report import make, write
from bench.rows import Row
from bench.say import Progress
from bench.table import table
from flashguard.errors import FlashGuardError

TABLE_WIDTH = 150
MOST_SECONDS = 1_800
"""On a quiet machine a whole run takes less than a third of it."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="all", choices=[*SIZES, *SCENARIOS])
    parser.add_argument("--connections", default="256", help="of a single scenario, one or several: 64,1000")
    parser.add_argument("--seconds", type=int, default=3, help="of load per measurement of a single scenario")
    parser.add_argument("--rounds", type=int, default=1, help="of a single scenario")
    parser.add_argument("--only", default="", help="targets of a single scenario: flashguard,row-lock")
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    parser.add_argument("--plot", type=Path, help="where to draw it, of all or quick")
    return parser.parse_args()


@contextlib.asynccontextmanager
async def opened(progress: Progress) -> AsyncIterator[Bench]:
    """Run servers, recorder and API in a temporary folder, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fg-bench-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    try:
        progress.say("starting Valkey, PostgreSQL, the recorder and the API")
        async with House(folder) as house, house.recorder() as recorder, house.api(recorder) as service:
            yield Bench(house, service, recorder, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def run(given: argparse.Namespace) -> None:
    progress = Progress()
    console = Console(highlight=False, width=max(progress.console.width, TABLE_WIDTH))
    steps = SIZES.get(given.what) or (single(given),)
    cancel_at_signals()
    rows: list[Row] = []
    async with opened(progress) as bench:
        for step in steps:
            rows += await SCENARIOS[step.scenario](step.applied(bench))
        servers = await bench.house.versions()
    console.print(table(rows))
    if given.what in SIZES:
        write(make(given.what, rows, progress.seconds, servers), console, given.json, given.plot)
    elif given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows)) + b"\n")


def single(given: argparse.Namespace) -> Step:
    """Run one scenario with the options of the command line."""
    connections = tuple(int(number) for number in given.connections.split(","))
    return Step(
        given.what, given.seconds, given.rounds, connections, tuple(filter(None, given.only.split(",")))
    )


def cancel_at_signals() -> None:
    """Stop the run in order at the first Ctrl-C or SIGTERM."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def main() -> int:
    given = options()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        wrk.needed()
        uvloop.run(asyncio.wait_for(run(given), MOST_SECONDS))
    except FlashGuardError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(str(error), markup=False)
        return 1
    except asyncio.CancelledError:
        return 130
    except TimeoutError:
        print(
            f"The benchmark was ended after {MOST_SECONDS} s; what it had started is gone.", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
