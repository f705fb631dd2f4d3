"""Supabase: its migrations are ours, its public API sees nothing, the role that sells can do nothing else."""

import asyncio
import importlib.util
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest

from flashguard.embedded import EmbeddedPostgres
from flashguard.ledger import Ledger
from flashguard.ledger.migrate import all_migrations
from flashguard.ledger.sql import FOLDER as QUERIES
from tests.support.stacks import folder

DEPLOY = Path(__file__).parents[2] / "deploy" / "supabase"
PUBLIC_ROLES = ("anon", "authenticated")
AS_SUPABASE_HAS_THEM = """
CREATE ROLE postgres_of_project LOGIN CREATEROLE CREATEDB;
CREATE ROLE anon NOLOGIN NOINHERIT;
CREATE ROLE authenticated NOLOGIN NOINHERIT;
CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT anon, authenticated, service_role TO authenticator;
GRANT anon, authenticated, service_role TO postgres_of_project;
"""
"""`postgres` there is no superuser, but may make roles; PostgREST logs in as `authenticator`."""


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("supabase_generate", DEPLOY / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES: dict[str, str] = _generator().files()


def test_the_files_for_supabase_are_those_that_our_migrations_make() -> None:
    committed = {path.name: path.read_text() for path in (DEPLOY / "supabase" / "migrations").glob("*.sql")}
    assert committed == FILES, "run deploy/supabase/generate.py and commit what it writes"


def test_the_role_that_sells_may_delete_what_our_statements_delete_and_nothing_else() -> None:
    selling = [path for path in QUERIES.glob("*.sql") if path.stem != "pruning"]  # its owner alone prunes
    said = "".join(path.read_text() for path in selling) + "".join(all_migrations().values())
    said = re.sub(r"FUNCTION flashguard\.prune_sale.*?\n\$\$;", "", said, flags=re.DOTALL)
    said = re.sub(r"SECURITY DEFINER.*?\n\$\$;", "", said, flags=re.DOTALL)  # with their owner's rights
    deleted = set(re.findall(r"DELETE FROM (?:flashguard\.)?(\w+)", said))
    *_, newest = re.findall(r"relname IN \(([^)]*)\) THEN\s+EXECUTE format\('GRANT DELETE", said)
    assert set(re.findall(r"'(\w+)'", newest)) == deleted - {"admin_log"}  # only its owner shortens it


class Project:
    """A database as a Supabase project has it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, role: str = "postgres_of_project") -> str:
        return self._url.replace("//flashguard@", f"//{role}@")

    async def push(self) -> None:
        """As `supabase db push` does it: file by file, each in a transaction."""
        connection = await asyncpg.connect(self.url())
        for text in FILES.values():
            async with connection.transaction():
                await connection.execute(text)
        await connection.close()

    async def migrate(self) -> list[str]:
        ledger = await Ledger.connect(self.url())
        try:
            return await ledger.migrate(16)
        finally:
            await ledger.close()

    async def execute(self, sql: str, role: str = "flashguard") -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.url("flashguard"))
        try:
            if role in PUBLIC_ROLES:
                await connection.execute(f"SET ROLE {role}")
            elif role != "flashguard":
                await connection.execute(f"SET SESSION AUTHORIZATION {role}")
            return await connection.fetch(sql)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    with folder() as place:
        server = EmbeddedPostgres(place / "data")
        try:
            await server.start()
            connection = await asyncpg.connect(server.url)
            await connection.execute(AS_SUPABASE_HAS_THEM)
            await connection.close()
            yield server
        finally:
            await server.stop()


async def made(postgres: EmbeddedPostgres, name: str) -> Project:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE {name} OWNER postgres_of_project")
    await connection.close()
    return Project(postgres.url.replace("/flashguard?", f"/{name}?"))


@pytest.fixture(scope="module")
async def pushed(postgres: EmbeddedPostgres) -> Project:
    project = await made(postgres, "pushed")
    await project.push()
    return project


SHAPE = """
SELECT 'column' AS kind, table_name || '.' || column_name AS name,
       data_type || coalesce(column_default, '') AS what
FROM information_schema.columns WHERE table_schema = 'flashguard'
UNION ALL SELECT 'function', oid::regprocedure::text, concat(md5(prosrc), proacl)
FROM pg_proc WHERE pronamespace = 'flashguard'::regnamespace
UNION ALL SELECT 'table', relname, concat(relkind, relrowsecurity, relacl)
FROM pg_class WHERE relnamespace = 'flashguard'::regnamespace AND relkind IN ('r', 'v')
UNION ALL SELECT 'migration', name, '' FROM flashguard.migrations ORDER BY 1, 2"""


async def test_it_does_not_matter_whether_supabase_or_flashguard_migrates(
    postgres: EmbeddedPostgres, pushed: Project
) -> None:
    assert await pushed.migrate() == []
    ours = await made(postgres, "ours")
    assert await ours.migrate() == list(all_migrations())
    before = await ours.execute("SELECT secret FROM flashguard.installation")
    await ours.push()
    await ours.push()
    assert await ours.execute("SELECT secret FROM flashguard.installation") == before
    assert await ours.execute(SHAPE) == await pushed.execute(SHAPE)
    ledger = await Ledger.connect(pushed.url())
    assert (await ledger.installation()).partitions == 16
    assert len(await ledger.positions.all()) == 16
    await ledger.close()


async def _names(project: Project, sql: str) -> list[str]:
    found = [row[0] for row in await project.execute(sql)]
    assert found
    return found


TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'flashguard'::regnamespace AND relkind IN ('r', 'v')"
)
FUNCTIONS = """
SELECT format('%I.%I(%s)', 'flashguard', proname, (
    SELECT string_agg('NULL::' || format_type(t, NULL), ', ') FROM unnest(proargtypes) t))
FROM pg_proc WHERE pronamespace = 'flashguard'::regnamespace
AND prorettype <> 'trigger'::regtype"""


@pytest.mark.parametrize("role", PUBLIC_ROLES)
async def test_supabases_public_api_reads_nothing_and_calls_nothing(pushed: Project, role: str) -> None:
    for table in await _names(pushed, TABLES):
        for attempt in (
            f"SELECT 1 FROM flashguard.{table}",
            f"DELETE FROM flashguard.{table}",
            f"INSERT INTO flashguard.{table} DEFAULT VALUES",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pushed.execute(attempt, role)
    for call in await _names(pushed, FUNCTIONS):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pushed.execute(f"SELECT {call}", role)


@pytest.mark.parametrize("role", PUBLIC_ROLES)
async def test_a_grant_by_accident_shows_no_row(pushed: Project, role: str) -> None:
    """All that a single careless line grants: the row's own lock holds."""
    tables = await _names(pushed, TABLES.replace("('r', 'v')", "('r')"))
    await pushed.execute(f"GRANT USAGE ON SCHEMA flashguard TO {role}")
    await pushed.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA flashguard TO {role}")
    try:
        for table in tables:
            assert await pushed.execute(f"SELECT 1 FROM flashguard.{table}", role) == [], table
            assert await pushed.execute(f"DELETE FROM flashguard.{table} RETURNING 1", role) == [], table
        for call in await _names(pushed, FUNCTIONS):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pushed.execute(f"SELECT {call}", role)
    finally:
        await pushed.execute("SELECT flashguard.close_to_public()", "postgres_of_project")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pushed.execute("SELECT 1 FROM flashguard.sales", role)


async def test_what_a_later_migration_makes_is_closed_and_ours_too(pushed: Project) -> None:
    owner = "postgres_of_project"
    await pushed.execute("CREATE TABLE flashguard.later (secret text)", owner)
    await pushed.execute(
        "CREATE FUNCTION flashguard.later_too() RETURNS integer LANGUAGE sql AS 'SELECT 1'", owner
    )
    await pushed.execute("SELECT flashguard.close_to_public()", owner)
    await pushed.execute("INSERT INTO flashguard.later VALUES ('x')", owner)
    assert await pushed.execute("SELECT flashguard.later_too() FROM flashguard.later", "flashguard_app")
    await pushed.execute("GRANT USAGE ON SCHEMA flashguard TO anon")
    for attempt in ("SELECT 1 FROM flashguard.later", "SELECT flashguard.later_too()"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pushed.execute(attempt, "anon")
    for undo in ("DROP TABLE flashguard.later", "DROP FUNCTION flashguard.later_too()"):
        await pushed.execute(undo, owner)
    await pushed.execute("SELECT flashguard.close_to_public()", owner)


FORBIDDEN = [
    "CREATE TABLE flashguard.mine (x int)",
    "CREATE SCHEMA mine",
    "ALTER TABLE flashguard.sales ADD COLUMN mine int",
    "ALTER TABLE flashguard.sales DISABLE ROW LEVEL SECURITY",
    "DROP TABLE flashguard.sales",
    "TRUNCATE flashguard.reservations",
    "DELETE FROM flashguard.reservations",
    "DELETE FROM flashguard.sales",
    "UPDATE flashguard.installation SET secret = 'known'",
    "INSERT INTO flashguard.migrations (name) VALUES ('9999_mine')",
    "SELECT flashguard.let_in('anon')",
    "SELECT flashguard.close_to_public()",
    "CREATE ROLE mine",
    "SET ROLE postgres_of_project",
]


@pytest.mark.parametrize("attempt", FORBIDDEN)
async def test_the_role_that_sells_can_define_nothing_and_delete_no_order(
    pushed: Project, attempt: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pushed.execute(attempt, "flashguard_app")


async def test_the_role_that_sells_migrates_nothing_where_nothing_is_new(pushed: Project) -> None:
    await pushed.execute("ALTER ROLE flashguard_app LOGIN")
    ledger = await Ledger.connect(pushed.url("flashguard_app"))
    try:
        assert await ledger.migrate(16) == []
    finally:
        await ledger.close()


async def test_a_migration_waits_for_no_sale_and_makes_no_sale_wait(postgres: EmbeddedPostgres) -> None:
    """Somebody reads a table that the last migrations change: it gives way, again and again, then gets in."""
    project = await made(postgres, "busy")
    await project.migrate()
    await project.execute("DELETE FROM flashguard.migrations WHERE name = '0011_access'")
    await project.execute("DROP FUNCTION flashguard.let_in(text), flashguard.close_to_public()")
    await project.execute("ALTER TABLE flashguard.sales DISABLE ROW LEVEL SECURITY")
    reader = await asyncpg.connect(project.url())
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT * FROM flashguard.sales")
    migrating = asyncio.create_task(project.migrate())
    ledger = await Ledger.connect(project.url())
    for _ in range(20):
        async with asyncio.timeout(5):  # it would hang behind the migration's lock
            assert await ledger.sales.page(None, 1) == []
        await asyncio.sleep(0.1)
    assert not migrating.done()
    await reading.commit()
    assert "0011_access" in await migrating
    await ledger.close()
    await reader.close()
