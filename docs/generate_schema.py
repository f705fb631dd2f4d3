"""Write src/flashguard/ledger/schema.sql, the ledger's schema after all migrations: `make docs`.

It starts a PostgreSQL in a temporary folder, migrates it and reads its catalogue. The sentences come from the
migrations: the comment above a table, view, function, index or constraint, and the one after a column.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import asyncpg

from flashguard.embedded import EmbeddedPostgres
from flashguard.ledger import Ledger
from flashguard.ledger.migrate import all_migrations
from flashguard.ledger.sql import query

FILE: Final = Path(__file__).parents[1] / "src" / "flashguard" / "ledger" / "schema.sql"
CATALOGUE: Final[dict[str, str]] = dict(
    re.findall(
        r"^-- name: (\w+)\n(.*?);$", Path(__file__).with_suffix(".sql").read_text(), re.MULTILINE | re.DOTALL
    )
)
HEAD: Final = """\
-- The ledger's schema as it stands after all migrations: first the tables, each with its indexes and
-- triggers, then the views, then the functions, each kind in the order of its names.
--
-- This file is documentation. No program runs it: `flashguard migrate` applies migrations/. `make docs`
-- writes it from a migrated ledger, and a test keeps it equal.
--
-- All names are in the schema `flashguard`. The ledger is the source of truth. Times are timestamptz; money
-- is a count of minor units with its currency. Row-level security is on for every table, and the public has
-- no rights: see let_in and close_to_public.
"""
DEFINES: Final = re.compile(
    r"(?:CREATE|ALTER) (?:OR REPLACE |UNIQUE )*(TABLE|VIEW|FUNCTION|INDEX|TRIGGER) "
    r"(?:IF NOT EXISTS )?(?:flashguard\.)?(\w+)"
)
CONSTRAINT: Final = re.compile(r"(?:ADD )?CONSTRAINT (\w+)")
COLUMN: Final = re.compile(r"(?:ADD COLUMN )?(\w+) .*?--\s+(.*)")
CHECK: Final = "c"
VOLATILITY: Final = {"i": " IMMUTABLE", "s": " STABLE", "v": ""}
LONG_FORMS: Final = {"timestamp with time zone": "timestamptz", " USING btree": "", "'::text": "'"}
WIDTH: Final = 118

Connection = asyncpg.Connection  # its parameter is known to type checkers only


class Sentences:
    """What the migrations say of each object; of two migrations, the later one."""

    def __init__(self) -> None:
        self._above: dict[str, list[str]] = {}
        self._of_columns: dict[tuple[str, str], str] = {}
        for text in [query("ensure_migrations_table"), *all_migrations().values()]:
            self._read(text)

    def _read(self, text: str) -> None:
        comment: list[str] = []
        table = ""
        for line in map(str.strip, text.splitlines()):
            if line.startswith("--"):
                comment.append(line)
                continue
            if defined := DEFINES.match(line) or CONSTRAINT.match(line):
                name = defined[defined.lastindex or 1]
                self._above[name] = comment or self.above(name)
                table = name if "TABLE" in defined[0] else table
            elif column := COLUMN.match(line):
                self._of_columns[table, column[1]] = column[2]
            comment = []

    def above(self, name: str) -> list[str]:
        """Return the comment lines that stand above the object."""
        return self._above.get(name, [])

    def of_column(self, table: str, name: str) -> str:
        """Return the comment after the column; '' without one."""
        return self._of_columns.get((table, name), "")


async def schema(connection: Connection) -> str:
    """Return the schema of this ledger, as the file has it."""
    sentences = Sentences()
    parts = [HEAD]
    await connection.execute("SET search_path = flashguard")  # definitions then show names without the schema
    for table in await connection.fetch(CATALOGUE["tables"]):
        parts += ["\n".join([line async for line in _table(connection, table, sentences)])]
    for view in await connection.fetch(CATALOGUE["views"]):
        above = sentences.above(view["name"])
        parts += ["\n".join([*above, f"CREATE VIEW {view['name']} AS", _short(view["definition"])])]
    for function in await connection.fetch(CATALOGUE["functions"]):
        parts += ["\n".join([*sentences.above(function["name"]), *_function(function)])]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


async def _table(connection: Connection, table: asyncpg.Record, sentences: Sentences) -> AsyncIterator[str]:
    for line in sentences.above(table["name"]):
        yield line
    yield f"CREATE TABLE {table['name']} ("
    columns = await connection.fetch(CATALOGUE["columns"], table["oid"])
    constraints = await connection.fetch(CATALOGUE["constraints"], table["oid"])
    width = max(len(column["name"]) for column in columns)
    last = len(columns) + len(constraints) - 1
    for number, column in enumerate(columns):
        text = f"    {_column(column, width)}{',' if number < last else ''}"
        comment = sentences.of_column(table["name"], column["name"])
        yield f"{text:52}  -- {comment}" if comment else text
    for number, each in enumerate(constraints, len(columns)):
        for line in sentences.above(each["name"]):
            yield f"    {line}"
        name = f"CONSTRAINT {each['name']} " if each["kind"] == CHECK else ""
        yield f"    {name}{_short(each['definition'])}{',' if number < last else ''}"
    yield f") WITH ({table['options']});" if table["options"] else ");"
    if not table["row_security"]:
        yield f"-- Row-level security is OFF for {table['name']}."
    for each in await connection.fetch(CATALOGUE["indexes"], table["oid"]):
        for line in sentences.above(each["name"]):
            yield line
        yield f"{_short(each['definition'])};"
    for each in await connection.fetch(CATALOGUE["triggers"], table["oid"]):
        yield f"{_short(each['definition'])};"


def _column(column: asyncpg.Record, width: int) -> str:
    words = [f"{column['name']:{width}} {column['type']}"]
    if column["collation"]:
        words.append(f'COLLATE "{column["collation"]}"')
    if column["required"]:
        words.append("NOT NULL")
    if column["identity"]:
        words.append("GENERATED ALWAYS AS IDENTITY")
    elif column["generated"]:
        words.append(f"GENERATED ALWAYS AS ({column['value']}) STORED")
    elif column["value"] is not None:
        words.append(f"DEFAULT {column['value']}")
    return _short(" ".join(words))


def _short(definition: str) -> str:
    """Return the catalogue's text in the words of the migrations."""
    for long, short in LONG_FORMS.items():
        definition = definition.replace(long, short)
    return definition


