"""The committed runs of the benchmark: what a new run changed, and what has been worse for several runs."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from bench.figures import Value
from bench.goals import GOALS, Better, Line

ROOT: Final = Path(__file__).parents[1]
HISTORY: Final = ROOT / "bench" / "results" / "history.json"
MAX_RUNS: Final = 200
NOTABLE: Final = 0.05
"""A smaller change is noise."""
WORSE: Final = 0.10
IN_A_ROW: Final = 3


class Run(msgspec.Struct, kw_only=True):
    """One line of the history."""

    at: str
    commit: str
    figures: dict[str, Value]


def committed() -> list[Run]:
    """Return the runs that git's HEAD has, oldest first."""
    if shutil.which("git") is None:
        return []
    name = HISTORY.relative_to(ROOT).as_posix()
    found = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True)
    return [] if found.returncode else msgspec.json.decode(found.stdout, type=list[Run])


def write(runs: Sequence[Run]) -> None:
    """Write the newest runs, one per line."""
    lines = [msgspec.json.encode(run).decode() for run in runs[-MAX_RUNS:]]
    HISTORY.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def change(better: Better, before: Value, now: Value) -> Value:
    """Return how much better a figure became, as a share of the earlier one: below 0 where it is worse."""
    if before is None or now is None:
        return None
    difference = now - before if better == "more" else before - now
    return difference / before if before else float(difference > 0) - float(difference < 0)


def compared(before: Run, now: Mapping[str, Value]) -> Table:
    """Return what is better or worse than in an earlier run."""
    out = Table(
        title=f"Beside the last committed run, {before.commit} of {before.at[:10]}", title_justify="left"
    )
    for column in ("figure", "then", "now", "change", ""):
        out.add_column(column, justify="left" if column in ("figure", "") else "right", overflow="fold")
    for line in GOALS:
        then, value = before.figures.get(line.name), now.get(line.name)
        share = change(line.goal.better, then, value)
        if share is not None:
            word = "better" if share > NOTABLE else "WORSE" if share < -NOTABLE else "the same"
            out.add_row(
                line.name, f"{then:,g}", f"{value:,g}", f"{value / then - 1:+.0%}" if then else "–", word
            )
    return out


def worse_for_long(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each figure that was more than 10 % worse in each of the last three runs than in
    the run before them."""
    if len(runs) <= IN_A_ROW:
        return []
    base, *last = runs[-IN_A_ROW - 1 :]
    return [
        f"WORSE FOR {IN_A_ROW} RUNS: {line.what}: {base.figures[line.name]:,g} at {base.commit}, then "
        f"{', '.join(f'{run.figures[line.name]:,g}' for run in last)} ({line.name})."
        for line in GOALS
        if all(_is_worse(line, base, run) for run in last)
    ]


def _is_worse(line: Line, base: Run, run: Run) -> bool:
    share = change(line.goal.better, base.figures.get(line.name), run.figures.get(line.name))
    return share is not None and share < -WORSE
