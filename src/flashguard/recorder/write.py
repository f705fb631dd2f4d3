"""Writes one group of journal entries into the ledger, in one transaction that also moves the position."""

import json
from collections.abc import Collection, Iterable, Sequence

from flashguard.journal import (
    Buy,
    Cancel,
    Confirm,
    Entry,
    Expire,
    Hold,
    LateConfirm,
    Release,
    Restock,
    Transition,
)
from flashguard.ledger import Connection, recording
from flashguard.ledger.positions import doubt
from flashguard.ledger.refusals import RefusedGrant, record_grants
from flashguard.ledger.waiting import record_joins, record_leaves
from flashguard.model import Position, ReservationId

from .admit import Counts, Unreplayable, admit
from .fold import Group, fold
from .refuse import REFUSALS, Parked, TransitionRefusal, count_refusals, is_sound, log_parked, name_of, units


class _NotApplied(Exception):
    """Rolls a transaction back: another recorder has moved the position."""


async def write_group(
    connection: Connection, partition: int, run: Sequence[Entry], position: Position, end: Position
) -> tuple[bool, list[str]]:
    """Apply a run of entries.

    Returns:
        whether the position was still this one, and the items whose counters differ from memory's.

    Raises:
        REFUSALS: the ledger refuses a transition of it; nothing is applied.
        Unreplayable: the ledger lacks a sale of the run; nothing is applied.
    """
    return await _apply(connection, partition, fold(run), position, end)


async def _apply(
    connection: Connection, partition: int, group: Group, position: Position, end: Position
) -> tuple[bool, list[str]]:
    rows, rare = group.arguments(), group.rare_arguments()
    if rare is None:
        return await recording.record_group(connection, partition, position, end, rows)
    try:
        async with connection.transaction():
            await _know_the_sales(connection, group, group.sales_to_find)
            applied, drift = await recording.record_group(connection, partition, position, end, rows)
            if not applied:
                raise _NotApplied
            await recording.write_rare_events(connection, rare[2], group.turns_argument())
            await recording.record_changes(connection, *rare)
            if group.sale_changes:
                await recording.record_sale_rules(connection, group.rule_arguments())
            if group.descriptions:
                await recording.describe_sales(connection, group.description_arguments())
            if group.cancels:
                await recording.record_cancels(connection, group.cancels_argument())
            if group.joins or group.leaves:
                began, ended = group.waiting_arguments()
                await record_joins(connection, began)
                await record_leaves(connection, ended)
            if group.keyed_changes:
                await recording.record_change_keys(connection, group.key_arguments())
    except _NotApplied:
        return False, []
    return applied, drift


async def _know_the_sales(connection: Connection, group: Group, named: Collection[str]) -> None:
    """Restore the sales that the group creates and the ledger lacks; then it must have the named ones.

    Raises:
        Unreplayable: the ledger lacks a sale of the group, or has another one under its id.
    """
    if group.creations:
        other = await recording.restore_sales(connection, group.creations_argument())
        if other is not None:
            raise Unreplayable(f"the ledger has another sale under the id {other}")
    if named:
        unknown = await recording.first_unknown_sale(connection, named)
        if unknown is not None:
            raise Unreplayable(f"the ledger has no sale {unknown}")


async def write_doubtful_group(
    connection: Connection, partition: int, run: Sequence[Entry], position: Position, end: Position
) -> tuple[bool, list[ReservationId]]:
    """Apply what the ledger can accept of a run that it refused as a whole, and write down the rest.

    Returns:
        whether the position was still this one, and the ids of what was refused: reservations, keys, entries.

    Raises:
        Unreplayable: the ledger lacks a sale or an item of the run; nothing is applied.
    """
    transitions = [t for entry in run for t in entry.body.transitions if is_sound(t)]
    ids = [(t.sale, t.id) for t in transitions if not isinstance(t, Restock) and hasattr(t, "id")]
    items = {
        (t.sale, sku)
        for t in transitions
        if isinstance(t, Hold | Buy | LateConfirm | Confirm | Release | Expire | Cancel | Restock)
        for sku in t.lines[::2]
    }
    try:
        async with connection.transaction():
            await _know_the_sales(connection, _group(transitions), {t.sale for t in transitions} - {""})
            counts = {
                (row["sale_id"], row["sku"]): Counts(row["stock"], row["held"], row["sold"])
                for row in await recording.lock_counters(connection, items)
            }
            known = await recording.reservation_statuses(connection, ids)
            accepted, refused = admit(run, counts, known)
            if not (await _apply(connection, partition, Group(), position, end))[0]:
                raise _NotApplied
            refused += await _apply_each(connection, partition, units(accepted), end)
            parked = await _note_refused(connection, partition, refused, position.epoch) if refused else []
    except _NotApplied:
        return False, []
    log_parked(partition, parked)
    return True, [ReservationId(f"{sale}.{id_}") for sale, _, id_ in map(name_of, _named(refused))]


def _group(transitions: Iterable[Transition]) -> Group:
    group = Group()
    for transition in transitions:
        group.add(transition)
    return group


async def _apply_each(
    connection: Connection, partition: int, parts: Sequence[Sequence[Transition]], end: Position
) -> list[TransitionRefusal]:
    """Apply these transitions, whose position has moved already; return those that the ledger refuses.

    A refused list is halved until each refused transition stands alone: a few more statements per refusal.
    """
    try:
        async with connection.transaction():
            group = _group(transition for part in parts for transition in part)
            await _apply(connection, partition, group, end, end)
        return []
    except REFUSALS as error:
        if len(parts) == 1:
            return [TransitionRefusal(transition, str(error)) for transition in parts[0]]
    half = len(parts) // 2
    first = await _apply_each(connection, partition, parts[:half], end)
    return first + await _apply_each(connection, partition, parts[half:], end)


async def _note_refused(
    connection: Connection, partition: int, refused: Sequence[TransitionRefusal], epoch: int
) -> list[Parked]:
    """Write down what was refused, and that memory must be rebuilt; return what is parked."""
    grants = [
        RefusedGrant(t.sale, t.id, t.customer, json.dumps(t.lines), r.reason)
        for r in refused
        if isinstance(t := r.transition, Hold | Buy | LateConfirm)
    ]
    if grants:
        await record_grants(connection, grants, epoch)
    await doubt(connection, partition)
    return await count_refusals(connection, partition, refused)


def _named(refused: Iterable[TransitionRefusal]) -> Iterable[Transition]:
    """Return the refused transitions in order, each id once."""
    return {name_of(r.transition)[::2]: r.transition for r in refused}.values()
