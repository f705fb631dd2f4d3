"""Bugs that only the simulation is asked to find: ten in newer code, and two that only chance had found
before: a round of the campaign with a second fault at the right moment, and one sequence of very
many.
"""

from typing import Final

from tests.campaign.mutant import Mutation

NEW: Final = [
    Mutation(
        "an amend of an order moves units of holds",
        [("kernel/scripts/amend.lua", "move(sale, changes, live and 'held' or 'sold', 1)",
          "move(sale, changes, 'held', 1)")],
        [],
    ),
    Mutation(
        "a rebuild forgets the keys of amends",
        [("recorder/load.py", "amend_records(self._sale_id, await self._rows.amendments())", "[]")],
        [],
    ),
    Mutation(
        "a shared transaction answers for groups that it did not write",
        [("recorder/together.py", "in groups.items() if applied else ()", "in groups.items()")],
        [],
    ),
    Mutation(
        "a transfer that arrives twice counts twice",
        [("kernel/scripts/restock.lua", "  if record then\n",
          "  if record and not (is_transfer(key) and delta > 0) then\n")],
        [],
    ),
    Mutation(
        "a rebuild does not record the journal's tail first",
        [("recorder/rebuild.py", "    await drain(await ledger.positions.get(partition))\n", "")],
        [],
    ),
    Mutation(
        "the journal is trimmed up to the position",
        [("recorder/partition.py", "self._at().seq - self._settings.journal_tail_entries", "self._at().seq")],
        [],
    ),
    Mutation(
        "a rebuild loads no deadlines",
        [("kernel/scripts/load.lua", "  call('ZADD', DEADLINES_KEY, DEADLINES)\n", "")],
        [],
    ),
    Mutation(
        "a hold that expires still counts for the limits",
        [("kernel/scripts/lib/sales.lua", "    count_used(sale, customer, lines, record.kept, -1)\n",
          "    if status ~= EXPIRED then count_used(sale, customer, lines, record.kept, -1) end\n")],
        [],
    ),
    Mutation(
        "what the ledger refuses leaves no doubt in it",
        [("recorder/write.py", "    await doubt(connection, partition)\n", "    _ = doubt\n"),
         ("recorder/partition.py", "                if refused:\n", "                if False:\n")],
        [],
    ),
    Mutation(
        "what an amend adds does not count for the limit",
        [("kernel/scripts/amend.lua",
          "    count_units(sale, customer, units_of(lines) - units_of(before.lines), live)\n", "")],
        [],
    ),
]  # fmt: skip
BY_CHANCE: Final = [
    Mutation(
        "an offer to the waiting list goes beyond the limit",
        [
            ("kernel/scripts/lib/offers.lua", "if config.limit > 0 and used_by(", "if false and used_by("),
            ("kernel/scripts/lib/offers.lua", "if over_limit(sale, customer, quantity, true, counts) then",
             "if false then"),
        ],
        [],
    ),
    Mutation(
        "a memory that fell back tells a shop to refund an order",
        [("engine/late_confirm.py", "found is not None and found.status is ReservationStatus.CONFIRMED",
          "found is None and refused is None")],
        [],
    ),
]  # fmt: skip
MORE: Final = [*NEW, *BY_CHANCE]
