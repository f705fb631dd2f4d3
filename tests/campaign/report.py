"""Summarise the campaign: `report.py RESULTS.jsonl … --into docs/explanation` writes page and data."""

import argparse
import json
import platform
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROMISES = [
    "oversold", "lost order", "doubled", "two outcomes", "limit exceeded", "wrong location", "leaked",
    "lost hold", "lost restock", "refused by the ledger", "not linearizable", "hold budget exceeded",
    "cool-down broken", "lost place", "served wrongly", "waits twice", "out of turn", "left waiting",
    "never answered", "not serving", "server error", "audit", "crashed",
    "harness or recovery failed",
]  # fmt: skip
STARVED = (
    "Starved: it ran at the lowest priority beside seven test suites and was stopped; clients gave up. "
    "Nothing was lost, doubled or oversold. The same plan on a quiet machine kept every promise."
)
BECAME = {
    "autumn-2/171": "A defect of the harness: Valkey's disk filled right after its check, and the harness "
    "did not restart it.",
    **{f"autumn-4/{number}": STARVED for number in (2, 6, 8, 9, 36, 83)},
}
"""What each broken promise turned out to be."""
GOODS = """## What a round sells

The seeds `autumn` and `winter` sold plain items. Later rounds also draw what is sold: plain items in one of
five; in two of five both items draw from one hall, by different quantities; in two of five they have stock at
two locations, some lines name one, and half of these sales may split a basket. Half of the rounds limit an
item per customer, and those of them that are not spread also limit by card; several customers share a card.
In all, holds are amended and orders are cancelled in part. The checker sums orders over pools, locations and
cards, and compares each restock with its request.

Half of the rounds have a waiting list and few units: a buyer who is refused joins it, looks now and then,
and confirms, declines or forgets an offer, or leaves. Half have a hold budget and a cool-down, which count
by card, too, where the sale limits by card. The top of `tests/campaign/list_check.py` says what must hold
of the list; once all servers are back, the round watches until no unit is free beside an entry that fits it
and may have it. Budget and cool-down are checked at the ledger's own times. After a loss of memory they may
be exceeded only by what a memory granted that had not noticed it yet ([detection](guarantees.md#limits));
what was granted since the last rebuild is checked as in any other round.

The list found a defect at once: over shards, an entry for an item that draws from pools was never offered
its units while an earlier one waited for a pool that was short (6 of 17 rounds that sell pools over shards
with a list; after it was mended, none of 22). 34 rounds of all kinds after that (seed `crowd-5`) broke no
promise.

Since then some buyers extend a hold shortly before its end and confirm it after its first one. Before a
failover by hand, and before a flush beside two recorders, a recorder may stop, so that what it has not
recorded is lost. With Sentinels seven of ten rounds answer a hold only once a replica has it, and no failover
may lose one. A buyer is told `ledger-refused` only of what the ledger has refused. Of 36 rounds of
these kinds (seeds `camp1` and `guards`) one broke a promise: the release of an order was answered
`reservation-expired` by a memory that had fallen back and was not fenced yet. Nothing was released.
"""
MIXED = """## The mixed load

`make chaos` then runs `tests/campaign/mixed.py`: clients send every verb at random to three sales (hold
budget, cool-down and waiting list; room and list; list over three partitions) while a server is killed or
memory loses a key. The top of `tests/campaign/mixed_check.py` states what must hold. During its development
it found that an item that memory had lost was answered `unknown-item` (now `recovering`). Of 47 rounds
after that (seeds `a`, `b`, `c`; 45,000 answers), none broke a promise. Then the third sale got a list, and
in every second round the second one is spread, too. That found a buyer who was told `sold-out` of a unit
that the rebalancer had moved and the list had set aside; 39 rounds after it (seeds `lists`, `fair`) broke
no promise. Since then a crowd stands in the room, too: its counts are read in Valkey all through a round,
and in no time may it admit more than its rate with one second saved up, nor have more inside than it takes.
The time for which a unit is free beside an entry that it fits is measured once all servers are back. Nine
rounds since (seed `crowd-m`) broke no promise.

Four more buyers hold on the same sales and pay, at a provider that is slow, sends events twice, in any
order or not at all, and loses its answers; some pay too little, too much or too late. At the end of a round
each payment that took money is one order or went back, the amounts of ledger and provider agree, and no
session is open. A round's line says how many were paid. 10 rounds (seed `pay`; API, recorder, deliverer,
Valkey and PostgreSQL killed; 186 paid, 128 orders, 58 refused) broke no promise.

Since then clients confirm late, too, with the receipt of a hold that is over; they use the key of an order
again, for the same basket or another one, most often right after the fault; and some join the list for more
than is free. Memory's counters are read all through a round: it promises no unit twice, and none that is set
aside for the list goes to the open sale. When all is quiet, each key of an order must return that order. The
key of the reservations is also lost while no announcement of a commit arrives. 12 rounds since (seeds
`strong2` and `strong3`) broke no promise.
"""
Round = dict[str, Any]


def read(paths: Iterable[Path]) -> list[Round]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def seconds(values: list[float]) -> str:
    if not values:
        return "- | -"
    return f"{statistics.median(values):.2f} | {max(values):.2f}"


def became(each: Round) -> str:
    return BECAME.get(f"{each['plan']['seed']}/{each['plan']['number']}", "")


