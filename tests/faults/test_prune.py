"""`flashguard prune` removes a sale that ended long ago, whole, and nothing that anything still needs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from flashguard.kernel import keys
from flashguard.model import SaleId
from tests.support.eventually import eventually
from tests.support.forked import Flashguard
from tests.support.real_stack import Stack, started
from tests.support.service import clean_env, unique
from tests.support.up import Ran, run_cli

Connection = asyncpg.Connection

BEFORE = (datetime.now(UTC) - timedelta(days=40)).isoformat()
AGED_DAYS = 60
GONE_BY_AGE = {"facts", "webhook_deliveries"}
"""Tables whose rows are deleted when they are old, whatever became of their sale."""


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


@pytest.fixture
async def ledger(stack: Stack) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(stack.servers.database_url)
    yield connection
    await connection.close()


def env_of(stack: Stack) -> dict[str, str]:
    return {
        "FLASHGUARD_REDIS_URL": stack.servers.redis_url,
        "FLASHGUARD_DATABASE_URL": stack.servers.database_url,
    }


async def prune(stack: Stack, folder: Path, *words: str, before: str = BEFORE) -> Ran:
    return await run_cli("prune", "--before", before, *words, cwd=folder, **env_of(stack))


async def age(ledger: Connection, sale: str) -> None:
    """The sale closed long ago, as far as the ledger knows."""
    await ledger.execute(
        "UPDATE flashguard.sales SET closed_at = now() - make_interval(days => $2) WHERE public_id = $1",
        sale, AGED_DAYS,
    )  # fmt: skip


async def ended_sale(stack: Stack, ledger: Connection) -> str:
    """A sale with a row of most kinds, closed long ago, and no longer in memory."""
    shop = stack.service
    sale = await shop.create_sale(stock=6, hold_seconds=1, waiting_list=5)
    orders = [(await shop.buy(sale, f"c{n}", key=unique("key"))).ok(201)["id"] for n in range(4)]
    released = (await shop.hold(sale, "c8")).ok(201)["id"]
    (await shop.hold(sale, "c9")).ok(201)
    body = {"customer": "late", "items": [{"sku": "unit", "quantity": 1}]}
    (await shop.call("POST", f"/v1/sales/{sale}/waiting-list", body)).ok(201)
    await shop.verb(released, "release")
    await shop.admin("POST", f"/v1/orders/{orders[0]}/cancel", {"restock": True, "reason": "x"})
    await shop.admin("POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 3, "reason": "more"})
    (await shop.call("POST", f"/v1/sales/{sale}/close", admin=True, key=unique("key"))).ok()

    async def holds_have_ended() -> bool:
        held = "SELECT count(*) FROM flashguard.reservations WHERE sale_id = $1 AND status = 'held'"
        return not await ledger.fetchval(held, sale)

    await eventually(holds_have_ended, "its holds have ended")
    await stack.recorded(sale)
    await age(ledger, sale)

    async def memory_has_let_go() -> bool:
        return not await stack.memory.sismember(keys.sales(stack.partition(sale)), sale)

    await eventually(memory_has_let_go, "memory has let go of the sale")
    return sale


async def rows_of(ledger: Connection, sale: str) -> dict[str, int]:
    """How many rows each table has of a sale."""
    tables = await ledger.fetch(
        "SELECT table_name AS name FROM information_schema.columns JOIN information_schema.tables "
        "USING (table_schema, table_name) WHERE table_schema = 'flashguard' AND column_name = 'sale_id' "
        "AND table_type = 'BASE TABLE'"
    )
    found = {
        row["name"]: await ledger.fetchval(
            f"SELECT count(*) FROM flashguard.{row['name']} WHERE sale_id = $1", sale
        )
        for row in tables
        if row["name"] not in GONE_BY_AGE
    }
    found["sales"] = await ledger.fetchval("SELECT count(*) FROM flashguard.sales WHERE public_id = $1", sale)
    return {name: count for name, count in found.items() if count}


async def test_an_ended_sale_goes_whole_beside_one_that_sells(stack, ledger, tmp_path) -> None:
    shop = stack.service
    old = await ended_sale(stack, ledger)
    live = await shop.create_sale(stock=100_000)
    before = await rows_of(ledger, old)
    assert before.keys() >= {"reservations", "items", "restocks", "sale_changes", "waiting_list", "sales"}, (
        before
    )
    orders, done = [], asyncio.Event()

    async def press(number: int) -> None:
        while not done.is_set():
            orders.append((await shop.buy(live, f"c{number}-{len(orders)}", key=unique("key"))).ok(201)["id"])
            await asyncio.sleep(0.01)

    buyers = [asyncio.create_task(press(number)) for number in range(4)]
    epochs = [await stack.epoch(old), await stack.epoch(live)]
    listed = await prune(stack, tmp_path)
    assert listed.code == 0, listed
    assert old in listed.out
    assert "1 sales would be removed" in listed.out
    assert await rows_of(ledger, old) == before
    ran = await prune(stack, tmp_path, "--yes")
    assert ran.code == 0, ran
    assert f"{old} is gone" in ran.out
    done.set()
    await asyncio.gather(*buyers)
    assert await rows_of(ledger, old) == {}
    assert [key async for key in stack.memory.scan_iter(f"*{old}*")] == []
    (await shop.call("GET", f"/v1/sales/{old}")).problem(404, "unknown-sale")
    report = await shop.audit(live)
    assert report["orders"] == len(orders) > 0
    await asyncio.sleep(2.5)  # a recorder compares memory with the ledger every two seconds
    assert epochs == [await stack.epoch(old), await stack.epoch(live)], "nothing was rebuilt because of it"
    log = await shop.admin("GET", f"/v1/admin-log?target={old}&operation=flashguard%20prune")
    assert [line["outcome"] for line in log["data"]] == ["done"]
    again = await prune(stack, tmp_path, "--yes")
    assert again.out.strip() == "0 sales are gone, with 0 rows."


async def test_the_id_of_a_pruned_sale_is_not_used_again(stack, ledger, tmp_path) -> None:
    """A receipt or a key of the old sale would count in the new one."""
    old = await ended_sale(stack, ledger)
    assert (await prune(stack, tmp_path, "--yes")).code == 0
    item = {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": 1}
    body = {"id": old, "name": "Another", "items": [item]}
    assert (await stack.service.call("POST", "/v1/sales", body, admin=True)).status in (409, 422)
    assert await rows_of(ledger, old) == {}


async def test_a_killed_prune_is_finished_by_the_next(stack, ledger, tmp_path) -> None:
    old = await ended_sale(stack, ledger)
    await ledger.execute(
        "INSERT INTO flashguard.reservations "
        "(sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms) "
        "SELECT $1, lpad(n::text, 24, '0'), 'c', 'expired', '[\"unit\", 1]', n, now(), 60000 "
        "FROM generate_series(1, 50000) AS n",
        old,
    )
    count = "SELECT count(*) FROM flashguard.reservations WHERE sale_id = $1"
    whole = await ledger.fetchval(count, old)
    words = ("prune", "--before", BEFORE, "--yes")
    with (tmp_path / "out").open("wb") as out:
        child = Flashguard(*words, env=clean_env(**env_of(stack)), cwd=tmp_path, stdout=out.fileno())

        async def is_under_way() -> bool:
            return bool(0 < await ledger.fetchval(count, old) < whole)

        await eventually(is_under_way, "some rows are gone", poll_seconds=0.005)
        child.kill()
        await asyncio.to_thread(child.wait)
    left = await rows_of(ledger, old)
    assert 0 < left["reservations"] < whole
    assert left.keys() <= {"reservations"}
    (await stack.service.call("GET", f"/v1/sales/{old}")).problem(404, "unknown-sale")
    assert (await prune(stack, tmp_path, "--yes")).code == 0
    assert await rows_of(ledger, old) == {}
    assert await ledger.fetchval("SELECT finished_at FROM flashguard.pruned_sales WHERE id = $1", old)


PAYMENT = (
    "INSERT INTO flashguard.payments (id, sale_id, reservation, provider, state, amount_minor, currency, "
    "receipt, request, paid_minor, paid_currency, paid_at, due_at) "
    "SELECT 'pay_' || sale_id, sale_id, id, 'signed', 'order', 1999, 'EUR', '', '{}', 1999, 'EUR', now(), %s "
    "FROM flashguard.reservations WHERE sale_id = $1 AND status = 'confirmed' LIMIT 1"
)
REFUND = (
    "INSERT INTO flashguard.payment_refunds (payment, number, amount_minor, currency, reason, state) "
    "VALUES ('pay_' || $1::text, 1, 5, 'EUR', 'x', 'failed')"
)
ENDPOINT = (
    "INSERT INTO flashguard.webhook_endpoints (id, url, events, secret, enabled, disabled_at) "
    "VALUES ('wh_' || $1::text, 'https://127.0.0.1', '{order.confirmed}', 's', false, now())"
)
MESSAGE = (
    "INSERT INTO flashguard.webhook_deliveries (endpoint, type, sale_id, at) "
    "VALUES ('wh_' || $1::text, 'order.confirmed', $1, now())"
)
TRANSFER = (
    "INSERT INTO flashguard.transfers_under_way (id, donor, key, receiver) "
    "VALUES ('t-' || $1::text, $1, 'k', $1)"
)
GUEST = (
    "INSERT INTO flashguard.sales "
    "(id, name, partition, status, hold_seconds, max_hold_seconds, closed_at, rules) "
    "SELECT id || '-guest', name, partition, 'closed', 1, 1, now(), jsonb_build_object('room', "
    "jsonb_build_object('of', id)) FROM flashguard.sales WHERE id = $1"
)
NEEDED = {
    "it has live holds": (
        ["UPDATE flashguard.reservations SET status = 'held' WHERE sale_id = $1 AND customer = 'c9'"],
        ["UPDATE flashguard.reservations SET status = 'expired' WHERE sale_id = $1 AND customer = 'c9'"],
    ),
    "a payment is not decided": (
        [PAYMENT % "now() + interval '1 day'"],
        ["UPDATE flashguard.payments SET due_at = NULL WHERE sale_id = $1"],
    ),
    "a refund is not done": (
        [PAYMENT % "NULL", REFUND],
        ["UPDATE flashguard.payment_refunds SET state = 'done' WHERE payment = 'pay_' || $1::text"],
    ),
    "a webhook is not delivered": (
        [ENDPOINT, MESSAGE],
        ["UPDATE flashguard.webhook_deliveries SET state = 'delivered' WHERE sale_id = $1"],
    ),
    "units of it are on their way between shards": (
        [TRANSFER],
        ["DELETE FROM flashguard.transfers_under_way WHERE donor = $1"],
    ),
    "another sale shares its waiting room": (
        [GUEST],
        ["DELETE FROM flashguard.sales WHERE id = $1 || '-guest'"],
    ),
    "a shard of it was not closed before then": (
        ["INSERT INTO flashguard.sales (id, name, partition, status, hold_seconds, max_hold_seconds) "
         "SELECT id || '~1', name, partition, 'paused', 1, 1 FROM flashguard.sales WHERE id = $1"],
        ["UPDATE flashguard.sales SET status = 'closed', closed_at = now() - interval '60 days' "
         "WHERE id = $1 || '~1'"],
    ),
}  # fmt: skip
"""Why a sale stays: what makes it so, and what ends that."""


async def test_what_anything_still_needs_stays(stack, ledger, tmp_path) -> None:
    """While no recorder runs: some of these rows are no recorder's, and it would tell of them."""
    sales = {why: await ended_sale(stack, ledger) for why in NEEDED}
    await stack.end("recorder")
    try:
        for why, sale in sales.items():
            for statement in NEEDED[why][0]:
                await ledger.execute(statement, sale)
        before = {sale: await rows_of(ledger, sale) for sale in sales.values()}
        stayed = await prune(stack, tmp_path, "--yes")
        assert stayed.code == 0, stayed
        for why, sale in sales.items():
            assert f"{sale} stays: {why}" in stayed.out
            assert await rows_of(ledger, sale) == before[sale], why
        for why, sale in sales.items():
            for statement in NEEDED[why][1]:
                await ledger.execute(statement, sale)
        gone = await prune(stack, tmp_path, "--yes")
        for why, sale in sales.items():
            assert f"{sale} is gone" in gone.out, why
            assert await rows_of(ledger, sale) == {}, why
    finally:
        stack.start("recorder")
        await stack.ready()


