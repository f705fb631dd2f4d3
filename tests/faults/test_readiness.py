"""Readiness says no, and why, while a server is there and takes no writes; and yes again by itself."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from flashguard.api.schemas.system import ComponentView
from flashguard.ledger import Ledger
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started

SECONDS = 20.0
"""How long a probe every 0.2 s may be told otherwise, on a machine that does other things too."""
WINDOWS = 5


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession) -> AsyncIterator[Stack]:
    async with started(http) as it:
        yield it


@pytest.fixture
async def sale(stack: Stack) -> str:
    await stack.ready()
    return await stack.service.create_sale(stock=100)


async def tell_the_ledger(stack: Stack, *statements: str) -> None:
    ledger = await Ledger.connect(stack.servers.database_url)
    async with ledger.connection() as connection:
        for statement in statements:
            await connection.execute(statement)
    await ledger.close()


async def becomes_unready(stack: Stack, part: str, reason: str) -> None:
    """Waits until this component is unavailable for this reason, and with it the whole."""

    async def told() -> bool:
        answer = await stack.service.call("GET", "/readyz")
        state = answer.body["components"][part]
        for shown in answer.body["components"].values():
            assert set(shown) <= set(ComponentView.model_fields)
        return answer.status == 503 and state["status"] == "unavailable" and reason in state.get("detail", "")

    await eventually(told, f"{part} is unavailable: {reason}", SECONDS)
    shown = (await stack.service.call("GET", "/v1/system")).ok()["components"][part]
    assert shown["status"] == "unavailable"


async def sells_again(stack: Stack, sale: str, customer: str) -> None:
    await eventually(stack.service.ready, "it is ready again by itself", SECONDS)
    answer = await stack.retried(lambda: stack.service.buy(sale, customer, key=f"after-{customer}"))
    answer.ok(201)
    await stack.recorded(sale)
    await stack.service.audit(sale)


async def test_a_read_only_ledger_is_not_ready_and_comes_back_by_itself(stack: Stack, sale: str) -> None:
    await tell_the_ledger(
        stack, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
    )
    try:
        await becomes_unready(stack, "ledger", "read only")
        assert (await stack.service.buy(sale, "ann")).status == 503
    finally:
        await tell_the_ledger(
            stack, "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()",
        )  # fmt: skip
    await sells_again(stack, sale, "bob")


async def test_a_ledger_that_takes_nothing_of_the_journal_is_not_ready(stack: Stack, sale: str) -> None:
    """A full disk: PostgreSQL answers, and refuses every group that the recorder writes."""
    await tell_the_ledger(
        stack,
        "CREATE FUNCTION flashguard.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON flashguard.reservations"
        " FOR EACH ROW EXECUTE FUNCTION flashguard.full()",
    )
    try:
        assert (await stack.service.buy(sale, "ann", key="full")).status in (503, 409)
        await becomes_unready(stack, "recorder", "PostgreSQL has recorded nothing")
    finally:
        await tell_the_ledger(stack, "DROP FUNCTION flashguard.full CASCADE")
    await sells_again(stack, sale, "bob")
    assert (await stack.retried(lambda: stack.service.buy(sale, "ann", key="full"))).ok(201)


async def test_a_full_memory_is_not_ready_and_comes_back_by_itself(stack: Stack, sale: str) -> None:
    await stack.memory.config_set("maxmemory", "1mb")
    try:
        await becomes_unready(stack, "memory", "maxmemory is reached")
        assert (await stack.service.hold(sale, "ann")).status == 503
    finally:
        await stack.memory.config_set("maxmemory", "0")
    await sells_again(stack, sale, "bob")


async def test_a_memory_that_may_evict_stock_is_not_ready(stack: Stack, sale: str) -> None:
    await stack.memory.config_set("maxmemory", "1gb")
    await stack.memory.config_set("maxmemory-policy", "allkeys-lru")
    try:
        await becomes_unready(stack, "memory", "maxmemory-policy is allkeys-lru")
    finally:
        await stack.memory.config_set("maxmemory-policy", "noeviction")
        await stack.memory.config_set("maxmemory", "0")
    await sells_again(stack, sale, "bob")


async def test_a_memory_that_waits_for_a_replica_is_not_ready(stack: Stack, sale: str) -> None:
    await stack.memory.config_set("min-replicas-to-write", "1")
    try:
        await becomes_unready(stack, "memory", "fewer replicas")
        assert (await stack.service.hold(sale, "ann")).status == 503
    finally:
        await stack.memory.config_set("min-replicas-to-write", "0")
    await sells_again(stack, sale, "bob")


async def test_probes_write_nothing_into_the_ledger(stack: Stack, sale: str) -> None:
    """A write takes a transaction id. Counters of rows are no measure: an idle backend reports them 10 s
    late."""
    ledger = await Ledger.connect(stack.servers.database_url)
    await stack.recorded(sale)

    async def next_transaction() -> object:
        async with ledger.connection() as connection:
            return await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")

    for _ in range(WINDOWS):  # in one of them, nothing else writes
        before = await next_transaction()
        for _ in range(20):
            assert (await stack.service.call("GET", "/readyz")).status == 200
        if await next_transaction() == before:
            break
    else:
        raise AssertionError("a probe writes")
    await ledger.close()
