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
        "what": broken[0][:120] if broken else "", "simulation_seed": first + ran - 1 if broken else None,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=SEEDS_MOST, help="the most seeds for one bug")
    parser.add_argument("--seconds", type=int, default=600, help="the most seconds for one bug")
    parser.add_argument("--only", nargs="*", help="words of the names of the bugs to try")
    parser.add_argument("--into", type=Path, default=RESULTS, help="the file that keeps the results")
    given = parser.parse_args()
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
