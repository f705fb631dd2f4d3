"""PostgreSQL: our role's rights, other roles' access, and the connection's encryption."""

import asyncpg

from flashguard.ledger import Ledger, checks

from .finding import Finding, State, check

LET_IN = "As the role that migrates, run deploy/supabase/app_role.sql, or SELECT flashguard.let_in('{role}')."


async def examine_access(ledger: Ledger, *, production: bool) -> list[Finding]:
    """Check the connection's encryption, our role's rights, and that the public has no access.

    Raises:
        LedgerAway: it does not answer.
    """
    async with ledger.connection() as connection:
        pooled = connection.get_server_pid() != await checks.backend(connection)
        row = await checks.access(connection)
    if row is None:
        return []
    return [_encryption(row, pooled=pooled), *_account(row, production=production), _public(row)]


def _encryption(row: asyncpg.Record, *, pooled: bool) -> Finding:
    behind = ", from the pooler on" if pooled else ""
    if row["nearby"] and not row["tls"]:
        return Finding("ledger: encryption", State.OK, f"on one machine{behind}: none needed", "")
    return check(
        "ledger: encryption", bool(row["tls"]), f"{row['tls'] or 'none'}{behind}",
        "Add ?sslmode=verify-full&sslrootcert=FILE to FLASHGUARD_DATABASE_URL: without it, a third party "
        "on the network may read and change what you sell.", otherwise=State.WARNING,
    )  # fmt: skip


def _account(row: asyncpg.Record, *, production: bool) -> list[Finding]:
    role, missing = row["role"], [*row["missing"], *row["hidden"]]
    says = f"{role} lacks {', '.join(missing)}" if missing else f"{role} may sell"
    found = [check("ledger: rights", not missing, says, LET_IN.format(role=role))]
    if row["superuser"]:
        state = State.WARNING if production else State.OK
        todo = (
            "Sell as a role that can do nothing else: docs/how-to/supabase.md shows how."
            if production
            else ""
        )
        found.append(Finding("ledger: account", state, f"{role} is a superuser", todo))
    elif row["owner"]:
        found.append(Finding("ledger: account", State.OK, f"{role} owns the schema, and may migrate", ""))
    else:
        found.append(Finding("ledger: account", State.OK, f"{role} may not change the schema", ""))
    return found


def _public(row: asyncpg.Record) -> Finding:
    wrong = [f"{name} may use the schema" for name in row["public_roles"]]
    wrong += [f"{name} has no row-level security" for name in row["unlocked"]]
    return check(
        "ledger: public", not wrong, "; ".join(wrong) or "row-level security on every table",
        "As the role that migrates: SELECT flashguard.close_to_public().",
    )  # fmt: skip
