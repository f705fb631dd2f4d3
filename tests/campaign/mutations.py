"""Seeded bugs: is each one caught? `python -m tests.campaign.mutations` puts one bug after another into a
copy of the code, and the campaign (at most 50 rounds of the named kinds) or a test must find it.
"""

import argparse
import sys
import time
from pathlib import Path

from tests.campaign.mutant import Mutation, play, run_with, source_with

ROUNDS_MOST = 50


OF_PAYMENTS = [
    Mutation(
        "a refund is written after the decision, not in its transaction",
        [
            (
                "ledger/migrations/0023_payments.sql",
                "PERFORM ask_refund(p_id, p.paid_minor - p.refunded_minor, p_why, p_seconds);\n    RETURN",
                "RETURN",
            ),
            (
                "ledger/queries/payments.sql",
                "-- name: begin_refund\n",
                "-- name: ask_late\nSELECT flashguard.ask_refund(id, paid_minor - refunded_minor, why, 0) "
                "FROM flashguard.payments WHERE id = $1;\n\n-- name: begin_refund\n",
            ),
            (
                "payments/settler.py",
                "        if state in (SHORT, UNDO):\n",
                '        if state == "refused":\n            await asyncio.sleep(3.0)\n            '
                'await self._book._connections.value("ask_late", row["id"])\n'
                "        if state in (SHORT, UNDO):\n",
            ),
        ],
        [],
        "tests/campaign/test_mixed_payments.py",
    ),
    Mutation(
        "a refund whose answer was lost is asked for under another id",
        [
            (
                "payments/settler.py",
                "id=refund_id(row), session",
                "id=f\"{refund_id(row)}.{row['attempts']}\", session",
            )
        ],
        [],
        "tests/campaign/test_mixed_payments.py",
    ),
    Mutation(
        "an event that says that a session ended is believed",
        [
            (
                "ledger/migrations/0023_payments.sql",
                "SET why = 'said-ended', due_at = clock_timestamp(), attempts = attempts + 1\n",
                "SET state = 'ended', due_at = NULL\n",
            )
        ],
        [],
        "tests/campaign/test_mixed_payments.py",
    ),
]

