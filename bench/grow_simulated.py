"""Simulates growth with measured costs, after comparing the simulation with measurements.

`python -m bench.grow_simulated` reads results/latest.json, writes results/grow_simulated.json and .svg.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.plot import LINE as ROW
from bench.plot import STYLE, TITLE, TOP, WIDTH, panel
from bench.rows import Row, middle, select
from bench.simulation import Costs, Place, Plan, Seen

RESULTS: Final = Path(__file__).parent / "results"
MICRO: Final = 1e-6
MILLION: Final = 1_000_000
FULL: Final = 0.7
"""How full a part is planned to be."""
FSYNC_HERE: Final = 0.0003
"""An assumption: not part of the results. The tables say what other values would change."""
FSYNC_CLOUD, NETWORK_CLOUD = 0.001, 0.0002
LOADS: Final = (64, 256, 1000)


def fitted(rows: Sequence[Row], part: str) -> tuple[float, float]:
    """Return a part's CPU per answer and per batch, by least squares over the loads.

    With C connections half of them are in one batch while the other half is on its way, so CPU per answer is
    `each + batch / (C / 2)`.
    """
    points = [(2 / row.connections, row.cpu_us[part] * MICRO) for row in rows if part in row.cpu_us]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    batch = max(slope, 0.0)
    return max(mean_y - batch * mean_x, 0.0), batch


def calibrated(rows: Sequence[Row], scenario: str = "buy", target: str = "flashguard") -> Costs:
    """Return costs per request and per batch."""
    measured = [row for row in rows if (row.scenario, row.target) == (scenario, target)]
    api, turn = fitted(measured, "api")
    decide, batch = fitted(measured, "valkey")
    # One per call, 16 in flight (`small`): call + read / 8 beside the request's own; `batch` is call + read.
    small = select(rows, "small", "library", 16)
    alone = (middle(row.cpu_us["valkey"] for row in small) or 0.0) * MICRO - decide
    read = max((batch - alone) / (1 - 1 / 8), 0.0)
    fold, group = fitted(measured, "recorder")
    row_cost, transaction = fitted(measured, "postgres")
    return Costs(
        client=(middle(row.cpu_us["client"] for row in measured) or 0.0) * MICRO, api=api, turn=turn,
        call=max(batch - read, 0.0), decide=decide, read=read,
        group=group, fold=fold, transaction=transaction, row=row_cost,
        fsync=FSYNC_HERE, network=0.0,
    )  # fmt: skip


def refusing(rows: Sequence[Row], costs: Costs) -> Costs:
    """Return the costs for a sold-out crowd: cheaper to decide, nothing to record."""
    measured = [row for row in rows if (row.scenario, row.target) == ("sold-out", "sold-out")]
    api, turn = fitted(measured, "api")
    valkey, client = (
        (middle(row.cpu_us[part] for row in measured) or 0.0) * MICRO for part in ("valkey", "client")
    )
    return replace(costs, api=api, turn=turn, decide=max(valkey - costs.call / 128, MICRO), client=client)


def validated(rows: Sequence[Row], costs: Costs, seconds: float, seed: int) -> list[dict[str, Any]]:
    """Return measured and simulated figures of the same loads, on 2 cores that all parts share."""
    found = []
    holds = calibrated(rows, "hold")
    for what, target, workers, own, kind in (
        ("buy", "flashguard", 1, costs, {}),
        ("buy", "flashguard×2", 2, costs, {}),
        ("hold", "flashguard", 1, replace(holds, call=costs.call, read=costs.read), {"durable": False}),
        ("sold-out", "sold-out", 1, refusing(rows, costs), {"durable": False, "recorded": False}),
    ):
        for connections in LOADS:
            measured = select(rows, what, target, connections)
            if not measured:
                continue
            plan = Plan(workers, 1, cores=2, connections=connections, ledger_cores=2, **kind)
            seen = Place(plan, own, seed, seconds, warm=seconds / 3).run()
            rate = middle(row.per_second for row in measured) or 1.0
            wait = middle(row.p50_ms or 0.0 for row in measured) or 1.0
            found.append({
                "what": what, "workers": workers, "connections": connections,
                "measured_per_second": round(rate), "simulated_per_second": round(seen.per_second),
                "rate_error": round(seen.per_second / rate - 1, 3),
                "measured_p50_ms": round(wait, 1), "simulated_p50_ms": round(seen.wait_ms(0.5), 1),
                "p50_error": round(seen.wait_ms(0.5) / wait - 1, 3),
            })  # fmt: skip
    return found


def parts_for(offered: float, costs: Costs, partitions: int, *, recorded: bool) -> Plan:
    """Return a plan with the workers and PostgreSQL cores that `FULL` requires."""
    # Calls and groups of 64 or more, usually.
    workers = math.ceil(offered * (costs.api + costs.turn / 64) / FULL)
    workers = math.ceil(workers / partitions) * partitions
    cores = math.ceil(offered * (costs.row + costs.transaction / 64) / FULL)
    return Plan(workers, partitions, offered=offered, durable=recorded, recorded=recorded, ledger_cores=cores)


def told(name: str, plan: Plan, seen: Seen, costs: Costs) -> dict[str, Any]:
    """Return one line of the tables."""
    cores = {part: round(spent / seen.seconds, 1) for part, spent in seen.busy.items()}
    return {
        "what": name, "offered_per_second": round(plan.offered), "partitions": plan.partitions,
        "workers": plan.workers, "ledger_cores": plan.ledger_cores if plan.recorded else 0,
        "affinity": plan.affinity,
        "fsync_ms": costs.fsync * 1000,
        "per_second": round(seen.per_second), "p50_ms": round(seen.wait_ms(0.5), 1),
        "p99_ms": round(seen.wait_ms(0.99), 1), "requests_per_call": round(seen.batch, 1),
        "cores_busy": cores,
        "valkey_core_full": round(cores.get("valkey", 0.0) / plan.partitions, 2),
    }  # fmt: skip


def grown(
    rows: Sequence[Row], costs: Costs, offered: float, seconds: float, seed: int
) -> list[dict[str, Any]]:
    """Simulate up to `offered` buyers/s: one hot item over more and more partitions, and a sold-out crowd."""
    cloud = replace(costs, fsync=FSYNC_CLOUD, network=NETWORK_CLOUD)
    found = []

    def add(name: str, own: Costs, plan: Plan) -> None:
        found.append(told(name, plan, Place(plan, own, seed, seconds, warm=seconds).run(), own))

    for partitions in (1, 2, 4, 8, 16, 32, 64):
        share = min(offered, offered / 32 * partitions)
        add("one hot item, all buy", cloud, parts_for(share, cloud, partitions, recorded=True))
    whole = parts_for(offered, cloud, 64, recorded=True)
    add("the same, every worker calls every partition", cloud, replace(whole, affinity=False))
    add("the same, a disk five times as slow", replace(cloud, fsync=5 * FSYNC_CLOUD), whole)
    crowd = refusing(rows, cloud)
    add("sold out: no buyer gets a unit", crowd, parts_for(offered, crowd, 16, recorded=False))
    return found


def drawn(found: Sequence[dict[str, Any]], note: str) -> str:
    """Return the tables as a plot, in the style of the benchmark."""
    bars = [
        (
            f"{line['partitions']} partitions",
            line["affinity"],
            float(line["per_second"]),
            float(line["p99_ms"]),
        )
        for line in found
        if line["what"] == "one hot item, all buy"
    ]
    others = [
        (name, name != "any worker", float(line["per_second"]), float(line["p99_ms"]))
        for name, line in zip(("any worker", "slow disk", "sold out"), found[-3:], strict=True)
    ]
    below = TOP + TITLE + ROW * len(bars) + 12
    height = below + TITLE + ROW * len(others) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Simulated growth to a million buyers per second"><style>{STYLE}</style>'
        '<text class="title" x="16" y="26">Simulated, not measured: to a million buyers per second</text>'
        f'<text class="note" x="16" y="46">{note}</text>'
        f"{panel('One hot item, durable buys, spread over partitions', bars, TOP)}"
        f"{panel('A million per second: other ways', others, below)}</svg>\n"
    )


def main() -> None:
    """Write the results and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="simulated per line, after as long to warm up"
    )
    parser.add_argument("--offered", type=float, default=MILLION)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    given = parser.parse_args()
    latest = json.loads((RESULTS / "latest.json").read_text())
    rows = msgspec.convert(latest["rows"], list[Row])
    costs = calibrated(rows)
    result = {
        "from": {"at": latest["at"], "commit": latest["commit"], "machine": latest["machine"]},
        "costs_us": {name: round(each / MICRO, 1) for name, each in vars(costs).items()},
        "validation": validated(rows, costs, 2.0, given.seed),
        "growth": grown(rows, costs, given.offered, given.seconds, given.seed),
    }
    for part in ("costs_us", "validation", "growth"):
        lines = result[part] if isinstance(result[part], list) else [result[part]]
        print(part, *lines, sep="\n  ")
    if not given.dry_run:
        (RESULTS / "grow_simulated.json").write_text(json.dumps(result, indent=1) + "\n")
        note = f"Costs measured at commit {latest['commit']} on 2 cores; fsync 1 ms, network 0.2 ms one way"
        (RESULTS / "grow_simulated.svg").write_text(drawn(result["growth"], note))


if __name__ == "__main__":
    main()
