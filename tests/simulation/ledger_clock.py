"""The run's clock in PostgreSQL: the ledger's statements, functions and defaults read it, not its own.

The clock is a file. A statement costs one way to the server and back, and no second one that sets the time:
on a busy machine these ways are most of what a seed takes.
"""

import os
import re
import struct
from pathlib import Path
from typing import Final

from tests.simulation.postgres_wire import Backend

INSTALL: Final = """
CREATE SCHEMA IF NOT EXISTS simulation;
CREATE OR REPLACE FUNCTION simulation.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT to_timestamp(pg_read_file('{clock}', 0, 16)::bigint / 1000000.0) $$;
"""
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


class Clock:
    """The file that the ledger reads the time from: what is set is seen in the middle of transactions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)

    def set(self, micros: int) -> None:
        """Set the time, in microseconds since 1970."""
        os.pwrite(self._file, b"%016d" % micros, 0)

    def close(self) -> None:
        os.close(self._file)


def install(own: Backend, clock: Clock) -> None:
    """Make the ledger's functions and defaults read the run's clock."""
    own.query(INSTALL.format(clock=clock.path))
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
