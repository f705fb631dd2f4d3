"""Measures durable buys from 5 % to 100 % of the capacity, with the pace and without it, in turns.

    .venv/bin/python -m bench.load_curve [--seconds 3] [--rounds 3] [--write]

`--write` writes results/load_curve.json and .svg. Both variants get the same offered rates: shares of what
the paced service answers to closed loops.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.children import Generators
from bench.generated import generated
from bench.house import House, Service
from bench.loads import sale_target
from bench.measure import closed_loop, warm
from bench.plot_curve import Curve, Point, plot_curves
from bench.report import RESULTS, commit, machine
from bench.rows import middle

SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
CONNECTIONS = 256
PROGRAMS = {"paced": "flashguard", "unpaced": "bench.unpaced"}


@asynccontextmanager
async def serving(house: House, program: str) -> AsyncIterator[Service]:
    """Run a recorder and an API of this program."""
    house.program = program
    async with house.recorder() as recorder, house.api(recorder) as service:
        yield service


async def capacity_of(house: House, seconds: int) -> float:
    async with serving(house, PROGRAMS["paced"]) as service:
        target, committed = await sale_target(service, "orders")
        await warm([target])
        row = await closed_loop(
            "load-curve", target, connections=CONNECTIONS, seconds=seconds, committed=committed
        )
        return row.per_second


async def curve(service: Service, capacity: float, seconds: int) -> list[Point]:
    """Measure every load once."""
    target, _ = await sale_target(service, "orders")
    await warm([target])
    points = []
    for share in SHARES:
        given = target.variables | {
            "url": target.url, "rate": capacity * share, "seconds": seconds, "connections": CONNECTIONS,
        }  # fmt: skip
        async with Generators("bench.paced", [given], os.environ) as children:
            row = await generated("load-curve", target.name, children, target.parts, good="201")
        point = Point(
            load=share, per_second=row.per_second, p50_ms=row.p50_ms or 0.0, p99_ms=row.p99_ms or 0.0,
            cpu_us=round(row.product_cpu_us, 1), errors=row.errors,
        )  # fmt: skip
        points.append(point)
        print(f"{share:4.0%} {point}", flush=True)
    return points


def medians(rounds: list[list[Point]]) -> list[Point]:
    """Return the median of every figure over the rounds, load by load."""
    names = ("load", "per_second", "p50_ms", "p99_ms", "cpu_us", "errors")
    return [
        Point(**{name: middle(getattr(each, name) for each in same) or 0 for name in names})
        for same in zip(*rounds, strict=True)
    ]


async def measure(seconds: int, rounds: int, note: str) -> Curve:
    folder = Path(tempfile.mkdtemp(prefix="fg-curve-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    seen: dict[str, list[list[Point]]] = {name: [] for name in PROGRAMS}
    try:
        async with House(folder) as house:
            capacity = await capacity_of(house, seconds)
            for round_ in range(rounds):
                for name in PROGRAMS if round_ % 2 == 0 else reversed(PROGRAMS):
                    print(f"round {round_ + 1}: {name}")
                    async with serving(house, PROGRAMS[name]) as service:
                        seen[name].append(await curve(service, capacity, seconds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Curve(
        commit=commit(), machine=machine(), capacity_per_second=capacity, seconds=seconds, rounds=rounds,
        note=note, variants={name: medians(each) for name, each in seen.items()},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load_curve", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what a reader must know of this run")
    parser.add_argument("--write", action="store_true", help="write results/load_curve.json and .svg")
    given = parser.parse_args()
    found = uvloop.run(measure(given.seconds, given.rounds, given.note))
    if given.write:
        (RESULTS / "load_curve.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        (RESULTS / "load_curve.svg").write_text(plot_curves(found))


if __name__ == "__main__":
    main()
