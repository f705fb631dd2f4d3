"""The run's clock in PostgreSQL: the ledger's statements, functions and defaults read it, not its own."""

import re
import struct
from typing import Final

from tests.simulation.postgres_wire import Backend

INSTALL: Final = """
CREATE SCHEMA IF NOT EXISTS simulation;
CREATE SEQUENCE IF NOT EXISTS simulation.clock;
CREATE OR REPLACE FUNCTION simulation.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT to_timestamp(last_value / 1000000.0) FROM simulation.clock';
"""
"""A sequence: what is set is seen at once, also in the middle of other transactions."""
FUNCTIONS: Final = """
SELECT pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'flashguard'::regnamespace AND prokind IN ('f', 'p')
"""
DEFAULTS: Final = """
SELECT d.adrelid::regclass, a.attname, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attrdef d JOIN pg_attribute a ON (a.attrelid, a.attnum) = (d.adrelid, d.adnum)
JOIN pg_class c ON c.oid = d.adrelid
WHERE c.relnamespace = 'flashguard'::regnamespace AND a.attgenerated = ''
"""
_CLOCK: Final = re.compile(rb"(?<![\w.])(?:now|clock_timestamp)\(\)")
OURS: Final = b"simulation.now()"


def install(own: Backend) -> None:
    """Make the ledger's functions and defaults read the run's clock."""
    own.query(INSTALL)
    for (text,) in own.query(FUNCTIONS):
        definition = (text or "").encode()
        if _CLOCK.search(definition):
            own.query(_CLOCK.sub(OURS, definition).decode())
    for table, column, default in own.query(DEFAULTS):
        if _CLOCK.search((default or "").encode()):
            own.query(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT simulation.now()")


def with_our_clock(batch: bytes) -> bytes:
    """Return the client's messages with the run's clock in the text of each statement."""
    if not _CLOCK.search(batch):
        return batch
    done, at = bytearray(), 0
    while at < len(batch):
        size = 1 + struct.unpack_from("!i", batch, at + 1)[0]
        message = batch[at : at + size]
        if message[:1] in b"PQ":
            body = _CLOCK.sub(OURS, message[5:])
            message = message[:1] + struct.pack("!i", len(body) + 4) + body
        done += message
        at += size
    return bytes(done)
