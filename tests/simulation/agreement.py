"""What memory counts of each customer, held against the ledger: a rebuild must forget none of it."""

from collections import Counter
from collections.abc import Iterator

from tests.campaign.checker import Violation
from tests.campaign.history import Ledger
from tests.campaign.holders import LET_GO, units_of
from tests.simulation.histories import hashes
from tests.simulation.valkey import Valkey


def differences(server: Valkey, sale: str, ledger: Ledger, *, keeps_history: bool) -> Iterator[Violation]:
    """Yield where memory's counts of a sale's customers are not those of the ledger, once all is quiet.

    Parameters:
        keeps_history: whether the sale has a rule that needs what each customer held and let go.
    """
    bought: Counter[str] = Counter()
    let_go: Counter[str] = Counter()
    for row in ledger.rows:
        bought[row.customer] += units_of(row.lines) if row.status == "confirmed" else 0
        let_go[row.customer] += row.status in LET_GO
    used = {name: int(value) for name, value in _counted(server, f"fg:{{*}}:used:{sale}")}
    yield from _unlike("used", used, bought)
    if keeps_history:
        lapsed: Counter[str] = Counter()
        held: Counter[str] = Counter()
        for name, value in _counted(server, f"fg:{{*}}:habits:{sale}"):
            held[name] += int(value.split()[0])
            lapsed[name] += int(value.split()[1])
        yield from _unlike("held", held, Counter())
        yield from _unlike("let go", lapsed, let_go)


def _counted(server: Valkey, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield the customers of a sale, of each of its shards, and what memory counts of them."""
    for fields in hashes(server, pattern, f"{pattern}~*").values():
        for name, value in fields.items():
            if name.decode().isprintable():  # no count of an item or a card
                yield name.decode(), value


def _unlike(what: str, memory: dict[str, int], ledger: Counter[str]) -> Iterator[Violation]:
    for name in sorted({*memory, *ledger}):
        if memory.get(name, 0) != ledger[name]:
            yield Violation(
                "miscounted", f"{name} {what}: memory {memory.get(name, 0)}, the ledger {ledger[name]}"
            )
