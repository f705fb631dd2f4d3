"""Write docs/explanation/soak.md and its plot from the file of a soak: `soak_report.py SOAK.json FOLDER`."""

import argparse
from collections import Counter
from pathlib import Path

import msgspec

from tests.campaign.soak import SHARE, STOP_SECONDS, Soak, slope_per_hour

WIDTH, HEIGHT, LEFT, GAP = 860, 96, 150, 34
PANELS = [
    ("memory, MB", ["api MB", "recorder MB", "valkey MB", "postgres MB", "deliverer MB"]),
    ("open files", ["api files", "recorder files", "valkey files"]),
    ("connections of clients", ["api clients"]),
    ("longest journal, entries", ["journal entries"]),
]
COLOURS = ["#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989"]
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .note { fill: #59636e } .fault { stroke: #afb8c1 }
path { fill: none; stroke-width: 1.5 } .axis { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .note { fill: #9198a1 } .fault { stroke: #3d444d } .axis { stroke: #3d444d }
}
"""


TEXT = """# A soak: what was run and what came of it

`make soak MINUTES=120 FAULTS=100` sells with a mixed load (buys, holds, confirms, releases, extensions,
restocks, retries) on `flashguard up` with two api workers, at half of what the machine can do when it
starts, or at a set rate (`PER_SECOND=100`). At even distances it causes a fault, in turn: `kill -9` of
Valkey, of PostgreSQL, of the recorder; Valkey stopped for {stop:.0f} s; PostgreSQL stopped with all its
backends; `FLUSHALL`. At most 720 times it measures what each part uses. It exits 1 if something grew beyond
its bound, or if the clients' answers and the ledger differ (`tests/campaign/soak.py`, `checker.py`).

The run, on 2 cores shared with other work: {minutes:.0f} minutes, {buyers} buyers ({rate});
{answers:,} answers ({per_second:,.0f} per second), {orders:,} orders, {count} faults{faults}; commit
`{commit}`. {told}

![Memory, open files and journal during the soak](soak.svg)

{table}

Memory is each part's private memory plus its share of shared memory. The last column is a line fitted
to the second half of the run. The api's processes live through the whole run: theirs is the number that
tells whether they leak ([why it is not 0](bounds.md#the-processes)). The recorder, Valkey and
PostgreSQL are killed in turn and start again small. Valkey and PostgreSQL grow with what is sold; [what
grows, and what bounds it](bounds.md) has a row for each of their tables and streams. A backend of
PostgreSQL keeps the files of every table that it used, and all backends are new after a kill. The
journal is always trimmed to its bounded tail. The api's files do not count client connections: while a
server is away, up to 50 probes wait beside the buyers, and the clients' pool keeps them all in turn.
"""


def drawing(the: Soak) -> str:
    """Return the plot of what each part used over time; a thin line is a fault."""
    seconds = max(sample["at"] for sample in the.samples)
    height = len(PANELS) * (HEIGHT + GAP) + 30

    def x(at: float) -> float:
        return LEFT + at / seconds * (WIDTH - LEFT - 20)

    parts = []
    for number, (title, names) in enumerate(PANELS):
        top = 24 + number * (HEIGHT + GAP)
        most = max(sample.get(name, 0) for sample in the.samples for name in names) or 1
        parts += [
            f'<path class="fault" d="M{x(at):.1f} {top}v{HEIGHT}"/>'
            for at, _ in the.faults if at <= seconds
        ]  # fmt: skip
        parts.append(f'<path class="axis" d="M{LEFT} {top}v{HEIGHT}H{WIDTH - 20}"/>')
        parts.append(f'<text x="{LEFT}" y="{top - 6}">{title}</text>')
        parts.append(f'<text class="note" x="{LEFT - 8}" y="{top + 10}" text-anchor="end">{most:,.0f}</text>')
        for line, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
            points = " ".join(
                f"{x(sample['at']):.1f},{top + HEIGHT * (1 - sample[name] / most):.1f}"
                for sample in the.samples if name in sample
            )  # fmt: skip
            parts.append(f'<path d="M{points}" stroke="{colour}"/>')
            label, y = name.rsplit(" ", 1)[0], top + 28 + 18 * line
            parts.append(f'<text x="8" y="{y}" style="fill:{colour}">{label}</text>')
    parts.append(f'<text class="note" x="{LEFT}" y="{height - 6}">0</text>')
    end = f"{seconds / 60:.0f} min"
    parts.append(f'<text class="note" x="{WIDTH - 20}" y="{height - 6}" text-anchor="end">{end}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Memory, open files and journal during the soak"><style>{STYLE}</style>'
        f"{''.join(parts)}</svg>\n"
    )


def table(the: Soak) -> str:
    """Return a table of four samples: the first, one after warming up, the middle and the last."""
    count = len(the.samples)
    shown = [the.samples[at] for at in (0, int(count * 0.3), count // 2, count - 1)]
    names = [name for name in max(the.samples, key=len) if name != "at"]
    head = " | ".join(f"after {sample['at']:,.0f} s" for sample in shown)
    lines = [f"| | {head} | least | most | per hour |", "|---|" + "--:|" * (len(shown) + 3)]
    for name in names:
        values = [sample[name] for sample in the.samples if name in sample]
        cells = [f"{sample[name]:,.0f}" if name in sample else "-" for sample in shown]
        slope = slope_per_hour(the.samples, name) if name.endswith(" MB") else None
        cells += [f"{min(values):,.0f}", f"{max(values):,.0f}", "" if slope is None else f"{slope:+.1f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(the: Soak) -> str:
    counted = Counter(what for _, what in the.faults)
    faults = ", ".join(f"{what} {count}" for what, count in sorted(counted.items()))
    if the.per_second is not None:
        rate = f"{the.per_second:,.0f} requests per second were set"
    elif the.most_per_second is not None:
        most = f"{the.most_per_second:,.0f} answers per second"
        rate = f"{SHARE:.0%} of {most}, the rate of 100 buyers without a pause just before"
    else:
        rate = "their number was set"
    return TEXT.format(
        stop=STOP_SECONDS,
        minutes=the.seconds / 60,
        buyers=the.buyers,
        rate=rate,
        answers=the.answers,
        per_second=the.answers / the.seconds,
        orders=the.orders,
        count=len(the.faults),
        faults=f" ({faults})" if faults else "",
        commit=the.commit,
        told=f"Wrong: {the.wrong}" if the.wrong else "No promise broke; nothing grew beyond its bound.",
        table=table(the),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("soak", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    the = msgspec.json.decode(given.soak.read_bytes(), type=Soak)
    (given.folder / "soak.md").write_text(page(the))
    (given.folder / "soak.svg").write_text(drawing(the))


if __name__ == "__main__":
    main()
