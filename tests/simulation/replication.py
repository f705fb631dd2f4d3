"""What a promoted replica must have: the holds that were answered of a sale that demands `replicated`."""

from collections.abc import Iterable, Iterator

from tests.simulation.valkey import Valkey

HELD = b"\x01"
"""Where the record of a live hold begins."""


def lost_holds(old: Valkey, new: Valkey, answered: Iterable[str]) -> Iterator[str]:
    """Yield the holds that the old primary has and the new one lacks, of those that were answered.

    A partition that was lost and rebuilt between the copy and the promotion is left out: the ledger has its
    holds.
    """
    keys = {key.rpartition(b":")[2].decode(): key.decode() for key in old.ask("KEYS", "fg:*:reservations:*")}
    for id_ in answered:
        sale, _, short = id_.rpartition(".")
        key = keys.get(sale)
        if key is None:
            continue
        head = f"{':'.join(key.split(':')[:2])}:partition"
        heads = [server.ask("HMGET", head, "epoch", "fence") for server in (old, new)]
        record = old.ask("HGET", key, short)
        if heads[0] != heads[1] or heads[0][1] is not None or not record or not record.startswith(HELD):
            continue
        if new.ask("HGET", key, short) is None:
            yield id_
