"""Seeded bugs in the simulation: `python -m tests.simulation.mutants` puts one after another into a copy of
the code, and runs seeds until one breaks a promise. docs/explanation/simulated-bugs.json has the results.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.campaign.mutations import MUTATIONS, ROOT, Mutation, copy_with
from tests.simulation.more_mutations import MORE

RESULTS: Final = ROOT / "docs/explanation/simulated-bugs.json"
PAGE: Final = ROOT / "docs/explanation/simulation.md"
HEADING: Final = "## Seeded bugs"
HEAD: Final = """
`python -m tests.simulation.mutants` puts one bug after another into a copy of the code and runs seeds from 1
on, until a promise is broken. The bugs are those of [the campaign](mutations.md), ten in newer code, and two
that only chance had found before. `simulated-bugs.json` beside this page has the results. They
were taken beside much other work on the same two cores (load 11 to 16), with 30 to 200 s for each bug, while
checks were still added: one that was not found may need more seeds, or lie outside of what is simulated.

| bug | seeds | after s | what showed it |
|---|--:|--:|---|
"""
SEEDS_MOST: Final = 400


def find(mutation: Mutation, first: int, seeds: int, seconds: int) -> dict[str, Any]:
    """Return how many seeds and seconds it took to find a bug, and what it broke."""
    folder = Path(tempfile.mkdtemp(prefix="fg-mutant-", dir="/tmp"))
    folder.chmod(0o755)
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.simulation", "--until-broken", "--seed", str(first)]
    command += ["--seeds", str(seeds), "--seconds", str(seconds)]
    try:
        env = os.environ | {"PYTHONPATH": str(copy_with(mutation, folder)), "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ran = len(re.findall(r"^ +\d+ [0-9a-f]{16} ", done.stdout, re.MULTILINE))
    broken = re.findall(r"^    VIOLATED (.*)$", done.stdout, re.MULTILINE)
    if not ran:
        raise RuntimeError(f"{mutation.name}: nothing ran: {done.stdout[-500:]} {done.stderr[-1500:]}")
    return {
        "bug": mutation.name, "found": bool(broken), "seeds": ran,
        "seconds": round(time.monotonic() - started),
        "what": broken[0][:120] if broken else "",
    }  # fmt: skip


def section(results: list[dict[str, Any]]) -> str:
    """Return the page's section about these results, below its heading."""
    rows = []
    untried = [each.name for each in [*MUTATIONS, *MORE] if each.name not in {one["bug"] for one in results}]
    for each in results:
        seeds = each["seeds"] if each["found"] else f"{each['seeds']}, not found"
        what = each["what"].replace("|", "\\|").replace("<", "&lt;") or "-"
        rows.append(f"| {each['bug']} | {seeds} | {each['seconds']} | {what} |\n")
    rows += [f"| {name} | not tried yet | | |\n" for name in untried]
    return HEAD + "".join(rows)


def write_page(results: list[dict[str, Any]]) -> None:
    """Replace the page's section, which is its last one."""
    before, heading, _ = PAGE.read_text().partition(f"{HEADING}\n")
    PAGE.write_text(before + heading + section(results))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=SEEDS_MOST, help="the most seeds for one bug")
    parser.add_argument("--seconds", type=int, default=600, help="the most seconds for one bug")
    parser.add_argument("--only", nargs="*", help="words of the names of the bugs to try")
    parser.add_argument("--into", type=Path, default=RESULTS, help="the file that keeps the results")
    parser.add_argument("--page", action="store_true", help="only write the results into the page")
    given = parser.parse_args()
    if given.page:
        write_page(json.loads(RESULTS.read_text()))
        return 0
    kept = {each["bug"]: each for each in json.loads(given.into.read_text())} if given.into.exists() else {}
    missed = 0
    for mutation in [*MUTATIONS, *MORE]:
        if given.only and not any(word in mutation.name for word in given.only):
            continue
        result = find(mutation, given.seed, given.seeds, given.seconds)
        missed += not result["found"]
        print(json.dumps(result), flush=True)
        kept[mutation.name] = result
        ordered = [kept[each.name] for each in [*MUTATIONS, *MORE] if each.name in kept]
        given.into.write_text(json.dumps(ordered, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
