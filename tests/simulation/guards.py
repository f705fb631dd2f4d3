"""Guards: 25 single conditions of the kernel, the recorder and the decisions, each of which keeps a promise
of docs/explanation/guarantees.md. `python -m tests.simulation.mutants --guards` removes one after another;
with `--campaign` rounds of the fault campaign have to find it.

They were chosen from the code and the promises, before the simulation was run on any of them. A list that
only has what is found shows nothing: what is not found stays here, and says why.
"""

from typing import Final, NamedTuple

from tests.campaign.mutant import Mutation


class Guard(NamedTuple):
    """A condition, and what is promised by it."""

    name: str
    """What happens without it."""
    promise: str
    file: str
    old: str
    new: str
    unseen: str = ""
    """Why the simulation does not find it, in a clause; empty where it does."""
    rounds: tuple[str, ...] = ()
    """The kinds of the campaign's rounds to try it with."""

    @property
    def removal(self) -> Mutation:
        return Mutation(self.name, [(self.file, self.old, self.new)], list(self.rounds))


KERNEL: Final = [
    Guard(
        "a unit is given that is not free",
        "never oversold",
        "kernel/scripts/lib/availability.lua",
        "    if available < lines[2] then return lines[1], available end\n",
        "",
    ),
    Guard(
        "a restock takes units that are held or sold",
        "never oversold",
        "kernel/scripts/restock.lua",
        "if available + delta < 0 or item.stock + delta > most then",
        "if item.stock + delta > most then",
    ),
    Guard(
        "an amend takes what it likes",
        "an amend is one step",
        "kernel/scripts/amend.lua",
        "return no or shortage(sale, customer, added, more, live, counts)",
        "return no",
    ),
    Guard(
        "a receipt confirms units that are sold",
        "never two owners of one unit",
        "kernel/scripts/confirm.lua",
        "no = no or missing or shortage(sale, customer, lines, takes, false, counts)",
        "no = no or missing",
        rounds=("mixed: none", "mixed: kill valkey"),
    ),
    Guard(
        "the sale's limit is not looked at",
        "limits are exact",
        "kernel/scripts/lib/sales.lua",
        "if takes_more and config.limit > 0 and used_by(sale, customer) + units > config.limit then",
        "if false then",
    ),
    Guard(
        "a customer's hold budget is not looked at",
        "parallel requests can't exceed a hold budget",
        "kernel/scripts/lib/sales.lua",
        "if takes_more and history_of(sale, customer).held + units > most then",
        "if false then",
    ),
    Guard(
        "a key returns the first outcome to another basket",
        "one outcome per key",
        "kernel/scripts/reserve_stock.lua",
        "    if record.fingerprint ~= fingerprint then return {'idempotency-mismatch'} end\n",
        "",
    ),
    Guard(
        "a key extends a hold again and again",
        "one outcome per key",
        "kernel/scripts/extend.lua",
        "    if extensions[i] == key then\n",
        "    if false then\n",
    ),
    Guard(
        "a hold that was extended expires at its first end",
        "held is reserved until `expires_at`",
        "kernel/scripts/lib/sales.lua",
        " and record.expires_ms <= due[i].expires_ms then -- an extended",
        " then -- an extended",
        rounds=("kill recorder", "kill api worker"),
    ),
    Guard(
        "the open sale gets what is set aside",
        "the waiting list comes first",
        "kernel/scripts/lib/availability.lua",
        "    local available = free_units(item) - (item.set_aside or 0)\n    if available < lines[2]",
        "    local available = free_units(item)\n    if available < lines[2]",
        rounds=("mixed: none", "mixed: kill valkey"),
    ),
    Guard(
        "an order is changed by what it was before its last amend",
        "an amend is one step",
        "kernel/scripts/lib/orders.lua",
        "  if revision_of(record) ~= order.revision then return {'amended-since', unrecorded(record)} end\n",
        "",
    ),
    Guard(
        "what is cancelled is cancelled again",
        "an order is cancelled once",
        "kernel/scripts/lib/orders.lua",
        "if record.status ~= CONFIRMED or not order then",
        "if not order then",
    ),
    Guard(
        "a buyer need not be admitted",
        "no buyer gets past the room",
        "kernel/scripts/reserve_stock.lua",
        "    if host ~= room.of or NOW >= until_ms then return {'queue-required'} end\n",
        "",
    ),
    Guard(
        "a page is loaded under another rebuild's fence",
        "no operator is needed",
        "kernel/scripts/load.lua",
        "elseif FENCE ~= FENCE_OF_BUILDER then",
        "elseif false then",
    ),
    Guard(
        "a deleted key of reservations is not missed",
        "no operator is needed",
        "kernel/scripts/verify.lua",
        "  if redis.call('HEXISTS', sale.reservations_key, '') == 0 then return 'its reservations' end\n",
        "",
        rounds=("mixed: key lost: reservations",),
    ),
]
RECORDER: Final = [
    Guard(
        "a memory of an older epoch is sound",
        "never oversold",
        "recorder/rebuild.py",
        "    if epoch < position.epoch:\n",
        "    if False:\n",
    ),
    Guard(
        "a ledger that fell back is not noticed while nothing is sold",
        "`confirmed` is committed",
        "recorder/partition.py",
        "if ours is not None and (ledgers.epoch, ledgers.seq) < (ours.epoch, ours.seq):",
        "if False:",
    ),
    Guard(
        "rare changes are written although the position has moved",
        "an amend is one step, an order is cancelled once",
        "recorder/write.py",
        "            if not applied:\n                raise _NotApplied\n"
        "            await recording.write_rare_events",
        "            await recording.write_rare_events",
    ),
    Guard(
        "units arrive before their departure is committed",
        "a spread sale is one sale",
        "recorder/transfers.py",
        "            if not await self._recorded(donor, transfer_keys(id_)[0]):\n"
        "                return False\n",
        "",
        rounds=("two recorders, flushall",),
    ),
    Guard(
        "a group is noted as recorded that the ledger refused in part",
        "one outcome per key",
        "recorder/partition.py",
        "note = not refused and (now",
        "note = (now",
        unseen="the ledger must refuse a part of a group, whose keys are used again at once",
        rounds=("mixed: key lost: reservations",),
    ),
]
DECISIONS: Final = [
    Guard(
        "what the ledger refused is answered as granted",
        "`confirmed` is committed",
        "engine/commits.py",
        "status = DecisionStatus.REFUSED_BY_LEDGER if refused else DecisionStatus.DECIDED",
        "status = DecisionStatus.DECIDED",
        rounds=("mixed: key lost: reservations",),
    ),
    Guard(
        "memory's mark of what is recorded counts, whose entry it may be",
        "`confirmed` is committed",
        "engine/commits.py",
        "return bool(entries) and (entries[0].seq, entries[0].token) == (reply.seq, token)",
        "return bool(entries)",
        unseen="an announcement must get lost while another history has an entry of the same id",
        rounds=("failover by hand",),
    ),
    Guard(
        "the ledger's order is taken for this one, of another basket",
        "one outcome per key",
        "engine/selling.py",
        "return found.fingerprint == self.body and (is_order or not self.basket.buy)",
        "return is_order or not self.basket.buy",
        unseen="a lost memory must grant a used key for another basket, and the announcement get lost",
        rounds=("mixed: key lost: reservations, unheard",),
    ),
    Guard(
        "a buy that is repeated is answered before its commit",
        "`confirmed` is committed",
        "engine/selling.py",
        "in_ledger = not (result.replayed and (result.seq or result.prices))",
        "in_ledger = not (result.replayed and result.prices)",
    ),
    Guard(
        "a hold is answered before its replicas have it",
        "what a hold has reached before it is answered",
        "engine/durability.py",
        "return local >= 1 and reached >= copies",
        "return local >= 1",
        rounds=("failover by our own Sentinel client",),
    ),
]
GUARDS: Final = [*KERNEL, *RECORDER, *DECISIONS]
