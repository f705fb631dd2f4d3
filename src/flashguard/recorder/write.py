"""Writes one group of journal entries into the ledger, in one transaction that also moves the position."""

import json
from collections.abc import Collection, Iterable, Sequence

import asyncpg

from flashguard.journal import Buy, Cancel, Confirm, Entry, Expire, Hold, Honour, Release, Restock, Transition
from flashguard.ledger.connections import Connection
from flashguard.ledger.sql import query
from flashguard.model import Position, ReservationId

from .admit import Counts, Unreplayable, admit
from .fold import Group, fold
from .refuse import REFUSALS, Parked, Refusal, is_sound, name_of, note, tell, units


class _NotApplied(Exception):
    """Rolls back what was written before the position turned out to be another recorder's."""


async def write_group(
    connection: Connection, partition: int, run: Sequence[Entry], position: Position, end: Position
) -> tuple[bool, list[str]]:
    """Applies a run of entries.

    Returns:
        whether the position was still ours, and the items whose counters differ from memory's.

    Raises:
        REFUSALS: the ledger does not take something in it; nothing is applied.
        Unreplayable: the ledger lacks a sale of the run; nothing is applied.
    """
    return await _apply(connection, partition, fold(run), position, end)


async def _apply(
    connection: Connection, partition: int, group: Group, position: Position, end: Position
) -> tuple[bool, list[str]]:
    arguments = (
        partition,
        position.epoch,
        position.seq,
        position.token,
        end.seq,
        end.token,
        *group.arguments(),
    )
    rare = group.rare_arguments()
    if rare is None:
        row = await connection.fetchrow(query("record_group"), *arguments)
        return _applied(row)
    try:
        async with connection.transaction():
            await _know_the_sales(connection, group, group.sales_to_find)
            applied, drift = _applied(await connection.fetchrow(query("record_group"), *arguments))
            if not applied:
                raise _NotApplied
            await connection.execute(query("write_rare_events"), rare[2], group.turns_argument())
            await connection.execute(query("record_changes"), *rare)
            if group.sale_changes:
                await connection.execute(query("record_sale_rules"), *group.rule_arguments())
            if group.descriptions:
                await connection.execute(query("describe_sales"), *group.description_arguments())
            if group.cancels:
                await connection.execute(query("record_cancels"), group.cancels_argument())
            if group.joins or group.leaves:
                began, ended = group.waiting_arguments()
                await connection.execute(query("record_joins"), *began)
                await connection.execute(query("record_leaves"), *ended)
            if group.keyed_changes:
                await connection.execute(query("record_change_keys"), *group.key_arguments())
    except _NotApplied:
        return False, []
    return applied, drift


def _applied(row: asyncpg.Record | None) -> tuple[bool, list[str]]:
    if row is None:
        raise AssertionError("record_group always answers")
    return row["applied"], list(row["drift"])


async def _know_the_sales(connection: Connection, group: Group, named: Collection[str]) -> None:
    """Restores the sales that the group creates and the ledger lacks; the named ones must be there then.

    Raises:
        Unreplayable: the ledger lacks a sale of the group, or has another one under its id.
    """
    if group.creations:
        rows = await connection.fetch(query("restore_sales"), group.creations_argument())
        if rows:
            raise Unreplayable(f"the ledger has another sale under the id {rows[0]['id']}")
    if named:
        rows = await connection.fetch(query("unknown_sales"), list(named))
        if rows:
            raise Unreplayable(f"the ledger has no sale {rows[0]['id']}")


async def write_doubtful_group(
    connection: Connection, partition: int, run: Sequence[Entry], position: Position, end: Position
) -> tuple[bool, list[ReservationId]]:
    """Applies what the ledger can accept of a run that it refused as a whole, and writes down the rest.

    Returns:
        whether the position was still ours, and the names of what it refused: reservations, keys, entries.

    Raises:
        Unreplayable: the ledger lacks a sale or an item of the run; nothing is applied.
    """
    transitions = [t for entry in run for t in entry.body.transitions if is_sound(t)]
    ids = [(t.sale, t.id) for t in transitions if not isinstance(t, Restock) and hasattr(t, "id")]
    items = {
        (t.sale, sku)
        for t in transitions
        if isinstance(t, Hold | Buy | Honour | Confirm | Release | Expire | Cancel | Restock)
        for sku in t.lines[::2]
    }
    try:
        async with connection.transaction():
            await _know_the_sales(connection, _group(transitions), {t.sale for t in transitions} - {""})
            counts = {
                (row["sale_id"], row["sku"]): Counts(row["stock"], row["held"], row["sold"])
                for row in await connection.fetch(
                    query("counters_for_update"), [sale for sale, _ in items], [sku for _, sku in items]
                )
            }
            known = {
                (row["sale_id"], row["id"]): row["status"]
                for row in await connection.fetch(
                    query("known_reservations"), [sale for sale, _ in ids], [id_ for _, id_ in ids]
                )
            }
            accepted, refused = admit(run, counts, known)
            if not (await _apply(connection, partition, Group(), position, end))[0]:
                raise _NotApplied
            refused += await _apply_each(connection, partition, units(accepted), end)
            parked = await _note(connection, partition, refused, position.epoch) if refused else []
    except _NotApplied:
        return False, []
    tell(partition, parked)
    return True, [ReservationId(f"{sale}.{id_}") for sale, _, id_ in map(name_of, _named(refused))]


def _group(transitions: Iterable[Transition]) -> Group:
    group = Group()
    for transition in transitions:
        group.add(transition)
    return group


async def _apply_each(
    connection: Connection, partition: int, parts: Sequence[Sequence[Transition]], end: Position
) -> list[Refusal]:
    """Apply all of these, behind a position that has moved already; of those that the ledger does not take,
    return why. It halves what is refused until it stands alone: a few more statements for each refusal."""
    try:
        async with connection.transaction():
            group = _group(transition for part in parts for transition in part)
            await _apply(connection, partition, group, end, end)
        return []
    except REFUSALS as error:
        if len(parts) == 1:
            return [Refusal(transition, str(error)) for transition in parts[0]]
    half = len(parts) // 2
    first = await _apply_each(connection, partition, parts[:half], end)
    return first + await _apply_each(connection, partition, parts[half:], end)


async def _note(
    connection: Connection, partition: int, refused: Sequence[Refusal], epoch: int
) -> list[Parked]:
    """Write down what was refused; memory must be built again. Returns what is parked."""
    grants = [(t, r.reason) for r in refused if isinstance(t := r.transition, Hold | Buy | Honour)]
    if grants:
        await connection.execute(
            query("record_refusals"),
            [t.sale for t, _ in grants],
            [t.id for t, _ in grants],
            [t.customer for t, _ in grants],
            [json.dumps(t.lines) for t, _ in grants],
            [reason for _, reason in grants],
            epoch,
        )
    await connection.execute(query("doubt"), partition)
    return await note(connection, partition, refused)


def _named(refused: Iterable[Refusal]) -> Iterable[Transition]:
    """The refused transitions, each name once, in order."""
    return {name_of(r.transition)[::2]: r.transition for r in refused}.values()
