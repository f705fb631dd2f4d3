"""Copies of the ledger inside the real PostgreSQL: an empty one for each, an older one to fall back to."""

from typing import Final

from tests.simulation.postgres_wire import Backend

INSTALL: Final = """
CREATE SCHEMA IF NOT EXISTS {slot};
DO $$ DECLARE t text; BEGIN
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'flashguard' LOOP
        EXECUTE format('CREATE UNLOGGED TABLE IF NOT EXISTS {slot}.%I (LIKE flashguard.%I)', t, t);
    END LOOP;
END $$;
"""
COLUMNS: Final = """
SELECT c.table_name, string_agg(quote_ident(c.column_name), ', ' ORDER BY c.ordinal_position)
FROM information_schema.columns c
JOIN pg_tables t ON t.schemaname = 'flashguard' AND t.tablename = c.table_name
WHERE c.table_schema = 'flashguard' AND c.is_generated = 'NEVER' GROUP BY 1 ORDER BY 1
"""
SEQUENCES: Final = (
    "SELECT schemaname || '.' || sequencename FROM pg_sequences WHERE schemaname = 'flashguard'"
)


class Copies:
    """Writes and restores copies, each a schema of the same database."""

    def __init__(self, own: Backend) -> None:
        self._own = own
        for slot in ("empty", "older"):
            own.query(INSTALL.format(slot=slot))
        self._columns = {str(name): str(columns) for name, columns in own.query(COLUMNS)}
        self._sequences = [str(row[0]) for row in own.query(SEQUENCES)]
        own.query("SET session_replication_role = replica")

    def save(self, slot: str) -> None:
        """Copy every row of the ledger."""
        self._copy("flashguard", slot)

    def restore(self, slot: str) -> None:
        """Replace every row of the ledger by those of a copy."""
        self._copy(slot, "flashguard")

    def reset(self) -> None:
        """Restore the empty copy, and the first numbers of all sequences. In space that other rows had,
        the order in which rows are read would not be that of their writing."""
        tables = ", ".join(f"flashguard.{name}" for name in self._columns)
        resets = [f"TRUNCATE {tables}"] + [f"ALTER SEQUENCE {name} RESTART" for name in self._sequences]
        self._copy("empty", "flashguard", *resets)

    def _copy(self, source: str, target: str, *more: str) -> None:
        statements = list(more)
        for name, columns in self._columns.items():
            statements.append(f"DELETE FROM {target}.{name}")
            statements.append(
                f"INSERT INTO {target}.{name} ({columns}) OVERRIDING SYSTEM VALUE "
                f"SELECT {columns} FROM {source}.{name}"
            )
        self._own.query("; ".join(["BEGIN", *statements, "COMMIT"]))
