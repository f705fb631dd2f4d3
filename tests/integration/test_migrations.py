"""The migrations: their numbers, schema.sql, what a later one makes, and ledgers of unreleased versions."""

import importlib.util
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest

from flashguard.doctor.finding import State
from flashguard.doctor.ledger import examine_ledger
from flashguard.embedded import EmbeddedPostgres
from flashguard.errors import ConfigurationError
from flashguard.ledger import Ledger
from flashguard.ledger.migrate import CANNOT_UPGRADE, FOLDER, all_migrations
from tests.support.stacks import folder as folder_for_servers
from tests.support.stacks.pgbouncer import let_in
from tests.support.up import Up, run_cli
from tests.support.up import folder as folder  # a fixture

ROOT = Path(__file__).parents[2]


def module(path: Path) -> ModuleType:
    """A program that lies outside of the package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    with folder_for_servers() as place:
        server = EmbeddedPostgres(place / "data")
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


async def run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fresh(postgres: EmbeddedPostgres, name: str) -> str:
    """Make a database and return its address."""
    await run(postgres.url, f"CREATE DATABASE {name}")
    return postgres.url.replace("/flashguard?", f"/{name}?")


async def migrated(url: str) -> list[str]:
    ledger = await Ledger.connect(url)
    try:
        return await ledger.migrate(16)
    finally:
        await ledger.close()


def test_they_are_numbered_without_gaps() -> None:
    numbers = [name[:5] for name in all_migrations()]
    assert numbers == [f"{number:04}_" for number in range(1, len(numbers) + 1)]


async def test_schema_sql_is_what_the_migrations_make() -> None:
    program = module(ROOT / "docs" / "generate_schema.py")
    with folder_for_servers() as place:
        written = await program.generated(place)
    assert program.FILE.read_text() == written, "run `make docs` and commit what it writes"


class Later:
    """Our migrations with more of them after the last one, in a folder that takes the place of ours."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "migrations"
        shutil.copytree(FOLDER, self.folder)
        monkeypatch.setattr("flashguard.ledger.migrate.FOLDER", self.folder)
        self._last = len(all_migrations())

    def add(self, number: int, text: str) -> str:
        """Add a migration whose number is that much higher than our last one's; return its name."""
        name = f"{self._last + number:04}_later"
        (self.folder / f"{name}.sql").write_text(text)
        return name


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(tmp_path, monkeypatch)


SECRETS = (
    "CREATE TABLE flashguard.secrets (secret text);\n"
    "CREATE FUNCTION flashguard.secret() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;"
)
CLOSED = """
SELECT c.relrowsecurity AND has_table_privilege('flashguard_app', c.oid, 'SELECT, INSERT')
       AND has_function_privilege('flashguard_app', 'flashguard.secret()', 'EXECUTE')
       AND NOT has_table_privilege('anybody', c.oid, 'SELECT')
       AND NOT has_function_privilege('anybody', 'flashguard.secret()', 'EXECUTE')
FROM pg_class c WHERE c.oid = 'flashguard.secrets'::regclass"""


@pytest.mark.parametrize("by", ["flashguard", "supabase"])
async def test_what_a_later_migration_makes_is_closed_to_the_public_and_open_to_the_role_that_sells(
    postgres: EmbeddedPostgres, later: Later, by: str
) -> None:
    url = await fresh(postgres, f"later_{by}")
    await migrated(url)
    await let_in(url)
    name = later.add(1, SECRETS)
    if by == "flashguard":
        assert await migrated(url) == [name]
    else:
        files = module(ROOT / "deploy" / "supabase" / "generate.py").files()
        assert list(files)[-1].endswith(f"_{name}.sql"), "it comes after the role and the installation"
        await run(url, *files.values())
        assert await migrated(url) == []
    await run(url, "DROP ROLE IF EXISTS anybody", "CREATE ROLE anybody")
    connection = await asyncpg.connect(url)
    assert await connection.fetchval(CLOSED) is True
    await connection.close()


async def test_one_that_was_left_out_is_applied_after_later_ones(
    postgres: EmbeddedPostgres, later: Later
) -> None:
    url = await fresh(postgres, "left_out")
    newer = later.add(2, "CREATE TABLE flashguard.second (id bigint)")
    assert (await migrated(url))[-1] == newer
    older = later.add(1, "CREATE TABLE flashguard.first (id bigint)")
    assert await migrated(url) == [older]
    assert await migrated(url) == []


async def test_one_that_fails_leaves_nothing_behind_and_those_before_it_stay(
    postgres: EmbeddedPostgres, later: Later
) -> None:
    url = await fresh(postgres, "fails")
    first = later.add(1, "CREATE TABLE flashguard.first (id bigint)")
    second = later.add(2, "CREATE TABLE flashguard.second (id bigint); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrated(url)
    later.add(2, "CREATE TABLE flashguard.second (id bigint)")
    assert await migrated(url) == [second]
    ledger = await Ledger.connect(url)
    assert await ledger.applied_migrations() >= {first, second}
    await ledger.close()


@pytest.fixture(scope="module")
async def unreleased(postgres: EmbeddedPostgres) -> str:
    """A ledger with our tables under the names of the last unreleased version's migrations; its address."""
    url = await fresh(postgres, "unreleased")
    await migrated(url)
    await run(
        url,
        "DELETE FROM flashguard.migrations",
        "INSERT INTO flashguard.migrations (name) VALUES ('0001_ledger'), ('0002_record_group'), "
        "('0011_rules'), ('0024_waiting_admitted')",
    )
    return url


async def test_an_unreleased_ledger_is_not_migrated_and_a_sentence_says_what_to_do(
    unreleased: str, tmp_path: Path
) -> None:
    ran = await run_cli(
        "migrate", cwd=tmp_path, FLASHGUARD_DATABASE_URL=unreleased, FLASHGUARD_REDIS_URL="redis://unused"
    )
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count(CANNOT_UPGRADE) == 1
    assert "Traceback" not in ran.err


async def test_up_does_not_start_on_an_unreleased_ledger(unreleased: str, folder: Path) -> None:
    with Up(folder, "--port", "0", FLASHGUARD_DATABASE_URL=unreleased) as up:
        assert up.process.wait(60) == 1
        assert up.output.count(CANNOT_UPGRADE) == 1
        assert "Traceback" not in up.output


async def test_no_process_starts_on_an_unreleased_ledger_and_doctor_says_so(unreleased: str) -> None:
    ledger = await Ledger.connect(unreleased)
    try:
        with pytest.raises(ConfigurationError, match="unreleased version"):
            await ledger.installation()
        found = {each.name: each for each in await examine_ledger(ledger, prepared=False, connections=8)}
    finally:
        await ledger.close()
    assert found["ledger: schema"].state is State.FAILED
    assert found["ledger: schema"].todo == CANNOT_UPGRADE
    assert found["ledger: version"].state is State.OK, "the other findings are there too"


async def test_supabases_files_refuse_an_unreleased_ledger(unreleased: str) -> None:
    first = next(iter(module(ROOT / "deploy" / "supabase" / "generate.py").files().values()))
    with pytest.raises(asyncpg.RaiseError) as refused:
        await run(unreleased, first)
    assert str(refused.value) == CANNOT_UPGRADE
