"""What must be true at every moment of a run, not only in its end."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from tests.campaign.checker import Violation
from tests.campaign.history import Told
from tests.simulation.replication import lost_holds
from tests.simulation.turns import Turns
from tests.simulation.valkey import Valkey
from tests.simulation.virtual import START_SECONDS

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

POSITIONS: Final = "SELECT partition, epoch, seq FROM flashguard.partitions ORDER BY 1"
STATUS: Final = "SELECT status FROM flashguard.reservations WHERE sale_id = '{}' AND id = '{}'"
RESTOCK: Final = """
SELECT key FROM flashguard.restocks WHERE split_part(sale_id, '~', 1) = '{}' AND key = 'restock:{}'
"""
EARLY: Final = """
SELECT sale_id, id, flashguard.to_millis(ended_at) FROM flashguard.reservations
WHERE status = 'expired' AND flashguard.to_millis(ended_at) > {} ORDER BY 1, 2 LIMIT 1
"""
CLOCKS_MS: Final = 250
"""Between two servers of memory, of which the second one is promoted."""
RESTOCKED: Final = "restocked"
COMMITTED: Final = {
    "confirmed": ("confirmed", "cancelled"),
    "released": ("released",),
    "cancelled": ("cancelled",),
}
"""What the ledger has, by the answer that promises it."""


class Invariants:
    """Looks at memory and the ledger in the middle of a run, without taking part in it."""

    def __init__(self, shop: "Shop", note: Callable[[Violation], None]) -> None:
        self._shop, self._note = shop, note
        self._positions: dict[str, tuple[int, int]] = {}
        shop.primary.turns = shop.replica.turns = Turns(note)
        self.ledger_went_back = False
        """Whether the ledger has lost commits: it has them again once the journal's tail is recorded."""

    def check(self) -> None:
        """Check that memory has promised no unit twice, that no hold has expired before its end, and that no
        position has gone back."""
        own, now_ms = self._shop.servers.backends.own, round((START_SECONDS + self._shop.world.now) * 1000)
        now_ms += CLOCKS_MS if self._shop.memory_forgets else 5
        for sale, id_, ends_ms in own.query(EARLY.format(now_ms)):
            what = f"{sale}.{id_} has expired at {now_ms}, it was held until {ends_ms}"
            self._note(Violation("lost hold", what))
        for what in self._oversold():
            self._note(Violation("oversold", what))
        for what in self._over_budget():
            self._note(Violation("hold budget exceeded", what))
        for what in self._over_limit():
            self._note(Violation("limit exceeded", what))
        for partition, epoch, seq in self._shop.servers.backends.own.query(POSITIONS):
            now = int(epoch or 0), int(seq or 0)
            before = self._positions.get(str(partition), (0, 0))
            self._positions[str(partition)] = now
            if now < before and not self.ledger_went_back:
                self._note(
                    Violation("the position went back", f"partition {partition}: {before}, then {now}")
                )

    def _oversold(self) -> Iterator[str]:
        server = self._shop.primary
        for key in sorted(server.ask("KEYS", "fg:*:sale:*")):
            flat = server.ask("HGETALL", key)
            for name, value in zip(flat[::2], flat[1::2], strict=True):
                if not name.startswith(b"item:"):
                    continue
                stock, held, sold, set_aside = map(int, [*value.split()[:4], 0][:4])
                if min(held, sold, stock - held - sold - set_aside) < 0:
                    yield f"{key.decode()} has {name.decode()} {value.decode()}"

    def _over_budget(self) -> Iterator[str]:
        """Yield the customers of the second sale who hold too much, by memory's own count."""
        most = self._shop.crowd.sale.rules.max_held_per_customer
        if most is None or self._shop.memory_forgets:
            return
        server = self._shop.primary
        for key in sorted(server.ask("KEYS", f"fg:*:habits:{self._shop.crowd.sale.id}*")):
            flat = server.ask("HGETALL", key)
            for name, value in zip(flat[::2], flat[1::2], strict=True):
                if int(value.split()[0]) > most:
                    yield f"{name.decode()} holds {value.decode()} of at most {most}"

    def _over_limit(self) -> Iterator[str]:
        """Yield the customers who hold and have bought too much of a sale whose limit never changes."""
        shop = self._shop
        if shop.memory_forgets or self.ledger_went_back:
            return
        server = shop.primary
        for sale, most in (("sale", shop.plan.limit), (shop.crowd.sale.id, shop.crowd.limit)):
            if most is None:
                continue
            for key in sorted(server.ask("KEYS", f"fg:*:used:{sale}*")):
                flat = server.ask("HGETALL", key)
                for name, value in zip(flat[::2], flat[1::2], strict=True):
                    if name.decode().isprintable() and int(value) > most:  # no count of an item or a card
                        yield f"{name.decode()} has {value.decode()} of at most {most} of {sale}"

    def promoted(self, old: Valkey, new: Valkey) -> None:
        """Check that a promoted replica has the holds that had to reach it before they were answered."""
        for id_ in lost_holds(old, new, self._shop.crowd.replicated):
            self._note(Violation("lost hold", f"{id_} was answered, and the promoted replica lacks it"))

    def answered(self, told: Told) -> None:
        """Check at the moment of an answer that the ledger has what it promises."""
        id_ = (
            f"{self._shop.history.sale}.{told.ask.key}"
            if told.word == RESTOCKED
            else told.id or told.ask.about
        )
        self.promised(id_, told.word)

    def promised(self, id_: str, word: str) -> None:
        """Check that the ledger has what was answered about a reservation, or a key that restocked."""
        promised = COMMITTED.get(word)
        if (promised is None and word != RESTOCKED) or self.ledger_went_back:
            return
        sale, _, short = id_.rpartition(".")
        query = RESTOCK if word == RESTOCKED else STATUS
        rows = self._shop.servers.backends.own.query(query.format(sale, short))
        if not rows or rows[0][0] not in (promised or (f"restock:{short}",)):
            self._note(Violation("answered before its commit", f"{id_} {word}: the ledger has {rows}"))
