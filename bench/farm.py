"""Simulates a farm of bots against people, with the kernel's own scripts, under a clock of its own.

    .venv/bin/python -m bench.farm --json bench/results/farm.json --svg bench/results/farm.svg
    .venv/bin/python -m bench.farm --people 500 --bots 20 --cores 1 --stock 100   # a tenth of it

Every hold, order, ticket and poll is a call of the real scripts on a Valkey of its own. Only the buyers and
the clock are made up: half an hour of a sale takes seconds, and the same seed gives the same figures.

A bot has `identities` names and asks within a few ms. It holds what it can, sells a unit on before it pays,
and lets go the holds for which it found nobody, to hold again at once. People come within minutes, take half
a minute or so to pay, sometimes give up, and come back for a while when there is nothing left.
"""

import argparse
import json
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from msgspec import structs, to_builtins

from bench.farm_run import Crowd, Outcome, Scene, simulate
from bench.plot import STYLE, WIDTH
from flashguard.model import RoomMode, WaitingRoom
from flashguard.model.rules import Rules

ROOM = WaitingRoom(mode=RoomMode.LOTTERY, admit_per_second=5.0, max_active=300, session_seconds=300)
BUDGET = Rules(max_held_per_customer=1)
COOL = Rules(max_held_per_customer=1, cool_down_seconds=1_800, cool_down_after=1)
PROOF = structs.replace(ROOM, proof_of_work=True)
SCENES: Final = (
    Scene(name="nothing"),
    Scene(name="hold budget of 1 per name", rules=BUDGET),
    Scene(name="budget, and cool-down after 1 lapse", rules=COOL),
    Scene(name="budget, names tied to a card", rules=BUDGET, tied=True),
    Scene(name="budget and cool-down, tied to a card", rules=COOL, tied=True),
    Scene(name="budget, by name and by card", rules=BUDGET, by_card=True),
    Scene(name="budget and cool-down, by name and by card", rules=COOL, by_card=True),
    Scene(name="room by lot, budget and cool-down", rules=COOL, room=ROOM),
    Scene(name="… and a proof of 256 tries", rules=COOL, room=PROOF),
    Scene(
        name="… harder from 500 waiting on",
        rules=COOL,
        room=structs.replace(PROOF, proof_harder_at=500),
    ),
    Scene(
        name="… and tied to a card",
        rules=COOL,
        room=structs.replace(PROOF, proof_harder_at=500),
        tied=True,
    ),
)


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the table of docs/explanation/fairness.md."""
    lines = [
        "| the sale has | bots' share of the units sold | of the shelf in bots' holds, first 10 min "
        "| units people got | tickets of bots | proofs of the farm | of a person |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in outcomes:
        cells = [
            each.scene,
            f"{each.bots_share:.0%}",
            f"{each.blocked_share:.0%}",
            f"{each.people_orders:,}",
            "" if each.tickets_of_bots is None else f"{each.tickets_of_bots:,}",
            "" if each.proof_cpu_hours is None else f"{each.proof_cpu_hours:.1f} h of CPU",
            "" if each.person_proof_seconds is None else f"{each.person_proof_seconds:.1f} s of CPU",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def picture(outcomes: Sequence[Outcome], crowd: Crowd) -> str:
    """Return the bars of the bots' share, as an SVG."""
    label, width, line, top = 300, 470, 26, 64
    parts = []
    for n, each in enumerate(outcomes):
        y, long, share = top + n * line, each.bots_share * width, f"{each.bots_share:.0%}"
        parts.append(
            f'<text class="label" x="{label - 10}" y="{y + 9}">{escape(each.scene)}</text>'
            f'<rect class="ours" x="{label}" y="{y}" width="{max(1.0, long):.1f}" height="18"/>'
            f'<text class="value" x="{label + long + 8:.1f}" y="{y + 9}">{share}</text>'
        )
    height = top + len(outcomes) * line + 16
    note = (
        f"{crowd.bots:,} bots with {crowd.identities} names each, {crowd.people:,} people, "
        f"{crowd.stock:,} units; share of the units sold"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Share of the units that a farm of bots gets"><style>{STYLE}</style>'
        f'<text class="title" x="16" y="26">What a farm of bots gets</text>'
        f'<text class="note" x="16" y="46">{escape(note)}</text>{"".join(parts)}</svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = Crowd()
    for name in Crowd.__struct_fields__:
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--svg", type=Path, help="where to write the picture")
    asked = parser.parse_args()
    crowd = Crowd(**{name: getattr(asked, name) for name in Crowd.__struct_fields__})
    begun = time.monotonic()
    outcomes = simulate(crowd, SCENES)
    print("\n".join(table(outcomes)))
    print(f"{time.monotonic() - begun:.0f} s")
    if asked.json:
        figures = {"crowd": to_builtins(crowd), "rows": to_builtins(outcomes)}
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
    if asked.svg:
        asked.svg.write_text(picture(outcomes, crowd))


if __name__ == "__main__":
    main()
