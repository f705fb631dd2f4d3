"""Writes one group of journal entries into the ledger, in one transaction that also moves the position."""

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from flashguard.journal import (
    Amend,
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
    takes_of,
)
from flashguard.ledger import Connection, Ledger, recording
from flashguard.ledger.positions import doubt, lock_position
from flashguard.ledger.refusals import RefusedGrant, record_grants
from flashguard.ledger.waiting import record_joins, record_leaves
from flashguard.model import Position, ReservationId

from .admit import Counts, Unreplayable, admit, takes_from
from .fold import Group, arguments_of, fold, groups_of
from .refuse import REFUSALS, Parked, TransitionRefusal, count_refusals, is_sound, log_parked, name_of, units

log = logging.getLogger("flashguard.recorder")


class Written(NamedTuple):
    """What became of a group."""

    applied: bool
    """Whether the position was still the group's; else nothing is applied."""
    drift: Sequence[str] = ()
    """The items whose counters differ from memory's."""
    refused: Sequence[ReservationId] = ()
    """The ids of what the ledger refused: reservations, keys, entries."""


class _NotApplied(Exception):
    """Rolls a transaction back: another recorder has moved the position."""


async def write_alone(
    ledger: Ledger, partition: int, run: Sequence[Entry], position: Position, end: Position
) -> Written:
    """Apply a run of entries in a transaction of its own, without what the ledger refuses.

    Raises:
        Unreplayable: the ledger lacks a sale or an item of the run; nothing is applied.
    """
    async with ledger.connection() as connection:
        try:
            return Written(*await write_group(connection, partition, run, position, end))
        except REFUSALS as error:
            log.error("partition %d: the ledger refuses a group: %s", partition, error)
            applied, refused = await write_doubtful_group(connection, partition, run, position, end)
            return Written(applied, refused=refused)


async def write_doubtful(
    ledger: Ledger, partition: int, run: Sequence[Entry], position: Position, end: Position
) -> Written:
    """Apply what the ledger can accept of a run by a memory that is known to be wrong.

    Raises:
        Unreplayable: the ledger lacks a sale or an item of the run; nothing is applied.
    """
    async with ledger.connection() as connection:
        applied, refused = await write_doubtful_group(connection, partition, run, position, end)
    return Written(applied, refused=refused)


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
    return await _apply_all(connection, partition, fold(run), position, end)


async def _apply_all(
    connection: Connection, partition: int, groups: Sequence[Group], position: Position, end: Position
) -> tuple[bool, list[str]]:
    first, *later = groups
    if not later:
        return await _apply(connection, partition, first, position, end)
    async with connection.transaction():
        applied, drift = await _apply(connection, partition, first, position, end)
        for group in later if applied else ():
            await _apply(connection, partition, group, end, end)
    return applied, drift


async def _apply(
    connection: Connection, partition: int, group: Group, position: Position, end: Position
) -> tuple[bool, list[str]]:
    rows, rare = arguments_of([group]), group.rare_arguments()
    if rare is None:
        return await recording.record_group(connection, partition, position, end, rows)
    try:
        async with connection.transaction():
            await _know_the_sales(connection, group, group.sales_to_find)
            if group.item_changes:  # before the counters: an item may be new
                if await lock_position(connection, partition) != position:
                    raise _NotApplied
                await recording.change_items(connection, group.item_changes_argument())
            applied, drift = await recording.record_group(connection, partition, position, end, rows)
            if not applied:
                raise _NotApplied
            await recording.write_rare_events(connection, rare[2], group.turns_argument())
            await recording.record_changes(connection, *rare)
            if group.sale_changes:
                await recording.record_sale_rules(connection, group.rule_arguments())
            if group.descriptions:
                await recording.describe_sales(connection, group.description_arguments())
            for sale, items in group.item_lists.items():
                await recording.replace_items(connection, sale, items.definition)
            if group.amends:
                await recording.record_amends(connection, group.amends_argument())
            if group.cancels:
                await recording.record_cancels(connection, group.cancels_argument())
            if group.joins or group.leaves:
                began, ended = group.waiting_arguments()
                await record_joins(connection, began)
                await record_leaves(connection, ended)
            if group.keyed_changes:
                await recording.record_change_keys(connection, group.key_arguments())
            if group.deletions:
                await recording.delete_drafts(connection, group.deletions)
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
        (t.sale, counter)
        for t in transitions
        if isinstance(t, Hold | Buy | LateConfirm | Confirm | Release | Expire | Amend | Cancel | Restock)
        for counter in (t.lines if isinstance(t, Restock) else takes_of(t))[::2]
    }
    try:
        async with connection.transaction():
            for group in groups_of(transitions):
                await _know_the_sales(connection, group, ())
            await _know_the_sales(connection, Group(), {t.sale for t in transitions} - {""})
            counts = {
                (row["sale_id"], row["sku"]): Counts(row["stock"], row["held"], row["sold"])
                for row in await recording.lock_counters(connection, items)
            }
            found = await recording.known_reservations(connection, ids)
            known = {id_: status for id_, (status, _, _) in found.items()}
            revisions = {id_: revision for id_, (_, revision, _) in found.items()}
            takes = {id_: takes_from(json.loads(has)) for id_, (_, _, has) in found.items()}
            accepted, refused = admit(run, counts, known, revisions, takes)
            if not (await _apply(connection, partition, Group(), position, end))[0]:
                raise _NotApplied
            refused += await _apply_each(connection, partition, units(accepted), end)
            parked = await _note_refused(connection, partition, refused, position.epoch) if refused else []
    except _NotApplied:
        return False, []
    log_parked(partition, parked)
    return True, [ReservationId(f"{sale}.{id_}") for sale, _, id_ in map(name_of, _named(refused))]


async def _apply_each(
    connection: Connection, partition: int, parts: Sequence[Sequence[Transition]], end: Position
) -> list[TransitionRefusal]:
    """Apply these transitions, whose position has moved already; return those that the ledger refuses.

    A refused list is halved until each refused transition stands alone: a few more statements per refusal.
    """
    try:
        async with connection.transaction():
            groups = groups_of(transition for part in parts for transition in part)
            await _apply_all(connection, partition, groups, end, end)
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
