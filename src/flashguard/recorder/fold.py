"""Folds a run of journal entries into one group for the ledger: each reservation once, in its last state.

What comes after an amend goes into a further group of the same transaction: each event then has the basket of
its time, and they come in order. So does a grant, or a late confirm, of an id that the group has already: the
ledger has to judge it.
"""

from collections.abc import Iterable, Sequence
from typing import assert_never

import msgspec
from msgspec import Struct, field

from flashguard.journal import (
    Amend,
    Buy,
    Cancel,
    Confirm,
    Create,
    Delete,
    Describe,
    Details,
    Entry,
    Expire,
    Extend,
    Hold,
    ItemChange,
    Items,
    Join,
    LateConfirm,
    Leave,
    Lines,
    Rebuilt,
    Release,
    Restock,
    SaleChange,
    Transition,
    takes_of,
)

_ENDS = {Confirm: "confirmed", Release: "released", Expire: "expired"}
_json = msgspec.json.Encoder().encode


class New(Struct, omit_defaults=True):
    """A reservation that the ledger does not have yet."""

    sale: str
    id: str
    customer: str
    status: str
    lines: Lines
    fingerprint: int
    created_ms: int
    hold_ms: int
    expires_ms: int = 0
    ended_ms: int = 0
    extensions: list[int] | None = None
    details: Details | None = None


class Changed(Struct, omit_defaults=True):
    """A live hold of the ledger in its new state; a field that has its default is unchanged."""

    sale: str
    id: str
    status: str
    expires_ms: int = 0
    ended_ms: int = 0
    extensions: list[int] | None = None


class Moved(Struct):
    """An item's counters: the sums of the group, and memory's own counters after it."""

    sale: str
    sku: str
    stock: int = 0
    held: int = 0
    sold: int = 0
    memory_stock: int = 0
    memory_held: int = 0
    memory_sold: int = 0


