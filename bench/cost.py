"""Calculates what checkouts cost on AWS Lambda with managed servers, and on two small servers of your own.

`python -m bench.cost --checkouts 1000000 --crowd 100`. Prices are in prices.json, with their date; CPU is
from results/latest.json.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.rows import Row, middle, select

HERE: Final = Path(__file__).parent
HOURS: Final = 730
"""In a month."""
MILLION: Final = 1_000_000
LAMBDA_GB: Final = 0.5
LAMBDA_CORES: Final = LAMBDA_GB / 1.769
"""Lambda gives CPU by memory: a core at 1,769 MB."""
ANSWER_BYTES: Final = 900
LEDGER_BYTES: Final = 600
"""Per order to a PostgreSQL outside the VPC, through the NAT gateway."""
DISK_GB: Final = 50


@dataclass(frozen=True)
class Month:
    """The load of a month: checkouts, and answers (mostly sold-out) per checkout."""

    checkouts: int
    crowd: int

    @property
    def answers(self) -> int:
        return self.checkouts * self.crowd


def measured(rows: Sequence[Row]) -> dict[str, float]:
    """The microseconds of CPU and milliseconds of waiting that determine the bill."""
    small = select(rows, "small", "library", 16)
    hot = select(rows, "buy", "flashguard", 256)
    refused = select(rows, "sold-out", "sold-out", 256)
    return {
        "lambda_cpu_us": middle(row.cpu_us["client"] for row in small) or 0.0,
        "lambda_wait_ms": middle(row.p50_ms or 0.0 for row in small) or 0.0,
        "server_buy_us": middle(row.product_cpu_us for row in hot) or 0.0,
        "server_refusal_us": middle(row.product_cpu_us for row in refused) or 0.0,
    }


def on_lambda(month: Month, prices: Mapping[str, float], cpu: Mapping[str, float]) -> dict[str, float]:
    """Return dollars per part: Lambda, HTTP API, ElastiCache (2 nodes), Fargate, Supabase, a NAT gateway."""
    # Lambda bills wall time: computing on a part of a core, and waiting for memory and commit. A refused
    # request waits only for memory, about a third of it.
    own_ms = cpu["lambda_cpu_us"] / 1000 / LAMBDA_CORES
    buy_ms, refusal_ms = own_ms + cpu["lambda_wait_ms"], own_ms + cpu["lambda_wait_ms"] / 3
    refusals = month.answers - month.checkouts
    gb_seconds = (month.checkouts * buy_ms + refusals * refusal_ms) / 1000 * LAMBDA_GB
    compute = prices["supabase_compute_month"] - prices["supabase_compute_credit"]
    return {
        "requests": month.answers / MILLION * prices["lambda_million_requests"],
        "compute": gb_seconds * prices["lambda_gb_second"],
        "HTTP API (none with a function URL)": month.answers / MILLION * prices["http_api_million_requests"],
        "answers to the internet": month.answers * ANSWER_BYTES / 1e9 * prices["egress_gb"],
        "Valkey, 2 nodes": 2 * HOURS * prices["valkey_node_hour"],
        "recorder, ¼ core": HOURS * (0.25 * prices["fargate_vcpu_hour"] + 0.5 * prices["fargate_gb_hour"]),
        "PostgreSQL": prices["supabase_month"] + compute,
        "NAT gateway": HOURS * prices["nat_hour"] + month.checkouts * LEDGER_BYTES / 1e9 * prices["nat_gb"],
        "secrets": 3 * prices["secret_month"],
    }


def on_servers(month: Month, prices: Mapping[str, float]) -> dict[str, float]:
    """Return dollars per part: two small servers, Valkey and PostgreSQL on one, replicas on the other."""
    return {
        "2 servers": 2 * HOURS * prices["server_hour"],
        "2 disks": 2 * DISK_GB * prices["disk_gb_month"],
        "2 addresses": 2 * HOURS * prices["address_hour"],
        "answers to the internet": month.answers * ANSWER_BYTES / 1e9 * prices["egress_gb"],
    }


def busy_seconds(month: Month, cpu: Mapping[str, float]) -> float:
    """Return the CPU seconds of all parts on your own servers."""
    refusals = month.answers - month.checkouts
    return (month.checkouts * cpu["server_buy_us"] + refusals * cpu["server_refusal_us"]) / MILLION


def table(months: Mapping[str, Month], prices: Mapping[str, float], cpu: Mapping[str, float]) -> str:
    """Return a Markdown table with a column of dollars per month."""
    head = [f"| | {' | '.join(months)} |", f"|---|{'---:|' * len(months)}"]
    lines: list[str] = []
    for title, bills in (
        ("Lambda + ElastiCache + Supabase", [on_lambda(month, prices, cpu) for month in months.values()]),
        ("Two small servers", [on_servers(month, prices) for month in months.values()]),
    ):
        lines.append(f"| **{title}** | {' | '.join(f'**{sum(bill.values()):,.0f}**' for bill in bills)} |")
        lines += [f"| {each} | {' | '.join(f'{bill[each]:,.2f}' for bill in bills)} |" for each in bills[0]]
    busy = " | ".join(f"{busy_seconds(month, cpu):,.0f}" for month in months.values())
    return "\n".join([*head, *lines, f"| CPU seconds of all parts, of servers of one's own | {busy} |"])


def loaded() -> tuple[dict[str, float], dict[str, float]]:
    """Return the prices and the measured CPU."""
    prices = json.loads((HERE / "prices.json").read_text())["prices"]
    latest = json.loads((HERE / "results" / "latest.json").read_text())
    return {name: each["usd"] for name, each in prices.items()}, measured(
        msgspec.convert(latest["rows"], list[Row])
    )


SHOWN: Final = {
    "idle month": Month(0, 0),
    "a million checkouts": Month(MILLION, 1),
    "and 100 people for each unit": Month(MILLION, 100),
}


def main() -> None:
    """Print the requested month, or the table of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkouts", type=int, help="a month; without it, the table of the documentation")
    parser.add_argument("--crowd", type=int, default=1, help="answers per checkout, most of them sold-out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    prices, cpu = loaded()
    if given.json:
        month = Month(given.checkouts or 0, given.crowd)
        bills = {"lambda": on_lambda(month, prices, cpu), "servers": on_servers(month, prices)}
        print(json.dumps(bills | {"cpu_seconds": busy_seconds(month, cpu), "measured": cpu}, indent=2))
        return
    months = SHOWN if given.checkouts is None else {"dollars a month": Month(given.checkouts, given.crowd)}
    print(table(months, prices, cpu))


if __name__ == "__main__":
    main()