def table(rounds: list[Round]) -> list[str]:
    """Return the table with one row per kind of fault."""
    kinds: dict[str, list[Round]] = defaultdict(list)
    for each in rounds:
        kinds[each["plan"]["kind"]].append(each)
    lines = [
        "| fault | rounds | answers | orders | broken promises | serving again, median s | worst s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, some in sorted(kinds.items()):
        answers = sum(sum(each["words"].values()) for each in some)
        orders = sum(each["orders"] for each in some)
        broken = sum(bool(each["violations"]) for each in some)
        served = [each["serve_seconds"] for each in some if each["serve_seconds"] is not None]
        lines.append(f"| {kind} | {len(some)} | {answers:,} | {orders:,} | {broken} | {seconds(served)} |")
    return lines


def summary(rounds: list[Round]) -> dict[str, Any]:
    seeds: dict[str, list[int]] = defaultdict(list)
    for each in rounds:
        seeds[each["plan"]["seed"]].append(each["plan"]["number"])
    broken = Counter(promise for each in rounds for promise in {v[0] for v in each["violations"]})
    alone = {
        kind: [
            each["serve_seconds"]
            for each in rounds
            if each["plan"]["kind"] == kind and not each["plan"]["also"] and each["serve_seconds"] is not None
        ]
        for kind in ("kill valkey", "kill postgres")
    }
    return {
        "rounds": len(rounds),
        "seeds": {seed: f"{min(n)} to {max(n)}, {len(n)} rounds" for seed, n in seeds.items()},
        "commits": dict(Counter(each["commit"] for each in rounds)),
        "answers": sum(sum(each["words"].values()) for each in rounds),
        "orders": sum(each["orders"] for each in rounds),
        "two_faults_at_once": sum(each["plan"]["also"] is not None for each in rounds),
        "rounds_with_a_broken_promise": {promise: broken[promise] for promise in PROMISES},
        "allowed": {
            "refused_by_the_ledger_after_memory_forgot": sum(each["refused_by_ledger"] for each in rounds),
            "told_unknown_of_a_hold_that_memory_forgot": sum(each["lost_holds"] for each in rounds),
            "told_a_refusal_while_an_earlier_attempt_of_the_key_was_under_way": sum(
                each["refused_then_sold"] for each in rounds
            ),
        },
        "serve_seconds_alone": {
            kind: {"median": statistics.median(values), "worst": max(values), "rounds": len(values)}
            for kind, values in alone.items()
            if values
        },
    }  # fmt: skip


def page(rounds: list[Round], sums: dict[str, Any]) -> str:
    broken = [each for each in rounds if each["violations"]]
    lines = [
        "# The fault campaign: what was run and what came of it",
        "",
        "`tests/campaign/report.py` writes this page from the results of the rounds. The top of",
        "`tests/campaign/checker.py` states exactly what is allowed. A seed repeats its plan:",
        "`make chaos SEED=… ROUNDS=…`. An earlier campaign of 1,203 rounds found two defects, both",
        "fixed before these rounds: a repeated restock that only memory had was answered as done, and",
        "a memory that fell back answered the release of a hold that was an order by then.",
        "",
        f"- {sums['rounds']:,} rounds, {sums['answers']:,} answers to clients, {sums['orders']:,} orders; in",
        f"  {sums['two_faults_at_once']} rounds a recorder or an api worker was killed at the same moment.",
        *(f"- seed `{seed}`: rounds {numbers}" for seed, numbers in sums["seeds"].items()),
        *(f"- commit `{commit}`: {count} rounds" for commit, count in sums["commits"].items()),
        f"- machine: {platform.machine()}, 2 cores, shared with other work and at low priority (`nice`), so",
        "  times to serve again are upper bounds.",
        "",
        "## Broken promises",
        "",
        "| promise | rounds |",
        "|---|--:|",
        *(f"| {promise} | {count} |" for promise, count in sums["rounds_with_a_broken_promise"].items()),
        "",
        *(
            f"- `{each['plan']['seed']}/{each['plan']['number']}` {each['plan']['kind']}, commit "
            f"`{each['commit']}`: {promise}: {what.splitlines()[-1][:160]}. {became(each)}"
            for each in broken
            for promise, what in each["violations"][:1]
        ),
        "",
        "Allowed, and counted:",
        "",
        *(f"- {what.replace('_', ' ')}: {count}" for what, count in sums["allowed"].items()),
        "",
        "## Serving again",
        "",
        "From the kill to the first later buy that was `confirmed`; rounds with one kill alone, under `up`:",
        "",
        "| killed with `kill -9` | rounds | median s | worst s |",
        "|---|--:|--:|--:|",
        *(
            f"| {kind.removeprefix('kill ')} | {v['rounds']} | {v['median']:.2f} | {v['worst']:.2f} |"
            for kind, v in sums["serve_seconds_alone"].items()
        ),
        "",
        "`flashguard up` restarts a part after 0.2 s, and later each time if it ends again within 30 s,",
        "as it often does here; that delay is part of these figures.",
        "",
        "## By fault",
        "",
        *table(rounds),
        "",
        GOODS,
        MIXED,
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--into", type=Path, required=True)
    given = parser.parse_args()
    rounds = read(given.results)
    sums = summary(rounds)
    (given.into / "fault-campaign.md").write_text(page(rounds, sums))
    brief = [
        [r["plan"]["seed"], r["plan"]["number"], r["plan"]["kind"], r["plan"]["also"], r["serve_seconds"],
         r["seconds"], r["orders"], [v[0] for v in r["violations"]], r["commit"]]
        for r in rounds
    ]  # fmt: skip
    names = ["seed", "number", "kind", "also", "serve_seconds", "seconds", "orders", "broken", "commit"]
    text = ",\n".join(json.dumps(each) for each in brief)
    head = f'{{"summary": {json.dumps(sums, indent=1)},\n"columns": {json.dumps(names)}'
    (given.into / "fault-campaign.json").write_text(f'{head},\n"rounds": [\n{text}\n]}}\n')


if __name__ == "__main__":
    main()
