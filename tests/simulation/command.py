"""Runs seeds: `python -m tests.simulation --seed 7 --seeds 100`."""

import argparse
import asyncio
import gc
import logging
import math
import os
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

from tests.simulation.defects import Defects
from tests.simulation.servers import Servers, started
from tests.simulation.shop import Result, Shop
from tests.simulation.virtual import real_seconds

EVENTS_SHOWN = 60
TELLS_SECONDS = 10.0
"""How often a quiet run says how far it is."""


def _print(result: Result, events: int) -> None:
    bad = "" if not result.violations else "  BROKEN"
    print(
        f"{result.seed:>8} {result.trace} {result.simulated_seconds:6.1f} s simulated in "
        f"{result.seconds:5.2f} s, {sum(result.answers.values()):>4} answers, {result.kind}: "
        f"{', '.join(result.faults) or 'no fault'}{bad}",
        flush=True,
    )
    if result.violations:
        for event in result.events[len(result.events) - min(events, len(result.events)) :]:
            print(f"    {event}")
        for promise, what in result.violations[:8]:
            print(f"    VIOLATED {promise}: {what}")
        print(
            f"    again: PYTHONHASHSEED=0 .venv/bin/python -m tests.simulation --seed {result.seed}",
            flush=True,
        )


@asynccontextmanager
async def _logging(*, loud: bool) -> AsyncIterator[Defects]:
    defects = Defects()
    log = logging.getLogger("flashguard")
    log.propagate = False
    log.setLevel(logging.DEBUG if loud else logging.WARNING)
    log.addHandler(defects)
    if loud:
        log.addHandler(logging.StreamHandler())
    yield defects


async def _run(given: argparse.Namespace) -> int:
    began, broken, simulated, undecided = real_seconds(), 0, 0.0, 0
    told = began
    async with started() as servers, _logging(loud=given.log) as defects:
        gc.collect()
        gc.freeze()
        ready = real_seconds()
        for number in range(given.seeds):
            seed = f"{given.seed + number}"
            result = await asyncio.to_thread(_once, servers, seed, defects, given.trace)
            simulated += result.simulated_seconds
            undecided += result.undecided
            broken += bool(result.violations)
            if not given.quiet or result.violations:
                _print(result, given.events)
            if given.quiet and real_seconds() - told > TELLS_SECONDS:
                told = real_seconds()
                print(
                    f"{number + 1} of {given.seeds} seeds from {given.seed} on, {broken} broken",
                    file=sys.stderr,
                )
            if (broken and given.until_broken) or real_seconds() - ready > given.seconds:
                break
    done, seconds = number + 1, real_seconds() - ready
    print(
        f"{done} seeds, {broken} broken, {undecided} undecided; {simulated:.0f} s simulated in "
        f"{seconds:.1f} s ({done / seconds * 3600:.0f} seeds an hour; the servers took {ready - began:.1f} s)"
    )
    return 1 if broken else 0


def _once(servers: Servers, seed: str, defects: Defects, tape: TextIO | None) -> Result:
    """Run a seed. What its dead processes leave behind is thrown away before the next one."""
    shop = Shop(servers, seed)
    shop.world.tape = tape
    result = shop.run(defects)
    del shop
    sys.unraisablehook = lambda _: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    sys.unraisablehook = sys.__unraisablehook__
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=_count, default=1, help="how many, one after the other")
    parser.add_argument("--until-broken", action="store_true", help="stop at the first broken promise")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so many real seconds")
    parser.add_argument("--quiet", action="store_true", help="print only what is broken")
    parser.add_argument("--events", type=int, default=EVENTS_SHOWN, help="events shown of a broken run")
    parser.add_argument("--log", action="store_true", help="print the log")
    parser.add_argument(
        "--jobs", type=_count, default=1, help="processes that share the seeds, each with servers"
    )
    parser.add_argument("--trace", type=argparse.FileType("w"), help="write every event into this file")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is a part of what a seed decides
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    given.jobs = min(given.jobs, given.seeds)
    return _share(given) if given.jobs > 1 else asyncio.run(_run(given))


def _count(text: str) -> int:
    """Return a number of at least one.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


def _share(given: argparse.Namespace) -> int:
    """Run the seeds in several processes: each prints what it finds, and its own sum."""
    jobs = []
    for number in range(given.jobs):
        first, after = (given.seeds * each // given.jobs for each in (number, number + 1))
        command = [sys.executable, "-m", "tests.simulation", "--seed", str(given.seed + first)]
        command += [
            "--seeds",
            str(after - first),
            "--seconds",
            str(given.seconds),
            "--events",
            str(given.events),
        ]
        command += ["--quiet"] * given.quiet + ["--until-broken"] * given.until_broken
        jobs.append(subprocess.Popen(command))
    return max([job.wait() for job in jobs])
