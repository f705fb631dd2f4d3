"""The fault campaign: rounds of buyers, one fault each, and a checker; `make chaos SEED=… ROUNDS=…`.

Each round writes its line to the results file as soon as it ends. A seed and a number reproduce a round's
plan.
"""

import argparse
import asyncio
import json
import math
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

import msgspec

from tests.campaign.history import History, Record
from tests.campaign.lab_stack import LabStack
from tests.campaign.lane import Lane, Result, Stack
from tests.campaign.nemesis import possible
from tests.campaign.plan import Plan, plan
from tests.campaign.topologies import ClusterStack, SentinelStack
from tests.campaign.up_stack import UpStack


class Output:
    """Writes the results file, and prints a line per round."""

    def __init__(
        self,
        path: Path | None,
        keep: Path,
        *,
        until_broken: bool,
        seconds: float = math.inf,
        histories: Path | None = None,
    ) -> None:
        self._until_broken = until_broken
        self._deadline = time.monotonic() + seconds
        self._file: TextIO | None = path.open("a") if path else None
        self._keep = keep
        self._histories = histories
        self.results: list[Result] = []

    def write(self, result: Result) -> None:
        self.results.append(result)
        if self._file is not None:
            self._file.write(json.dumps(msgspec.to_builtins(result)) + "\n")
            self._file.flush()
        p = result.plan
        also = f" + {p['also']}" if p["also"] else ""
        also += f" x{p['spread']}" if p["spread"] > 1 else ""
        also += f", {p['goods']}" if p["goods"] != "plain" else ""
        also += ", limits" if p["item_limit"] else ""
        also += ", list" if p["waiting_list"] else ""
        also += ", hold rules" if p["max_held"] else ""
        serve = "-" if result.serve_seconds is None else f"{result.serve_seconds:.2f} s"
        answers = sum(result.words.values())
        print(
            f"{p['seed']}/{p['number']:<4} {p['kind'] + also:<58} {answers:>5} answers "
            f"{result.orders:>4} orders {result.offers:>4} offers, idle {result.idle_seconds:4.1f} s  "
            f"serving again {serve:>7}  round {result.seconds:5.1f} s  {result.note}", flush=True,
        )  # fmt: skip
        for promise, what in result.violations[:6]:
            print(f"    VIOLATED {promise}: {what}", flush=True)

    @property
    def enough(self) -> bool:
        broken = self._until_broken and any(result.violations for result in self.results)
        return broken or time.monotonic() > self._deadline

    def keep(self, the: Plan, history: History) -> None:
        """Write the whole history of a round that broke a promise."""
        self._keep.mkdir(exist_ok=True, parents=True)
        (self._keep / f"{the.seed}-{the.number}.json").write_bytes(msgspec.json.encode(history))

    def keep_record(self, the: Plan, record: Record) -> None:
        """Write what decides about a round, where histories are asked for."""
        if self._histories is not None:
            self._histories.mkdir(exist_ok=True, parents=True)
            (self._histories / f"{the.seed}-{the.number}.json").write_bytes(msgspec.json.encode(record))


def commit_of_now() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()


async def run(rounds: list[Plan], out: Output, folder: Path) -> None:
    """Run these rounds: one after the other per installation, all installations at the same time."""
    commit = commit_of_now()
    stacks: list[Stack] = [
        UpStack(folder / "up"), LabStack(folder / "lab"),
        ClusterStack(folder / "cluster"), SentinelStack(folder / "sentinel"),
    ]  # fmt: skip
    async with asyncio.TaskGroup() as tasks:
        for stack in stacks:
            mine = [each for each in rounds if each.stack == stack.name]
            if mine:
                tasks.create_task(Lane(stack, commit, out).run(mine))


def make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fg-chaos-", dir="/tmp"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    return folder


def keep_logs(folder: Path, kept: Path) -> None:
    """Copy the logs of all parts, to investigate a broken promise."""
    for log in folder.rglob("*.log"):
        target = kept / log.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rounds", type=int, default=28)
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--kind", action="append", help="only rounds of this kind; several take turns")
    parser.add_argument("--until-broken", action="store_true", help="stop after the first broken promise")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no round after this time")
    parser.add_argument("--out", type=Path, help="append each round's result to this file, as JSON lines")
    parser.add_argument("--keep", type=Path, default=Path(".chaos"), help="where histories of violations go")
    parser.add_argument("--histories", type=Path, help="write each round's history into this folder")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up also when stopped early
    numbers = range(given.first, given.first + given.rounds)
    rounds = [plan(given.seed, n, given.kind and given.kind[n % len(given.kind)]) for n in numbers]
    for kind in sorted({each.kind for each in rounds}):
        if why := possible(kind):
            print(f"left out: {kind}: {why}")
    rounds = [each for each in rounds if possible(each.kind) is None]
    print(f"seed {given.seed}, rounds {given.first} to {given.first + given.rounds - 1}")
    out = Output(
        given.out, given.keep, until_broken=given.until_broken, seconds=given.seconds,
        histories=given.histories,
    )  # fmt: skip
    folder = make_folder()
    try:
        asyncio.run(run(rounds, out, folder))
    finally:
        bad = [result for result in out.results if result.violations]
        if bad:
            keep_logs(folder, given.keep / f"logs-{given.seed}-{given.first}")
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(out.results)} rounds, {len(bad)} with a broken promise")
    decided, undecided = (sum(getattr(r, name) for r in out.results) for name in ("decided", "undecided"))
    print(f"linearizable: {decided} histories of parts of sales; undecided: {undecided}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
