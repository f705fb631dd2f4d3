"""A role that may not migrate is told the statement that is missing; once it was run, it migrates."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from flashguard.embedded import EmbeddedPostgres
from tests.support.stacks import folder as folder_for_servers
from tests.support.up import Ran, run_cli

ROLE = "shop-migrator"
"""A name that SQL wants quoted."""


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    with folder_for_servers() as place:
        server = EmbeddedPostgres(place / "data")
        try:
            await server.start()
            await run(server.url, f'CREATE ROLE "{ROLE}" LOGIN; CREATE ROLE "other-role" LOGIN')
            yield server
        finally:
            await server.stop()


async def run(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def fresh(postgres: EmbeddedPostgres, name: str) -> str:
    """A new database; its address for its owner."""
    await run(postgres.url, f'CREATE DATABASE "{name}"')
    return postgres.url.replace("/flashguard?", f"/{name}?")


async def migrate(url: str, role: str, cwd: Path) -> Ran:
    address = url.replace("//flashguard@", f"//{role}@")
    return await run_cli(
        "migrate", cwd=cwd, FLASHGUARD_DATABASE_URL=address, FLASHGUARD_REDIS_URL="redis://unused"
    )


async def test_on_a_fresh_database_the_grant_that_is_missing_is_named_and_is_enough(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = await fresh(postgres, "shop-db")
    refused = await migrate(url, ROLE, tmp_path)
    assert refused.code == 1
    assert f'GRANT CREATE ON DATABASE "shop-db" TO "{ROLE}"' in refused.err
    assert "owns it" not in refused.err
    said = re.search(r"`(GRANT [^`]*)`", refused.err)
    assert said is not None
    await run(url, said[1])
    applied = await migrate(url, ROLE, tmp_path)
    assert (applied.code, applied.out.split()[1]) == (0, "0001_installation"), applied
    other = await migrate(url, ROLE, tmp_path)
    assert (other.code, other.out) == (0, "")


async def test_a_schema_that_was_made_for_the_role_is_enough_as_well(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = await fresh(postgres, "made")
    await run(url, f'CREATE SCHEMA flashguard AUTHORIZATION "{ROLE}"')
    assert (await migrate(url, ROLE, tmp_path)).code == 0


async def test_another_role_than_the_owner_is_told_the_owners_name(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = await fresh(postgres, "owned")
    await run(url, f'CREATE SCHEMA flashguard AUTHORIZATION "{ROLE}"')
    refused = await migrate(url, "other-role", tmp_path)
    assert refused.code == 1
    assert f'as "{ROLE}", the role that owns it' in refused.err
    assert "GRANT" not in refused.err