class Group(Struct):
    """What one transaction of the recorder applies."""

    new: dict[tuple[str, str], New] = field(default_factory=dict)
    changed: dict[tuple[str, str], Changed] = field(default_factory=dict)
    items: dict[tuple[str, str], Moved] = field(default_factory=dict)
    late_confirms: dict[tuple[str, str], LateConfirm] = field(default_factory=dict)
    amends: dict[tuple[str, str], Amend] = field(default_factory=dict)
    cancels: dict[tuple[str, str], Cancel] = field(default_factory=dict)
    restocks: list[Restock] = field(default_factory=list)
    sale_changes: dict[str, SaleChange] = field(default_factory=dict)
    turns: list[SaleChange] = field(default_factory=list)
    """Every change of a sale, including those that a later one of the group replaced: each is an event."""
    keyed_changes: list[SaleChange | ItemChange] = field(default_factory=list)
    creations: dict[str, Create] = field(default_factory=dict)
    descriptions: dict[str, Describe] = field(default_factory=dict)
    item_lists: dict[str, Items] = field(default_factory=dict)
    item_changes: list[ItemChange] = field(default_factory=list)
    deletions: dict[str, Delete] = field(default_factory=dict)
    joins: dict[tuple[str, str], Join] = field(default_factory=dict)
    leaves: dict[tuple[str, str], Leave] = field(default_factory=dict)

    def add(self, transition: Transition) -> None:
        """Add the next transition of the journal."""
        match transition:
            case Buy(sale, id_, lines, at_ms, fingerprint, customer, _, details):
                self.new[sale, id_] = New(
                    sale, id_, customer, "confirmed", lines, fingerprint, at_ms, 0, 0, at_ms, details=details
                )
                self._move(sale, details.get("takes", lines) if details else lines, sold=1)
            case Hold(sale, id_, lines, at_ms, fingerprint, customer, hold_ms, details):
                self.new[sale, id_] = New(
                    sale, id_, customer, "held", lines, fingerprint, at_ms, hold_ms, at_ms + hold_ms,
                    details=details,
                )  # fmt: skip
                self._move(sale, details.get("takes", lines) if details else lines, held=1)
            case Confirm(sale, id_, _, at_ms) | Release(sale, id_, _, at_ms) | Expire(sale, id_, _, at_ms):
                row = self._row(sale, id_)
                row.status = _ENDS[type(transition)]
                row.ended_ms = at_ms
                self._move(sale, takes_of(transition), held=-1, sold=int(row.status == "confirmed"))
            case LateConfirm(sale, id_):
                self.late_confirms[sale, id_] = transition
                self._move(sale, takes_of(transition), sold=1)
            case Amend(sale, id_, moves=moves):
                self.amends[sale, id_] = transition
                self._move(sale, moves, held=0 if transition.is_order else 1, sold=int(transition.is_order))
                if not transition.restock:
                    self._move(sale, fewer(moves), stock=1)
            case Cancel(sale, id_, _, _, restock):
                self.cancels[sale, id_] = transition  # also where it became an order in this very group
                self._move(sale, takes_of(transition), sold=-1, stock=0 if restock else -1)
            case Extend(sale, id_, _, _, key, _, expires_ms):
                row = self._row(sale, id_)
                row.expires_ms = expires_ms
                row.extensions = [*(row.extensions or ()), key, expires_ms]
            case Restock(sale, _, lines):
                self.restocks.append(transition)
                self._item(sale, lines[0]).stock += lines[1]
            case SaleChange(sale):
                self.sale_changes[sale] = transition
                self.turns.append(transition)
                if transition.key:
                    self.keyed_changes.append(transition)
            case Create(sale):
                self.creations.setdefault(sale, transition)
            case Describe(sale):
                earlier = self.descriptions.get(sale, transition)
                self.descriptions[sale] = msgspec.structs.replace(
                    transition, name=transition.name or earlier.name, room=transition.room or earlier.room,
                    seed=transition.seed or earlier.seed,
                )  # fmt: skip
            case Items(sale):
                self.item_lists[sale] = transition
            case ItemChange():
                self.item_changes.append(transition)
                if transition.key:
                    self.keyed_changes.append(transition)
            case Delete(sale):
                self.deletions[sale] = transition
            case Join(sale, id_):
                self.joins[sale, id_] = transition
            case Leave(sale, id_):
                self.leaves[sale, id_] = transition
            case Rebuilt():
                pass
            case _:
                assert_never(transition)

    def is_over(self, transition: Transition) -> bool:
        """Return whether this transition must come into a further group."""
        key = (transition.sale, getattr(transition, "id", ""))
        again = key in self.new and isinstance(transition, Hold | Buy)  # the ledger has to refuse it
        late = isinstance(transition, LateConfirm) and (
            key in self.new or key in self.changed or key in self.late_confirms
        )  # the ledger has to see whether the hold expired: memory may have lost it
        return again or late or key in self.amends

    def note_memory(self, entry: Entry) -> None:
        """Keep memory's own counters after the entry, to compare them with the ledger's."""
        for counters in entry.body.counters:
            item = self._item(counters.sale, counters.sku)
            item.memory_stock, item.memory_held = counters.stock, counters.held
            item.memory_sold = counters.sold

    def _row(self, sale: str, id_: str) -> New | Changed:
        row = self.new.get((sale, id_))
        if row is not None:
            return row
        return self.changed.setdefault((sale, id_), Changed(sale, id_, "held"))

    def _item(self, sale: str, sku: str) -> Moved:
        item = self.items.get((sale, sku))
        if item is None:
            item = self.items[sale, sku] = Moved(sale, sku)
        return item

    def _move(self, sale: str, takes: Lines, held: int = 0, sold: int = 0, stock: int = 0) -> None:
        for at in range(0, len(takes), 2):
            item = self._item(sale, takes[at])
            item.stock += stock * takes[at + 1]
            item.held += held * takes[at + 1]
            item.sold += sold * takes[at + 1]

    def key_arguments(self) -> tuple[list[object], ...]:
        """Return the keys under which sales were changed, as the columns of `record_change_keys`."""
        keyed = self.keyed_changes
        return (
            [c.sale for c in keyed], [c.key for c in keyed], [c.verb for c in keyed],
            [c.status for c in keyed], [c.at_ms for c in keyed],
        )  # fmt: skip

    def waiting_arguments(self) -> tuple[tuple[list[object], ...], tuple[list[object], ...]]:
        """Return waiting list entries that joined and left, in columns: `record_joins`, `record_leaves`."""
        joins, left = self.joins.values(), self.leaves.values()
        began: tuple[list[object], ...] = (
            [j.sale for j in joins], [j.id for j in joins], [j.place for j in joins],
            [j.customer for j in joins], [j.lines[0] for j in joins], [j.lines[1] for j in joins],
            [j.fingerprint for j in joins], [j.at_ms for j in joins], [j.admitted for j in joins],
            [_json(j.identities).decode() if j.identities else None for j in joins],
        )  # fmt: skip
        ended: tuple[list[object], ...] = (
            [e.sale for e in left], [e.id for e in left], [e.state for e in left], [e.at_ms for e in left],
        )  # fmt: skip
        return began, ended

    def rule_arguments(self) -> tuple[list[object], ...]:
        """Return the rules of the sales that changed, as the columns of `record_sale_rules`."""
        changes = self.sale_changes.values()
        return [c.sale for c in changes], [_json(c.rules).decode() for c in changes]

    def creations_argument(self) -> str:
        """Return the sales that entered memory, as the JSON of `restore_sales`."""
        return f"[{','.join(created.definition for created in self.creations.values())}]"

    def description_arguments(self) -> tuple[list[object], ...]:
        """Return names and waiting rooms that changed, as the columns of `describe_sales`."""
        changed = self.descriptions.values()
        return (
            [d.sale for d in changed], [d.name for d in changed], [d.room for d in changed],
            [d.seed or "" for d in changed],
        )  # fmt: skip

    @property
    def sales_to_find(self) -> set[str]:
        """Return the sales that the group changes without a counter: no statement notices an unknown one."""
        named = {*self.sale_changes, *self.descriptions, *(change.sale for change in self.item_changes)}
        return {*named, *(sale for sale, _ in self.joins)}

    def rare_arguments(self) -> tuple[str, str, str] | None:
        """Return what is rare in a group, as the JSON of `record_changes`; None when it has nothing rare."""
        rare = (
            self.restocks, self.sale_changes, self.late_confirms, self.amends, self.cancels, self.joins,
            self.leaves, self.creations, self.descriptions, self.item_lists, self.item_changes,
            self.deletions,
        )  # fmt: skip
        if not any(rare):
            return None
        restocks = [
            {
                "sale": r.sale, "key": r.key, "sku": r.lines[0], "delta": r.lines[1], "reason": r.reason,
                "fingerprint": r.fingerprint, "stock": r.stock, "held": r.held, "sold": r.sold,
                "at_ms": r.at_ms,
            }
            for r in self.restocks
        ]  # fmt: skip
        changes = [
            {
                "sale": c.sale, "status": c.status, "starts_ms": c.starts_ms, "ends_ms": c.ends_ms,
                "hold_ms": c.hold_ms, "max_hold_ms": c.max_hold_ms, "limit": c.limit,
                "durability": c.durability, "at_ms": c.at_ms,
            }
            for c in self.sale_changes.values()
        ]  # fmt: skip
        late_confirms = [
            {
                "sale": h.sale, "id": h.id, "customer": h.customer, "lines": h.lines,
                "fingerprint": h.fingerprint, "created_ms": h.created_ms, "hold_ms": h.hold_ms,
                "at_ms": h.at_ms, "details": h.details,
            }
            for h in self.late_confirms.values()
        ]  # fmt: skip
        return _json(restocks).decode(), _json(changes).decode(), _json(late_confirms).decode()

    def amends_argument(self) -> str:
        """Return the amended reservations, as the JSON of `record_amends`."""
        return _json([msgspec.structs.asdict(amend) for amend in self.amends.values()]).decode()

    def item_changes_argument(self) -> str:
        """Return the changes of items, in order, as the JSON of `change_items`."""
        rows = [msgspec.structs.asdict(c) | {"row": msgspec.Raw(c.row.encode())} for c in self.item_changes]
        return _json(rows).decode()

    def cancels_argument(self) -> str:
        """Return the cancelled orders, as the JSON of `record_cancels`."""
        return _json(
            [
                {
                    "sale": c.sale, "id": c.id, "at_ms": c.at_ms, "restock": c.restock, "reason": c.reason,
                    "key": c.key, "body": c.body,
                }
                for c in self.cancels.values()
            ]
        ).decode()  # fmt: skip

    def turns_argument(self) -> str:
        """Return every change of a sale, in order, as the JSON of `write_rare_events`."""
        return _json([{"sale": c.sale, "status": c.status, "at_ms": c.at_ms} for c in self.turns]).decode()


def arguments_of(groups: Sequence[Group]) -> tuple[str, str, str]:
    """Return the groups' new reservations, changed ones and items, each as the JSON of `apply_rows`."""
    return (
        _json([row for group in groups for row in group.new.values()]).decode(),
        _json([row for group in groups for row in group.changed.values()]).decode(),
        _json([row for group in groups for row in group.items.values()]).decode(),
    )


def fewer(moves: Lines) -> Lines:
    """Return the negative ones of signed lines."""
    return [value for at in range(0, len(moves), 2) if moves[at + 1] < 0 for value in moves[at : at + 2]]


def groups_of(transitions: Iterable[Transition]) -> list[Group]:
    """Return the groups of these transitions, in order; the first moves the counters of all."""
    group = first = Group()
    groups = [first]
    for transition in transitions:
        if group.is_over(transition):
            group = Group(items=first.items)
            groups.append(group)
        group.add(transition)
    for group in groups[1:]:
        group.items = {}
    return groups


def fold(entries: Sequence[Entry]) -> list[Group]:
    """Return the groups of a run of entries: one, unless a transition has to come into a further group."""
    groups = groups_of(transition for entry in entries for transition in entry.body.transitions)
    for entry in entries:
        groups[0].note_memory(entry)
    return groups
