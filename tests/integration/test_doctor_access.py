"""The doctor on the ledger's side: who we are there, what we lack, who may look, and what is in between."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from flashguard.doctor.access import examine_access
from flashguard.doctor.finding import Finding, State
from flashguard.doctor.ledger import examine_ledger
from flashguard.doctor.secrets import examine_secrets
from flashguard.embedded import EmbeddedPostgres
from flashguard.ledger import Ledger, LedgerAway
from flashguard.settings import Settings
from tests.support.ports import free_port
from tests.support.stacks import folder
from tests.support.stacks.pgbouncer import let_in, pooler

ROLE = "flashguard_app"


@pytest.fixture(scope="module")
async def postgres() -> AsyncIterator[EmbeddedPostgres]:
    with folder() as place:
        server = EmbeddedPostgres(place / "data")
        try:
            await server.start()
            ledger = await Ledger.connect(server.url)
            await ledger.migrate(16)
            await ledger.close()
            await let_in(server.url)
            yield server
        finally:
            await server.stop()


async def found(url: str, *, production: bool = True, prepared: bool = False) -> dict[str, Finding]:
    ledger = await Ledger.connect(url)
    try:
        both = [
            *await examine_access(ledger, production=production),
            *await examine_ledger(ledger, prepared=prepared, connections=8),
        ]
    finally:
        await ledger.close()
    return {each.name: each for each in both}


async def owner(postgres: EmbeddedPostgres, *statements: str) -> None:
    connection = await asyncpg.connect(postgres.url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def as_app(postgres: EmbeddedPostgres) -> str:
    return postgres.url.replace("//flashguard@", f"//{ROLE}@")


async def test_a_superuser_is_warned_of_in_production_and_the_role_that_sells_is_not(
    postgres: EmbeddedPostgres,
) -> None:
    assert (await found(postgres.url))["ledger: account"].state is State.WARNING
    assert (await found(postgres.url, production=False))["ledger: account"].state is State.OK
    good = await found(as_app(postgres))
    assert {good[f"ledger: {name}"].state for name in ("account", "rights", "public", "encryption")} == {
        State.OK
    }


async def test_what_a_role_lacks_is_named(postgres: EmbeddedPostgres) -> None:
    await owner(
        postgres, f"REVOKE UPDATE ON flashguard.items FROM {ROLE}", f"DROP POLICY {ROLE} ON flashguard.sales"
    )
    rights = (await found(as_app(postgres)))["ledger: rights"]
    assert rights.state is State.FAILED
    assert "update on items" in rights.found
    assert "a policy on sales" in rights.found
    await owner(postgres, f"SELECT flashguard.let_in('{ROLE}')")
    assert (await found(as_app(postgres)))["ledger: rights"].state is State.OK


async def test_a_role_that_may_not_read_the_secrets_is_a_finding_of_its_rights_alone(
    postgres: EmbeddedPostgres,
) -> None:
    await owner(postgres, f"REVOKE SELECT ON flashguard.signing_keys FROM {ROLE}")
    ledger = await Ledger.connect(as_app(postgres), connections=1)
    try:
        assert await examine_secrets(Settings(), ledger) == []
    finally:
        await ledger.close()
    assert "select on signing_keys" in (await found(as_app(postgres)))["ledger: rights"].found
    await owner(postgres, f"SELECT flashguard.let_in('{ROLE}')")


async def test_an_unlocked_table_and_a_public_role_with_a_key_are_named(postgres: EmbeddedPostgres) -> None:
    await owner(
        postgres,
        "CREATE ROLE anon NOLOGIN",
        "GRANT USAGE ON SCHEMA flashguard TO anon",
        "ALTER TABLE flashguard.sales DISABLE ROW LEVEL SECURITY",
    )
    public = (await found(postgres.url))["ledger: public"]
    assert public.state is State.FAILED
    assert public.found == "anon may use the schema; sales has no row-level security"
    await owner(postgres, "SELECT flashguard.close_to_public()")
    assert (await found(postgres.url))["ledger: public"].state is State.OK


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_a_pooler_is_seen_with_its_mode_and_what_it_breaks_is_said_in_a_sentence(
    postgres: EmbeddedPostgres, mode: str
) -> None:
    assert (await found(postgres.url))["ledger: pooler"].found.startswith("none")
    sockets = postgres._socket_folder
    with folder() as place:
        place.chmod(0o777)
        async with pooler(sockets, place, free_port(), role=ROLE, pool_mode=mode) as url:
            for prepared in (False, True):
                said = (await found(url, prepared=prepared))["ledger: pooler"]
                assert said.found.startswith(f"in {mode} mode")
                assert (said.state is State.FAILED) == (mode == "transaction" and prepared)
                await _use(url, prepared=prepared, works=not (mode == "transaction" and prepared))


async def _use(url: str, *, prepared: bool, works: bool) -> None:
    """Two statements of one connection, the second while another connection has the first one's server."""
    ledger = await Ledger.connect(url, connections=1, prepared=prepared)
    other = await asyncpg.connect(url, statement_cache_size=0)
    try:
        assert await ledger.positions.all()
        taken = other.transaction()
        await taken.start()
        await other.execute("SELECT 1")
        if works:
            assert await ledger.positions.all()
        else:
            with pytest.raises(LedgerAway, match="FLASHGUARD_PREPARED_STATEMENTS=false"):
                await ledger.positions.all()
        await taken.rollback()
    finally:
        await other.close()
        await ledger.close()


async def test_a_pool_that_is_used_up_is_an_answer_within_its_time(postgres: EmbeddedPostgres) -> None:
    settings = {"default_pool_size": "1", "query_wait_timeout": "1"}
    with folder() as place:
        place.chmod(0o777)
        async with pooler(Path(postgres._socket_folder), place, free_port(), role=ROLE, **settings) as url:
            ledger = await Ledger.connect(url)
            hog = await asyncpg.connect(url, statement_cache_size=0)
            async with hog.transaction():
                await hog.execute("SELECT 1")
                with pytest.raises(LedgerAway, match="query_wait_timeout"):
                    await ledger.positions.all()
            assert await ledger.positions.all()
            await hog.close()
            await ledger.close()