async def test_what_memory_has_or_closed_lately_stays(stack, ledger, tmp_path) -> None:
    sale = await stack.service.create_sale()
    await stack.service.admin("POST", f"/v1/sales/{sale}/close")
    await stack.recorded(sale)
    await stack.end("recorder")
    try:
        recent = await prune(stack, tmp_path, "--yes")
        assert (recent.code, sale in recent.out) == (0, False)
        late = await prune(stack, tmp_path, "--yes", before=datetime.now(UTC).isoformat())
        assert late.code == 1
        assert "are kept in any case" in late.err
        await age(ledger, sale)
        kept = await prune(stack, tmp_path, "--yes")
        assert f"{sale} stays: memory still has it" in kept.out
        assert (await rows_of(ledger, sale))["sales"] == 1
    finally:
        stack.start("recorder")
        await stack.ready()


async def test_a_role_that_only_sells_may_not_prune(stack, ledger, tmp_path) -> None:
    sale = await ended_sale(stack, ledger)
    await ledger.execute("CREATE ROLE seller LOGIN PASSWORD 'x'; SELECT flashguard.let_in('seller')")
    await ledger.execute("SET ROLE seller")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ledger.fetchval("SELECT flashguard.prune_sale($1, now())", sale)
    finally:
        await ledger.execute("RESET ROLE")
    assert (await rows_of(ledger, sale))["sales"] == 1


