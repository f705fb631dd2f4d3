"""Decides about histories of the campaign again, or writes them for other checkers.

`python -m tests.campaign.campaign --histories FOLDER` writes a JSON file per round: `Record` in
`tests/campaign/history.py` describes it. With `--edn` this writes the same operations as a history of
Jepsen's (https://github.com/jepsen-io/history): `:invoke`, then `:ok` with the answer. An operation without
an answer has no second line. With `--porcupine` it writes what `tests/campaign/porcupine` reads.
"""

import argparse
import heapq
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.campaign.history import Record
from tests.campaign.linearize import NEVER, Verdict
from tests.campaign.lowered import lowered
from tests.campaign.operations import decide, failures, parts_of
from tests.campaign.sequential import Step


def jepsen(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the lines of a Jepsen history, by time. Each process has one operation at a time."""
    events = sorted(
        [(step.call, 0, n, step) for n, step in enumerate(steps)]
        + [(step.returned, 1, n, step) for n, step in enumerate(steps) if step.returned < NEVER],
        key=lambda event: event[:3],
    )
    free: list[int] = []
    more = itertools.count()
    processes: dict[int, int] = {}
    for at, (seconds, ended, n, step) in enumerate(events):
        if not ended:
            processes[n] = heapq.heappop(free) if free else next(more)
        process = processes[n]
        if ended:
            heapq.heappush(free, process)
        lines = " ".join(f"{json.dumps(sku)} {units}" for sku, units in step.ask.lines)
        value = (
            f"{{:key {json.dumps(step.ask.key)} :id {json.dumps(step.about)} "
            f":customer {json.dumps(step.hold.customer)} :lines {{{lines}}}"
            + (f" :answer {json.dumps(step.word)}}}" if ended else "}")
        )
        kind = "ok" if ended else "invoke"
        yield (
            f"{{:index {at} :process {process} :type :{kind} :f :{step.ask.verb.split()[0]} "
            f":time {int(seconds * 1e9)} :value {value}}}"
        )


def record_in(file: Path) -> Record:
    """Return the round in this file; end the command with a sentence if there is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError) as error:
        raise SystemExit(f"{file} is no round that --histories wrote: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="JSON files that --histories wrote")
    parser.add_argument("--edn", action="store_true", help="write <file>.<part>.edn beside each file")
    parser.add_argument("--porcupine", action="store_true", help="write <file>.porcupine.json beside each")
    given = parser.parse_args()
    bad = 0
    for file in given.files:
        record = record_in(file)
        if record.memory_forgets:
            print(f"{file.name}: memory forgot its newest holds; the campaign's checker alone judges that")
            continue
        parts = parts_of(record.history, record.ledger, record.ids.__getitem__)
        if given.edn:
            for n, part in enumerate(parts):
                file.with_suffix(f".{n}.edn").write_text("".join(f"{line}\n" for line in jepsen(part)))
        if given.porcupine:
            file.with_suffix(".porcupine.json").write_bytes(msgspec.json.encode(lowered(record)))
        started = time.perf_counter()
        decisions = decide(record.history, record.ledger, record.ids.__getitem__)
        seconds = time.perf_counter() - started
        bad += any(decision.verdict is not Verdict.LINEARIZABLE for decision in decisions)
        words = ", ".join(
            f"{len(part)} operations {decision.verdict} ({decision.steps} steps)"
            for part, decision in zip(parts, decisions, strict=True)
        )
        print(f"{file.name}: {words}; {seconds:.2f} s")
        for what in failures(decisions):
            print(f"    {what}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
