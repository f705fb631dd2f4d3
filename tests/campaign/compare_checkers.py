"""Let Porcupine decide the campaign's histories, and compare its verdicts with our checker's.

`make porcupine` runs rounds of the campaign, or takes the files that `--histories` wrote, adds one large
history and those in which a promise is broken, and prints both verdicts about each. It fails if one checker
has found an order where the other has found that there is none. Porcupine
(https://github.com/anishathalye/porcupine) comes from Go's registry, in the version that
`tests/campaign/porcupine/go.sum` pins; its model of a sale is `sale.go` there.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.campaign.decide import record_in
from tests.campaign.history import Record
from tests.campaign.linearize import BUDGET, Verdict
from tests.campaign.lowered import lowered
from tests.campaign.mutant import ROOT
from tests.campaign.operations import decide
from tests.campaign.played import BREAKS, play

SOURCES = ROOT / "tests" / "campaign" / "porcupine"


class PorcupineMissingError(Exception):
    """There is no Go here, or it can't get Porcupine."""


class Part(Struct):
    """What Porcupine says of a part of a history."""

    operations: int
    verdict: str
    """ok, illegal or unknown."""
    seconds: float
    how: str
    """What an illegal verdict rests on, if not on the whole part; or how an order was found."""


class Compared(Struct):
    """A history and both verdicts."""

    name: str
    operations: int
    ours: Verdict
    our_seconds: float
    parts: list[Part]

    @property
    def theirs(self) -> str:
        verdicts = {part.verdict for part in self.parts}
        return next((v for v in ("illegal", "unknown") if v in verdicts), "ok")

    @property
    def contradict(self) -> bool:
        return (self.ours, self.theirs) in ((Verdict.LINEARIZABLE, "illegal"), (Verdict.NOT, "ok"))

    @property
    def how(self) -> str:
        return ", ".join(part.how for part in self.parts if part.how)


def build(folder: Path, environment: Mapping[str, str] | None = None) -> Path:
    """Return the program that lets Porcupine decide, built into this folder."""
    if shutil.which("go") is None:
        raise PorcupineMissingError("There is no go here: Porcupine can't decide.")
    program = folder / "porcupine"
    done = subprocess.run(
        ["go", "build", "-mod=readonly", "-buildvcs=false", "-o", str(program), "."],
        cwd=SOURCES, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["?"])[-1]
        raise PorcupineMissingError(f"go can't build the program around Porcupine: {why}")
    return program


def compare(
    name: str,
    record: Record,
    program: Path,
    folder: Path,
    *,
    seconds: float = 30,
    budget: int = BUDGET,
    pictures: Path | None = None,
) -> Compared:
    """Return both verdicts about this history.

    Parameters:
        seconds: the longest search of Porcupine's for an order of a part; there may be two.
        budget: the most steps of ours.
        pictures: where Porcupine draws what shows its verdict, if it is to draw.
    """
    file = folder / f"{name}.porcupine.json"
    file.write_bytes(msgspec.json.encode(lowered(record)))
    options = ["-seconds", str(seconds), *(["-html", str(pictures)] if pictures else [])]
    done = subprocess.run([program, *options, file], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{name}: Porcupine ended with {done.returncode}: {done.stderr}")
    parts = [
        Part(int(operations), verdict, float(took), how)
        for _, _, operations, verdict, took, how in (line.split("\t") for line in done.stdout.splitlines())
    ]
    started = time.perf_counter()
    decisions = decide(record.history, record.ledger, record.ids.__getitem__, budget=budget)
    verdicts = {decision.verdict for decision in decisions}
    took = time.perf_counter() - started
    ours = next((v for v in (Verdict.NOT, Verdict.UNDECIDED) if v in verdicts), Verdict.LINEARIZABLE)
    return Compared(name, sum(part.operations for part in parts), ours, took, parts)


def generated(operations: int) -> Iterator[tuple[str, Record]]:
    """Yield one large history of a right sale, and two for each promise that is broken."""
    if operations:
        yield f"generated, {operations} requests", play(2, operations, stock=operations * 3 // 10).record
    for break_it in BREAKS:
        for seed in range(2):
            played = play(seed, 300, stock=60, lost=0.0)
            break_it(played)
            yield f"broken, {break_it.__name__.replace('_', ' ')}, {seed}", played.record


def recorded(files: Sequence[Path]) -> Iterator[tuple[str, Record]]:
    """Yield the rounds in these files whose memory kept its holds; the others are not linearizable."""
    for file in files:
        record = record_in(file)
        if not record.memory_forgets:
            yield file.stem, record


def say(compared: Compared) -> None:
    seconds = sum(part.seconds for part in compared.parts)
    ours = f"{compared.ours:<16} {compared.our_seconds:>7.2f} s"
    theirs = f"{compared.theirs:<8} {seconds:>7.2f} s"
    note = f"{'CONTRADICTION  ' if compared.contradict else ''}{compared.how}"
    print(f"{compared.name:<48} {compared.operations:>6}  {ours}  {theirs}  {note}".rstrip(), flush=True)


def summary(found: Sequence[Compared]) -> str:
    """Return the sentence about all of them."""
    undecided = sum(c.ours is Verdict.UNDECIDED for c in found)
    unknown = sum(c.theirs == "unknown" for c in found)
    return (
        f"{len(found)} histories, {sum(c.operations for c in found):,} operations: "
        f"{sum(c.contradict for c in found)} contradictions; undecided by us {undecided}, "
        f"by Porcupine {unknown}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", help="files that --histories wrote; none: run rounds")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=10_000, help="of the large history; 0: without it")
    parser.add_argument("--seconds", type=float, default=30, help="the longest search of a part")
    parser.add_argument("--html", type=Path, help="let Porcupine draw each history but the large one here")
    given = parser.parse_args()
    if given.html:
        given.html.mkdir(exist_ok=True, parents=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            program = build(folder)
        except PorcupineMissingError as missing:
            print(missing, file=sys.stderr)
            return 2
        files = given.files
        if not files:
            campaign = ["-m", "tests.campaign.campaign", "--seed", given.seed, "--rounds", str(given.rounds)]
            subprocess.run([sys.executable, *campaign, "--histories", str(folder / "rounds")], cwd=ROOT)
            files = sorted((folder / "rounds").glob("*.json"))
        print(f"{'history':<48} {'oper.':>6}  {'ours':<26}  {'Porcupine':<18}  rests on")
        found = []
        for history, record in (*recorded(files), *generated(given.requests)):
            found.append(
                compare(history, record, program, folder, seconds=given.seconds, pictures=given.html)
            )
            say(found[-1])
        print(summary(found))
        return 1 if any(compared.contradict for compared in found) else 0


if __name__ == "__main__":
    sys.exit(main())