async def test_a_cancel_at_the_same_moment_is_waited_for(stack, ledger, tmp_path) -> None:
    """Its refund would go with the sale."""
    sale = await ended_sale(stack, ledger)
    await ledger.execute(PAYMENT % "NULL", sale)
    order = await ledger.fetchval("SELECT reservation FROM flashguard.payments WHERE sale_id = $1", sale)
    other = await asyncpg.connect(stack.servers.database_url)
    try:
        cancel = ledger.transaction()
        await cancel.start()
        assert await ledger.fetchval("SELECT flashguard.cancel_archived($1, $2, true, 'x', 0)", sale, order)
        pruning = asyncio.create_task(other.fetchval("SELECT flashguard.prune_sale($1, now())", sale))
        await asyncio.sleep(0.2)
        assert not pruning.done()
        await cancel.commit()
        assert await pruning == "a refund is not done"
    finally:
        await other.close()


async def test_a_rebuild_after_a_prune_makes_the_memory_that_was(stack, ledger, tmp_path) -> None:
    shop = stack.service
    live = await shop.create_sale(stock=100, waiting_list=5)
    old = await ended_sale(stack, ledger)
    for n in range(10):
        (await shop.buy(live, f"c{n}", key=f"key-{n}")).ok(201)
    (await shop.hold(live, "holder")).ok(201)
    await stack.recorded(live)
    names = keys.sale(stack.partition(live), SaleId(live))

    async def memory() -> list[dict[bytes, bytes]]:
        return [await stack.memory.hgetall(name) for name in (names.sale, names.reservations, names.used)]

    async def rebuild() -> list[dict[bytes, bytes]]:
        epoch = await stack.epoch(live)
        await stack.memory.flushall()
        await stack.rebuilt(live, epoch)
        return await memory()

    had = await rebuild()
    assert had[1]
    assert (await prune(stack, tmp_path, "--yes")).code == 0
    assert await memory() == had
    assert await rebuild() == had
    assert [key async for key in stack.memory.scan_iter(f"*{old}*")] == []
    await stack.ready()
    await shop.audit(live)
