"""What must be true at every moment of a run, not only in its end."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from flashguard.model import Durability
from tests.campaign.checker import Violation
from tests.campaign.history import Told
from tests.simulation.histories import Place, continues, hashes, judge_call
from tests.simulation.progress import Progress
from tests.simulation.replication import lost_holds
from tests.simulation.turns import Turns
from tests.simulation.valkey import Valkey
from tests.simulation.virtual import START_SECONDS

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

POSITIONS: Final = "SELECT partition, epoch, seq, token FROM flashguard.partitions ORDER BY 1"
STATUS: Final = "SELECT status FROM flashguard.reservations WHERE sale_id = '{}' AND id = '{}'"
RESTOCK: Final = """
SELECT key FROM flashguard.restocks WHERE split_part(sale_id, '~', 1) = '{}' AND key = 'restock:{}'
"""
EARLY: Final = """
SELECT sale_id, id, flashguard.to_millis(ended_at) FROM flashguard.reservations
WHERE status = 'expired' AND flashguard.to_millis(ended_at) > {} ORDER BY 1, 2 LIMIT 1"""
EARLY_FIELDS: Final = 3
CLOCKS_MS: Final = 250
"""Between two servers of memory, of which the second one is promoted."""
RESTOCKED: Final = "restocked"
HOLD: Final = "hold"
"""A request to hold is answered: an offer of the waiting list, or an extension, waits for no replica."""
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
        self._positions: dict[int, Place] = {}
        self._hashes: dict[str, dict[bytes, bytes]] = {}
        for server in (shop.primary, shop.replica):
            server.judge = partial(judge_call, note, server)
        shop.primary.turns = shop.replica.turns = Turns(note, self._is_in_order)
        self.progress = Progress(shop)
        self._replicated: dict[str, None] = {}
        """The holds that were answered, in this order, of sales that demand a replica."""
        self.ledger_went_back = False
        """Whether the ledger has lost commits: it has them again once the journal's tail is recorded."""

    def check(self) -> None:
        """Check that memory has promised no unit twice, that no hold has expired before its end, and that no
        position has gone back."""
        own, now_ms = self._shop.servers.backends.own, round((START_SECONDS + self._shop.world.now) * 1000)
        now_ms += CLOCKS_MS if self._shop.memory_forgets else 5
        rows = own.query(f"{EARLY.format(now_ms)};{POSITIONS}")
        for sale, id_, ends_ms in [row for row in rows if len(row) == EARLY_FIELDS]:
            what = f"{sale}.{id_} has expired at {now_ms}, it was held until {ends_ms}"
            self._note(Violation("lost hold", what))
        for row in [row for row in rows if len(row) > EARLY_FIELDS]:
            self._check_position(*row)
        self._hashes = hashes(
            self._shop.primary, "fg:*:sale:*", "fg:*:used:*", "fg:*:habits:*", "fg:*:partition"
        )
        positions = ((number, *place[:2]) for number, place in self._positions.items())
        for what in self.progress.judge(positions, self._hashes):
            self._note(Violation("no progress", what))
        if self._shop.gate.size:
            now, skew = self._shop.world.now, self._shop.primary.skew_seconds
            self._shop.gate.sample(self._shop.primary, now, (START_SECONDS + now + skew) * 1000)
        for what in self._oversold():
            self._note(Violation("oversold", what))
        for what in self._over_budget():
            self._note(Violation("hold budget exceeded", what))
        for what in self._over_limit():
            self._note(Violation("limit exceeded", what))

    def _check_position(
        self, number: str | None, epoch: str | None, seq: str | None, token: str | None
    ) -> None:
        partition, now = int(number or 0), (int(epoch or 0), int(seq or 0), str(token))
        before = self._positions.get(partition, (0, 0, ""))
        self._positions[partition] = now
        what = f"partition {partition}: {before}, then {now}"
        if now[:2] < before[:2] and not self.ledger_went_back:
            self._note(Violation("the position went back", what))
        if now[:2] > before[:2] and not continues(self._shop.primary, partition, before, now):
            self._note(Violation("two histories", what))

    def _of(self, kind: str, sale: str = "") -> Iterator[tuple[str, bytes, bytes]]:
        """Yield the fields of these hashes: the key, the field and its value."""
        for key, fields in self._hashes.items():
            if key.split(":", 2)[2].startswith(f"{kind}:{sale}"):
                for name, value in fields.items():
                    yield key, name, value

    def _oversold(self) -> Iterator[str]:
        for key, name, value in self._of("sale"):
            if not name.startswith(b"item:"):
                continue
            stock, held, sold, set_aside = (int(each) for each in [*value.split()[:4], b"0"][:4])
            if min(held, sold, stock - held - sold - set_aside) < 0:
                yield f"{key} has {name.decode()} {value.decode()}"

    def _over_budget(self) -> Iterator[str]:
        """Yield the customers of the second sale who hold too much, by memory's own count."""
        most = self._shop.crowd.sale.rules.max_held_per_customer
        if most is None or self._shop.memory_forgets:
            return
        for _, name, value in self._of("habits", self._shop.crowd.sale.id or ""):
            if int(value.split()[0]) > most:
                yield f"{name.decode()} holds {value.decode()} of at most {most}"

    def _over_limit(self) -> Iterator[str]:
        """Yield the customers who hold and have bought too much of a sale whose limit never changes."""
        shop = self._shop
        if shop.memory_forgets or self.ledger_went_back:
            return
        for sale, most in (("sale", shop.plan.limit), (shop.crowd.sale.id or "", shop.crowd.limit)):
            for _, name, value in self._of("used", sale) if most is not None else ():
                if name.decode().isprintable() and int(value) > (most or 0):  # no count of an item or a card
                    yield f"{name.decode()} has {value.decode()} of at most {most} of {sale}"

    def promoted(self, old: Valkey, new: Valkey) -> None:
        """Check that a promoted replica has the holds that had to reach it before they were answered."""
        for id_ in lost_holds(old, new, self._replicated):
            self._note(Violation("lost hold", f"{id_} was answered, and the promoted replica lacks it"))

    def _is_in_order(self, name: str) -> bool:
        sales = (self._shop.sale, self._shop.crowd.sale)
        return any(sale.id == name and sale.spread == 1 for sale in sales)

    def _demands_replicas(self, name: str) -> bool:
        sales = (self._shop.sale, self._shop.crowd.sale)
        return any(sale.id == name and sale.hold_durability is Durability.REPLICATED for sale in sales)

    def answered(self, told: Told) -> None:
        """Check at the moment of an answer that the ledger has what it promises."""
        id_ = (
            f"{self._shop.history.sale}.{told.ask.key}"
            if told.word == RESTOCKED
            else told.id or told.ask.about
        )
        self.promised(id_, HOLD if (told.ask.verb, told.word) == ("hold", "held") else told.word)

    def is_order(self, id_: str) -> bool:
        """Return whether the ledger has this reservation as an order, and will not lose it."""
        sale, _, short = id_.rpartition(".")
        rows = self._shop.servers.backends.own.query(STATUS.format(sale, short))
        return rows == [["confirmed"]] and not self.ledger_went_back

    def promised(self, id_: str, word: str) -> None:
        """Check that the ledger has what was answered about a reservation, or a key that restocked.

        Note a hold that a replica must have.
        """
        if word == HOLD and self._demands_replicas(id_.partition(".")[0].partition("~")[0]):
            self._replicated[id_] = None
        promised = COMMITTED.get(word)
        if (promised is None and word != RESTOCKED) or self.ledger_went_back:
            return
        sale, _, short = id_.rpartition(".")
        query = RESTOCK if word == RESTOCKED else STATUS
        rows = self._shop.servers.backends.own.query(query.format(sale, short))
        if not rows or rows[0][0] not in (promised or (f"restock:{short}",)):
            self._note(Violation("answered before its commit", f"{id_} {word}: the ledger has {rows}"))
