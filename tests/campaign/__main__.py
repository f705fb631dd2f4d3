"""Point buyers and the campaign's checker at a shop: `.venv/bin/python -m tests.campaign --target NAME`.

It starts the shop (or takes the one at --url), lets buyers rush at a few units of a new item, and compares
what the shop has in the end with what its buyers were told. Targets that are not on this machine's loopback
are refused. It ends with 1 if a shop broke a promise, answered 5xx, left a buyer without an answer or stays
undecided, and with 2 if it can't be asked. docs/explanation/peers.md, which `make peers` writes, says what
this shows.
"""

import argparse
import asyncio
import dataclasses
import json
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.campaign.campaign import make_folder
from tests.campaign.targets.catalogue import LAUNCHED, UnknownTargetError, target_named
from tests.campaign.targets.loopback import RefusedTargetError
from tests.campaign.targets.node_peer import NotInstalledError
from tests.campaign.targets.rush import Plan, Rush
from tests.campaign.targets.table import Measured, table
from tests.campaign.targets.target import Target
from tests.campaign.targets.verdict import Figures, judge
from tests.campaign.targets.web import CallError


async def measure(
    name: str, target: Target, plans: Sequence[Plan], rounds: int, folder: Path
) -> list[Measured]:
    """Start one shop and run some rounds of each plan against it."""
    measured: list[Measured] = []
    try:
        print(f"{name}: starting", flush=True)
        about = await target.start(folder)
        for plan in plans:
            found: list[Figures] = []
            for number in range(rounds):
                this = dataclasses.replace(plan, number=number)
                print(f"{name}: {this.buyers} buyers for {this.units} units", flush=True)
                visits = await Rush(this, target, about).run()
                found.append(judge(this, about, visits, await target.orders(), await target.stock()))
                say(name, found[-1])
            measured.append(
                Measured(
                    target=name,
                    about=dataclasses.asdict(about),
                    plan=dataclasses.asdict(plan),
                    rounds=tuple(found),
                )
            )
    finally:
        await target.stop()
    return measured


def say(name: str, figures: Figures) -> None:
    words = ", ".join(
        f"{getattr(figures, each)} {each}"
        for each in ("sold", "oversold", "undersold", "doubled", "orphaned", "lost", "errors", "retries")
    )
    print(
        f"{name}: {figures.buyers} buyers, {figures.units} units: {words}; p50 {figures.p50_ms:.0f} ms, "
        f"p99 {figures.p99_ms:.0f} ms; {figures.linearizable}", flush=True,
    )  # fmt: skip
    for sentence in figures.checker:
        print(f"    checker: {sentence}", flush=True)
    for why, count in figures.whys:
        print(f"    {count} x {why}", flush=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--target", action="append", required=True,
        help=f"a shop: {', '.join(LAUNCHED)}; or module:Class of your own adapter; several take turns",
    )  # fmt: skip
    parser.add_argument("--url", default="", help="where the shop runs already, on this machine")
    parser.add_argument("--buyers", type=int, default=500)
    parser.add_argument("--units", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--lost", type=float, default=0.0, help="share of calls whose first answer is lost")
    parser.add_argument("--releases", type=float, default=0.1, help="share of holds that are given back")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    given = parser.parse_args(words)
    try:
        plan = Plan(
            buyers=given.buyers, units=given.units, lost=given.lost, releases=given.releases, seed=given.seed
        )
        targets = [(name, target_named(name, given.url)) for name in given.target]
    except (ValueError, RefusedTargetError, UnknownTargetError) as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the shops also when stopped early
    measured: list[Measured] = []
    for name, target in targets:
        folder = make_folder()
        try:
            measured += asyncio.run(measure(name, target, [plan], given.rounds, folder))
        except (CallError, NotInstalledError, RefusedTargetError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(table(measured)))
    if given.json:
        given.json.write_text(json.dumps(msgspec.to_builtins(measured), indent=1) + "\n")
    return 0 if all(figures.kept_every_promise for each in measured for figures in each.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
