"""Puts several whole runs together: python -m bench.together FIRST.json SECOND.json THIRD.json

A figure is then the median over the rounds of all runs. Writes results/ as `make bench` does.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from bench.goals import figures
from bench.report import Report, write
from bench.rows import middle

ROUNDS = 100
"""More than a run has."""
WIDTH = 150


def together(reports: Sequence[Report]) -> Report:
    """Return one report with the rows of all runs, whose rounds follow each other.

    Raises:
        ValueError: the runs are of different commits or sizes.
    """
    if len({(report.commit, report.size) for report in reports}) != 1:
        raise ValueError("The runs are of different commits or sizes.")
    rows = [
        msgspec.structs.replace(row, round=number * ROUNDS + row.round)
        for number, report in enumerate(reports)
        for row in report.rows
    ]
    return msgspec.structs.replace(
        reports[-1], seconds=round(sum(report.seconds for report in reports), 1), rows=rows,
        figures=figures(rows), others_cores=middle(report.others_cores for report in reports) or 0.0,
    )  # fmt: skip


def read(file: Path) -> Report:
    return msgspec.json.decode(file.read_bytes(), type=Report)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.together", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="written by `python -m bench --json FILE`")
    reports = [read(file) for file in parser.parse_args().files]
    write(together(reports), Console(highlight=False, width=WIDTH), None, None)


if __name__ == "__main__":
    main()
