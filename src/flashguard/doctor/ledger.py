"""PostgreSQL: whether a commit outlives a crash, and whether a pooler in front of it works."""

from typing import Final

import asyncpg

from flashguard.errors import ConfigurationError
from flashguard.ledger import Ledger, LedgerAway, checks
from flashguard.ledger.migrate import pending

from .finding import Finding, State, check

OLDEST: Final = 150_000
PARKED_SHOWN: Final = 5
UNREADABLE_SHOWN: Final = 5
IN_TRANSACTION_MODE: Final = "in transaction mode"


async def examine_commits(ledger: Ledger) -> list[Finding]:
    """Check the settings that `confirmed` depends on."""
    row = await checks.settings(ledger)
    commit = row["synchronous_commit"]
    return [
        check(
            "ledger: version", row["version"] >= OLDEST, row["version_text"], "Use PostgreSQL 15 or newer."
        ),
        check(
            "ledger: role", not row["read_only"], "read only" if row["read_only"] else "takes writes",
            "Point FLASHGUARD_DATABASE_URL at the primary.",
        ),
        check(
            "ledger: fsync", row["fsync"] == "on" and row["full_page_writes"] == "on",
            f"fsync {row['fsync']}, full_page_writes {row['full_page_writes']}",
            "Switch both on: a crash of the host may lose or break confirmed orders.",
        ),
        check(
            "ledger: commit", commit != "off", f"synchronous_commit {commit}",
            "synchronous_commit on (or local): off loses orders that were confirmed.",
        ),
    ]  # fmt: skip


async def examine_ledger(ledger: Ledger, *, prepared: bool, connections: int) -> list[Finding]:
    """Check everything about the ledger's server.

    Raises:
        LedgerAway: it does not answer.
    """
    found = await examine_commits(ledger)
    pooler = await _pooler(ledger)
    row, standbys = await checks.settings(ledger), await checks.standbys(ledger)
    found.append(
        check(
            "ledger: pooler", not (pooler == IN_TRANSACTION_MODE and prepared),
            f"{pooler}, prepared statements {'kept' if prepared else 'not kept'}",
            "FLASHGUARD_PREPARED_STATEMENTS=false: this pooler may break them.",
        )
    )  # fmt: skip
    most = row["max_connections"]
    found.append(
        check(
            "ledger: connections", connections * 4 <= most, f"{most} at most, {connections} per process",
            "Lower FLASHGUARD_LEDGER_CONNECTIONS or put a pooler in front.", otherwise=State.WARNING,
        )
    )  # fmt: skip
    if standbys is not None:
        found += _standbys(standbys, row["synchronous_standbys"], row["synchronous_commit"])
    found.append(await _parked(ledger))
    found += await _ranges(ledger)
    found.append(_schema(await ledger.applied_migrations()))
    return found


def _schema(names: set[str]) -> Finding:
    """Check that the ledger has every migration."""
    try:
        waiting = pending(names)
    except ConfigurationError as error:
        return Finding("ledger: schema", State.FAILED, "made by an unreleased version", str(error))
    return check(
        "ledger: schema", not waiting, ", ".join(waiting) or f"{len(names)} migrations, none pending",
        "Run `flashguard migrate`.",
    )  # fmt: skip


async def _parked(ledger: Ledger) -> Finding:
    """Check that the ledger does not refuse a transition repeatedly."""
    try:
        rows = await ledger.refusals.parked(PARKED_SHOWN)
    except asyncpg.UndefinedTableError:
        rows = []  # a migration is pending, and a finding of its own
    total = rows[0]["total"] if rows else 0
    shown = "".join(f"; {r['kind']} {r['id']} of {r['sale_id']}: {r['reason']}" for r in rows)
    return check(
        "ledger: refusals", not rows, f"{total} transitions parked{shown}",
        "Each was refused more than once and is not made again. Find the reason, then see 'A transition is "
        "parked' in docs/how-to/runbook.md.",
    )  # fmt: skip


async def _ranges(ledger: Ledger) -> list[Finding]:
    """Check that all rows are readable, and that the constraints that keep them so exist."""
    try:
        missing = await checks.missing_ranges(ledger)
        rows = await checks.unreadable_rows(ledger, UNREADABLE_SHOWN)
    except (asyncpg.UndefinedFunctionError, asyncpg.InsufficientPrivilegeError):
        return []  # a migration is pending, or a right is missing: each is a finding of its own
    except LedgerAway as error:  # millions of reservations may take longer than a statement may
        return [
            check("ledger: rows", False, f"not checked: {error}",
                  "Raise FLASHGUARD_LEDGER_TIMEOUT_SECONDS for this command.", otherwise=State.WARNING)
        ]  # fmt: skip
    names = ", ".join(missing)
    return [
        check(
            "ledger: ranges", not missing, f"without {names}" if names else "times, prices, stock checked",
            "Rows may be written that can't be read: correct the rows that break the rule, then add the "
            "constraints again as in src/flashguard/ledger/schema.sql.",
            otherwise=State.WARNING,
        ),
        check(
            "ledger: rows", not rows,
            "; ".join(f"{row['id']} can't be read ({row['what']})" for row in rows) or "all can be read",
            "Lists leave them out, and rebuilds leave out such sales. See 'A row can't be read' in "
            "docs/how-to/runbook.md.",
        ),
    ]  # fmt: skip


async def _pooler(ledger: Ledger) -> str:
    """Return which pooler stands before PostgreSQL.

    A pooler gives its own process id at connect. A pooler in transaction mode gives the id of another server
    process while another connection uses the first one.
    """
    async with ledger.connection() as ours:
        first = await checks.backend(ours)
        if first == ours.get_server_pid():
            return "none"
        async with ledger.connection() as other, other.transaction():
            await checks.backend(other)
            second = await checks.backend(ours)
    return "in session mode" if first == second else IN_TRANSACTION_MODE


def _standbys(standbys: asyncpg.Record, wanted: str, commit: str) -> list[Finding]:
    """Check whether a failover loses commits, and whether the standby that commits wait for is connected."""
    name, count, synchronous = "ledger: standbys", standbys["count"], standbys["synchronous"]
    if standbys["hidden"]:
        todo = "GRANT pg_monitor to this account, to see whether a failover may lose commits."
        return [Finding(name, State.WARNING, f"{count}, and this role may not see them", todo)]
    if wanted and not synchronous and commit not in ("off", "local"):
        todo = "Start the standby, or empty synchronous_standby_names: until then nothing is committed."
        return [Finding(name, State.FAILED, f"none of those that commits wait for ({wanted})", todo)]
    if not count:
        return []
    behind = standbys["lag_seconds"] or 0
    return [
        check(
            name, synchronous > 0, f"{count}, {synchronous} of them synchronous, {behind:.1f} s behind",
            "With none synchronous, a failover may lose the newest commits; the journal's tail replays "
            "them, unless memory was lost with the primary.",
            otherwise=State.WARNING,
        )
    ]  # fmt: skip