def _function(function: asyncpg.Record) -> Iterator[str]:
    returns = "" if "OUT " in function["arguments"] else f" RETURNS {_short(function['result'])}"
    lines = [""]
    for argument in _short(function["arguments"]).split(", "):
        if len(lines[-1]) + len(argument) > WIDTH - 6:
            lines.append("")
        lines[-1] += f"{argument}, "
    arguments = ",\n    ".join(line.removesuffix(", ") for line in lines)
    arguments = f"\n    {arguments}" if len(lines) > 1 else arguments
    safe = " PARALLEL SAFE" if function["parallel_safe"] else ""
    yield f"CREATE FUNCTION {function['name']}({arguments}){returns}"
    yield f"LANGUAGE {function['language']}{VOLATILITY[function['volatility']]}{safe}"
    for setting in function["settings"] or ():
        yield "SET " + setting.replace("=", " = ", 1)
    yield f"AS $${function['body']}$$;"


async def generated(folder: Path) -> str:
    """Return the schema of a ledger that is made in this folder, which PostgreSQL's account must reach."""
    async with EmbeddedPostgres(folder / "data") as server:
        ledger = await Ledger.connect(server.url)
        await ledger.migrate(16)
        await ledger.close()
        connection = await asyncpg.connect(server.url)
        try:
            return await schema(connection)
        finally:
            await connection.close()


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory(prefix="fg-schema-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        FILE.write_text(asyncio.run(generated(Path(folder))))


if __name__ == "__main__":
    main()