MUTATIONS = [
    Mutation(
        "a buy is answered before its commit",
        [
            (
                "engine/selling.py",
                "durable=newly_confirmed if basket.buy else newly",
                "durable=None if basket.buy else newly",
            )
        ],
        ["failover by hand", "older valkey copy"],
    ),
    Mutation(
        "the recorder announces a group before it commits it",
        [
            (
                "recorder/partition.py",
                "            if run:\n",
                "            if run:\n                self.position = end\n"
                "                await self._announce(run, ())\n",
            )
        ],
        [],
        "tests/properties/test_protocol.py",
    ),
    Mutation(
        "the journal is trimmed before the commit",
        [
            (
                "recorder/partition.py",
                "            if run:\n",
                "            if run:\n                await self._kernel._ask("
                '"XTRIM", keys.journal(self.partition), "MINID", f"{end.epoch}-{end.seq + 1}")\n',
            )
        ],
        ["recorder-postgres drop", "recorder-postgres cut", "two recorders"],
    ),
    Mutation(
        "the position moves without compare-and-set",
        [
            (
                "ledger/migrations/0014_record_groups.sql",
                "AND epoch = p_epoch AND seq = p_from_seq AND token = p_from_token",
                "",
            ),
            (
                "ledger/migrations/0014_record_groups.sql",
                " AND p.epoch = m.epoch AND p.seq = m.seq AND p.token = m.token",
                "",
            ),
        ],
        ["two recorders"],
    ),
    Mutation(
        "a release is not journalled",
        [
            (
                "kernel/scripts/lib/sales.lua",
                "note(start .. string_head(id) .. id .. packed_lines",
                "local _ = status == RELEASED or note(start .. string_head(id) .. id .. packed_lines",
            )
        ],
        ["kill api worker", "stop recorder"],
    ),
    Mutation(
        "the chain of tokens is not checked",
        [
            ("journal.py", " and self.previous == position.token", ""),
            ("recorder/rebuild.py", "if seq == position.seq and token != position.token:", "if False:"),
            ("recorder/rebuild.py", "if seq > position.seq and link != position.token:", "if False:"),
            ("kernel/scripts/announce.lua", "or fields[2] ~= token ", ""),
        ],
        [],
        "tests/properties/test_protocol.py",
    ),
    Mutation(
        "a fenced partition still decides",
        [("kernel/scripts/lib/partition.lua", "not RECORDED or FENCE or EPOCH", "not RECORDED or EPOCH")],
        [],
        "tests/properties/test_kernel_model.py",
    ),
    Mutation(
        "a caller takes answers from an epoch older than one it has seen",
        [("kernel/scripts/lib/partition.lua", " or EPOCH < FLOOR_EPOCH", "")],
        [],
        "tests/properties/test_protocol.py",
    ),
    Mutation(
        "a rebuild forgets what each customer has used of the limit",
        [("kernel/scripts/load.lua", "call('RENAME', from", "call(i == 1 and 'RENAME' or 'UNLINK', from")],
        ["flushall"],
    ),
    Mutation(
        "a rebuild forgets the keys of what has ended",
        [("kernel/scripts/load.lua", "call('RENAME', from", "call(i == 2 and 'RENAME' or 'UNLINK', from")],
        ["flushall", "older valkey copy"],
    ),
    Mutation(
        "expired holds are not reclaimed",
        [("recorder/expiry.py", "(partition, await kernel.sales(partition))", "(partition, [])")],
        ["stop valkey", "kill api worker"],
    ),
    Mutation(
        "a waiting buyer is told confirmed when the ledger is past the entry's id",
        [
            (
                "engine/commits.py",
                "status = DecisionStatus.LOST\n            else",
                "status = DecisionStatus.DECIDED\n            else",
            )
        ],
        ["failover by hand", "failover by sentinel", "flushall"],
    ),
    Mutation(
        "a pool is counted once for two lines that draw from it",
        [("kernel/scripts/lib/pools.lua", "(takes[place] or 0) + units", "units")],
        ["kill recorder", "stop api worker"],
    ),
    Mutation(
        "a line that names a location is taken at the first one",
        [("kernel/scripts/lib/locations.lua", "basket.take(sku, named_place, left)",
          "basket.take(sku, places[1], left)")],
        ["kill recorder", "stop api worker"],
    ),
    Mutation(
        "a rebuild forgets what a hold took from pools and locations",
        [("kernel/records.py", 'names = ("takes", "pick_up",', 'names = ("pick_up",')],
        ["flushall", "older valkey copy"],
    ),
    Mutation(
        "a rebuild counts no units for cards",
        [("ledger/migrations/0022_limits.sql", "WHERE identities ? by AND", "WHERE false AND")],
        ["flushall", "older valkey copy"],
    ),
    *OF_PAYMENTS,
    Mutation(
        "units that come back do not go to the waiting list",
        [("kernel/scripts/lib/batch.lua", "if sale.touched then serve_waiting(sale) end", "")],
        ["kill api worker", "stop recorder"],
    ),
    Mutation(
        "an offer is made whatever its customer holds",
        [("kernel/scripts/lib/offers.lua", "over_limit(sale, customer, quantity, true, counts)",
          "over_limit(sale, customer, quantity, false, counts)")],
        ["kill api worker", "stop recorder"],
    ),
    Mutation(
        "a cool-down does not count holds that were released",
        [("kernel/scripts/lib/sales.lua", "sale.history then count_expired_by(sale, customer, record.kept,",
          "sale.history and status == EXPIRED then count_expired_by(sale, customer, record.kept,")],
        ["kill api worker", "stop recorder"],
    ),
    Mutation(
        "a rebuild forgets what each customer holds",
        [("ledger/queries/loading.sql", "WHERE held > 0 OR expired_holds > 0", "WHERE false")],
        ["flushall"],
    ),
    Mutation(
        "a room admits as many as it has places, whatever its pace",
        [("kernel/scripts/lib/room.lua", "math.min(credit, rule.most", "math.min(rule.most")],
        [],
        "tests/campaign/test_mixed.py",
    ),
]  # fmt: skip


def catch(mutation: Mutation, seed: str) -> tuple[str, float]:
    """Return what caught it, in words, or '', and the seconds that it took."""
    if not mutation.test:
        caught = play(mutation, seed, ROUNDS_MOST)
        words = f"the campaign, within {caught.rounds} rounds: {caught.what[:140]}"
        return words if caught.what else "", caught.seconds
    started = time.monotonic()
    with source_with(mutation) as source:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", mutation.test]
        done = run_with(source, command)
    seconds = time.monotonic() - started
    if done.returncode == 0:
        return "", seconds
    lines = done.stdout.splitlines()
    return next((line for line in reversed(lines) if line.startswith("FAILED")), lines[-1])[:160], seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="mutants")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the mutations to try")
    parser.add_argument("--into", type=Path, help="write the table into this page")
    given = parser.parse_args()
    rows, missed = [], 0
    for number, mutation in enumerate(MUTATIONS, 1):
        if given.only and number not in given.only:
            continue
        by, seconds = catch(mutation, given.seed)
        missed += not by
        print(f"{number:>2} {mutation.name}: {by or 'NOT CAUGHT'} ({seconds:.0f} s)", flush=True)
        rows.append(f"| {number} | {mutation.name} | {by or '**not caught**'} | {seconds:.0f} |")
    if given.into:
        head = [
            "# Seeded bugs, and what catches them",
            "",
            "The checker itself is tested: `tests/campaign/mutations.py` puts one bug after another into a",
            "copy of the code and runs the fault campaign (at most 50 rounds, of the kinds named there) or a",
            "test. The last run of each (the [simulation](simulation.md#seeded-bugs) tries them too):",
            "",
            "| | bug | caught by | after s |",
            "|--:|---|---|--:|",
        ]
        given.into.write_text("\n".join([*head, *rows, ""]))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
