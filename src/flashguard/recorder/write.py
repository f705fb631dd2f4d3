"""Writes one group of journal entries into the ledger, in one transaction that also moves the position."""

import json
from collections.abc import Collection, Sequence

import asyncpg

from flashguard.journal import Buy, Cancel, Confirm, Entry, Expire, Hold, Honour, Release, Restock
from flashguard.ledger.ledger import Connection
from flashguard.ledger.sql import query
from flashguard.model import Position, ReservationId
from flashguard.recorder.admit import Counts, Unreplayable, admit
from flashguard.recorder.fold import Group, fold


class _NotApplied(Exception):
    """Rolls back what was written before the position turned out to be another recorder's."""


async def write_group(
    connection: Connection, partition: int, run: Sequence[Entry], position: Position, end: Position
) -> tuple[bool, list[str]]:
    """Applies a run of entries.

    Returns:
        whether the position was still ours, and the items whose counters differ from memory's.

    Raises:
        asyncpg.IntegrityConstraintViolationError: the ledger refuses something in it; nothing is applied.
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
        whether the position was still ours, and the ids of the orders, holds and releases that it refused.

    Raises:
        Unreplayable: the ledger lacks a sale or an item of the run; nothing is applied.
    """
    transitions = [transition for entry in run for transition in entry.body.transitions]
    ids = [(t.sale, t.id) for t in transitions if not isinstance(t, Restock) and hasattr(t, "id")]
    items = {
        (t.sale, sku)
        for t in transitions
        if isinstance(t, Hold | Buy | Honour | Confirm | Release | Expire | Cancel | Restock)
        for sku in t.lines[::2]
    }
    whole = fold(run)
    try:
        async with connection.transaction():
            await _know_the_sales(connection, whole, {t.sale for t in transitions} - {""})
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
            accepted, refused, not_ended = admit(run, counts, known)
            group = Group()
            for transition in accepted:
                group.add(transition)
            applied, _ = await _apply(connection, partition, group, position, end)
            if not applied:
                raise _NotApplied
            if refused:
                await connection.execute(
                    query("record_refusals"),
                    [r.transition.sale for r in refused],
                    [r.transition.id for r in refused],
                    [r.transition.customer for r in refused],
                    [json.dumps(r.transition.lines) for r in refused],
                    [r.reason for r in refused],
                    position.epoch,
                )
            if refused or not_ended:
                await connection.execute(query("doubt"), partition)
    except _NotApplied:
        return False, []
    names = [(r.transition.sale, r.transition.id) for r in refused] + not_ended
    return True, [ReservationId(f"{sale}.{id_}") for sale, id_ in dict.fromkeys(names)]
