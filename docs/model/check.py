"""Check the model exhaustively with spin; then remove each guard, and spin must find the broken promise.

`python docs/model/check.py` prints a row per check; `--into README.md` puts the rows into that page.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

MODEL = Path(__file__).with_name("flashguard.pml")
DEPTH_MOST = 400_000
MEMORY_MOST_MB = 6_000
ONE = ("RECORDERS=1",)
QUIET = (*ONE, "FAULTS=0", "KILLS=0")
DEAF = ("NO_ASK", "NO_DEADLINE")
ALONE = (*QUIET, *DEAF, "RELIABLE")
FLUSHED = (*ONE, "NO_DEADLINE", "FLUSH_ONLY")
MARK = "<!-- results -->"


class Check(NamedTuple):
    """`live`: in the end every buyer is answered, and memory and ledger agree; else: nothing goes wrong."""

    name: str
    switches: tuple[str, ...]
    live: bool = False
    broken: bool = False
    """Whether a promise must break."""
    long: bool = False


CHECKS = [
    Check("one recorder; memory lost once, recorder killed once", ONE),
    Check("the same, and every buyer is answered", ONE, live=True, long=True),
    Check("one recorder; memory lost twice, recorder killed once", (*ONE, "FAULTS=2"), long=True),
    Check("one recorder; a call sent twice, a deadline passed", (*ONE, "RESENDS=1", "HURRIED=1"), long=True),
    Check("two recorders; memory lost once, none killed", ("KILLS=0", "TAKEOVERS=0"), long=True),
    Check("two recorders; memory lost once, one killed", ("TAKEOVERS=0", "OUTDATED_MOST=0"), long=True),
    Check("announcements always arrive, and no buyer asks the ledger", ALONE),
    Check("one recorder; memory flushed once, and no buyer has a deadline", FLUSHED),
    Check("without raising the epoch, where no buyer has a deadline", (*FLUSHED, "NO_EPOCH"), broken=True),
    Check("without the deadline, where a replica is promoted", (*ONE, "NO_DEADLINE"), broken=True),
    Check("without compare-and-set on the position", ("FAULTS=0", "KILLS=0", "NO_CAS"), broken=True),
    Check("without the chain of tokens", (*ONE, "NO_CHAIN"), live=True, broken=True),
    Check("without the fence while memory is built", (*ONE, "NO_FENCE"), live=True, broken=True),
    Check("an ack for the id alone", (*ONE, "ID_ONLY"), broken=True),
    Check("an ack for the token alone", (*ONE, "RESENDS=1", "TOKEN_ONLY"), broken=True),
    Check(
        "registering after the call, not before", (*ALONE, "LATE_REGISTER"),
        broken=True,
    ),
    Check("never asking the ledger, though announcements are lost", (*QUIET, *DEAF), broken=True),
    Check("an answer before the commit", (*ONE, "ACK_EARLY"), broken=True),
]  # fmt: skip


class Found(NamedTuple):
    error: str
    states: int
    seconds: float


def run(check: Check, optimize: str = "-O2") -> Found:
    """Return what spin finds; it visits every state of the model unless an error ends the search.

    Raises:
        RuntimeError: the search was cut short: out of memory or depth.
    """
    switches = [f"-D{switch}" for switch in (*check.switches, *(("LIVE",) if check.live else ()))]
    folder = Path(tempfile.mkdtemp(prefix="fg-spin-"))
    try:
        subprocess.run(["spin", "-a", *switches, str(MODEL)], cwd=folder, check=True, capture_output=True)
        how = ["-DNFAIR=6"] if check.live else ["-DSAFETY"]
        compile_ = ["cc", "-w", optimize, "-DCOLLAPSE", "-DVECTORSZ=2048", f"-DMEMLIM={MEMORY_MOST_MB}", *how]
        subprocess.run([*compile_, "-o", "pan", "pan.c"], cwd=folder, check=True)
        started = time.monotonic()
        search = ["./pan", f"-m{DEPTH_MOST}", *(["-a", "-f"] if check.live else [])]
        text = subprocess.run(search, cwd=folder, capture_output=True, text=True).stdout
        seconds = time.monotonic() - started
    finally:
        shutil.rmtree(folder)
    error = next(
        (line.split(":", 2)[2].strip() for line in text.splitlines() if line.startswith("pan:1:")), ""
    )
    if not error and (
        "Search not completed" in text or "errors: 0" not in text or "max search depth" in text
    ):
        raise RuntimeError(f"{check.name}: the search did not end:\n{text[-2000:]}")
    stored = re.search(r"(\d+) states, stored", text)
    return Found(re.sub(r"\s+\(at depth.*", "", error), int(stored[1]) if stored else 0, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="leave out what takes longer than seconds")
    parser.add_argument("--into", type=Path, help="put the results into this page")
    given = parser.parse_args()
    rows = ["| what | states | s | spin finds |", "|---|--:|--:|---|"]
    wrong = 0
    for check in CHECKS:
        if given.short and check.long:
            continue
        found = run(check, "-O0" if given.short else "-O2")  # to optimize takes longer than a short search
        bad = bool(found.error) != check.broken
        wrong += bad
        error = found.error.replace("|", "\\|")
        what = f"`{error}`" if found.error else "nothing: every promise holds"
        rows.append(f"| {check.name} | {found.states:,} | {found.seconds:.1f} | {what} |")
        print(rows[-1] + ("   <-- NOT AS IT MUST BE" if bad else ""), flush=True)
    if given.into:
        before, _, _ = given.into.read_text().partition(MARK)
        given.into.write_text("\n".join([before + MARK, "", *rows, ""]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
