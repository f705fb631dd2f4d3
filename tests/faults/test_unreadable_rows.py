"""One row of the ledger that can't be read stops no list, no sweep and no rebuild, and is reported."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.eventually import eventually
from tests.support.forked import Flashguard, run_flashguard
from tests.support.real_stack import Stack, started
from tests.support.service import clean_env, unique

SCHEMA = Path(__file__).parents[2] / "src" / "flashguard" / "ledger" / "schema.sql"
CONSTRAINTS = {
    "sales_times_in_range": "sales",
    "items_price_in_range": "items",
    "items_stock_in_range": "items",
    "reservations_times_in_range": "reservations",
    "waiting_list_times_in_range": "waiting_list",
}
BAD_SALES = [
    "ends_at = 'infinity'",
    "starts_at = '-infinity'",
    "ends_at = '10000-01-01T00:00:00Z'",
    "starts_at = '0001-01-01T00:00:00Z'",
    "created_at = 'infinity'",
    "created_at = '-infinity'",
    "rules = '\"none\"'",
    "rules = '{\"spread\": 1e400}'",
    'rules = \'{"waiting_most": "many"}\'',
]
BAD_ORDERS = [
    "expires_at = 'infinity'",
    "confirmed_at = 'infinity'",
    "confirmed_at = '-infinity'",
    "ended_at = '12000-01-01T00:00:00Z'",
    "created_at = '-infinity'",
    "lines = '{}'",
    "lines = '[\"unit\", 1.5]'",
    'lines = \'["unit", "one"]\'',
    "lines = '[\"unit\", 1e300]'",
]


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        ledger = await asyncpg.connect(running.servers.database_url)
        await ledger.execute(
            "".join(f"ALTER TABLE flashguard.{t} DROP CONSTRAINT {c};" for c, t in CONSTRAINTS.items())
        )
        await ledger.close()
        yield running


async def sql(stack: Stack, text: str, *args: object) -> Any:
    connection = await asyncpg.connect(stack.servers.database_url)
    try:
        return await (
            connection.fetchval(text, *args) if args or ";" not in text else connection.execute(text)
        )
    finally:
        await connection.close()


def doctor(stack: Stack) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return its exit code and its findings by name."""
    env = clean_env(
        FLASHGUARD_REDIS_URL=stack.servers.redis_url,
        FLASHGUARD_DATABASE_URL=stack.servers.database_url,
        FLASHGUARD_PORT="0",
    )
    ran = run_flashguard("doctor", "--json", env=env)
    return ran.returncode, {finding["name"]: finding for finding in json.loads(ran.stdout)["findings"]}


async def log_to(stack: Stack, log: Path) -> None:
    """Start the recorder and the API again, with their log in this file."""
    for name in ("recorder", "api"):
        await stack.end(name)
        with log.open("ab") as file:
            stack.children[name] = Flashguard(name, env=stack._env, stderr=file.fileno())
    await stack.ready()


async def neighbour(stack: Stack, sale: str, **more: Any) -> str:
    """Create another sale in this sale's partition."""
    while True:
        name = unique()
        if stack.partition(name) == stack.partition(sale):
            return await stack.service.create_sale(stock=5, id=name, **more)


async def all_listed(stack: Stack) -> set[str]:
    """Read every page of GET /v1/sales, two sales each."""
    found: set[str] = set()
    cursor = ""
    while True:
        page = await stack.service.admin("GET", f"/v1/sales?limit=2{cursor}")
        found |= {sale["id"] for sale in page["data"]}
        if not page["next_cursor"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("bad", BAD_SALES)
async def test_a_sale_that_cant_be_read_stops_nothing_else_and_comes_back_when_corrected(
    stack: Stack, bad: str, tmp_path: Path
):
    service = stack.service
    await stack.ready()
    broken = await service.create_sale(stock=5)
    sound = await neighbour(stack, broken, hold_seconds=1)
    order = (await service.buy(sound, "ann")).ok(201)
    await stack.recorded(sound)
    await log_to(stack, tmp_path / "log")
    column = bad.split(" ")[0]
    before = await sql(stack, f"SELECT {column} FROM flashguard.sales WHERE id = $1", broken)
    await sql(stack, f"UPDATE flashguard.sales SET {bad} WHERE id = $1", broken)
    try:
        listed = await all_listed(stack)
        assert sound in listed
        assert broken not in listed
        (await service.hold(sound, "bea")).ok(201)

        async def swept() -> bool:
            return (await service.item(sound))["held"] == 0

        await eventually(swept, "the neighbour's hold ended", 10.0)
        await stack.memory.flushall()

        async def sells() -> bool:
            return (await service.buy(sound, unique("c"))).status == 201

        await eventually(sells, "the partition was built again", 20.0)
        assert (await service.call("GET", f"/v1/reservations/{order['id']}", admin=True)).status == 200
        if column == "created_at":  # memory does not need it
            (await stack.retried(lambda: service.buy(broken, "ann", key="before"))).ok(201)
        else:
            (await service.buy(broken, "ann")).problem(503, "recovering")
        read = (await service.call("GET", f"/v1/sales/{broken}", admin=True)).problem(503, "recovering")
        assert broken in read["detail"]
        await service.audit(sound)
        code, found = doctor(stack)
        assert code == 1
        assert found["ledger: rows"]["state"] == "failed"
        assert broken in found["ledger: rows"]["found"]
        lines = [
            line for line in (tmp_path / "log").read_text().splitlines() if f"sale {broken} can't" in line
        ]
        assert 1 <= len(lines) <= 2, lines  # once in the recorder, once in the API
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        await sql(stack, f"UPDATE flashguard.sales SET {column} = $2 WHERE id = $1", broken, before)
    if column == "rules":
        return  # it waits a minute for the next try

    async def back() -> bool:
        return (await service.buy(broken, "ann", key="back")).status == 201

    await eventually(back, "the corrected sale sells again", 20.0)
    assert broken in await all_listed(stack)
    code, found = doctor(stack)
    assert found["ledger: rows"]["state"] == "ok"


@pytest.mark.parametrize("bad", BAD_ORDERS)
async def test_a_reservation_that_cant_be_read_stops_nothing_else(stack: Stack, bad: str, tmp_path: Path):
    service = stack.service
    await stack.ready()
    sale = await service.create_sale(stock=50)
    orders = [(await service.buy(sale, f"c{number}", key=f"k{number}")).ok(201)["id"] for number in range(7)]
    broken = orders[3]
    short = broken.rsplit(".", 1)[1]
    await stack.recorded(sale)
    await log_to(stack, tmp_path / "log")
    await sql(stack, f"UPDATE flashguard.reservations SET {bad} WHERE id = $1", short)
    try:
        for size in (1, 2, 3, 10):
            found, cursor = [], ""
            while True:
                page = await service.admin("GET", f"/v1/sales/{sale}/orders?limit={size}{cursor}")
                found += [order["id"] for order in page["data"]]
                if not page["next_cursor"]:
                    break
                cursor = f"&cursor={page['next_cursor']}"
            assert sorted(found) == sorted(set(orders) - {broken}), size
        csv = await service.call(
            "GET", f"/v1/sales/{sale}/orders", headers=service.admin_headers | {"Accept": "text/csv"}
        )
        assert csv.status == 200
        assert broken not in csv.body
        read = await service.call("GET", f"/v1/reservations/{broken}", admin=True)
        assert short in read.problem(503, "recovering")["detail"]
        assert (await service.call("GET", f"/v1/sales/{sale}/audit", admin=True)).status == 200
        assert (
            await sql(stack, "SELECT count(*) FROM flashguard.orders_for_shop WHERE sale_id = $1", sale) >= 6
        )
        before = await stack.epoch(sale)
        await stack.memory.flushall()
        (await stack.retried(lambda: service.buy(sale, "dee", key="new"))).ok(201)
        again = await stack.retried(lambda: service.buy(sale, "c0", key="k0"))
        assert again.replayed
        assert await stack.epoch(sale) >= min(before, 1)
        code, findings = doctor(stack)
        assert (code, findings["ledger: rows"]["state"]) == (1, "failed")
        assert broken in findings["ledger: rows"]["found"]
        log = (tmp_path / "log").read_text()
        assert 1 <= log.count(f"reservation {broken} can't") <= 2
        assert "Traceback" not in log
    finally:
        await sql(stack, "DELETE FROM flashguard.reservations WHERE id = $1", short)


async def test_keys_that_never_end_by_sql_lock_nobody_out(stack: Stack):
    service = stack.service
    made = await service.admin("POST", "/v1/keys", {"name": "till", "scopes": ["shop"]})
    await sql(stack, "UPDATE flashguard.api_keys SET expires_at = 'infinity', last_used_at = '-infinity'")
    await sql(stack, "UPDATE flashguard.signing_keys SET signs_from = '-infinity'")
    try:
        assert made["id"] in {key["id"] for key in (await service.admin("GET", "/v1/keys"))["data"]}
        await stack.end("api")
        stack.start("api")
        await stack.ready()
        headers = {"Authorization": f"Bearer {made['key']}"}
        assert (await service.call("GET", "/v1/sales", headers=headers)).status == 200
    finally:
        await sql(stack, "UPDATE flashguard.signing_keys SET signs_from = now()")


async def test_no_other_list_stops_for_a_time_that_cant_be_read(stack: Stack):
    service = stack.service
    hook = {"url": "https://shop.invalid/hook", "events": ["order.confirmed"]}
    made = (await service.admin("POST", "/v1/webhooks", hook))["id"]
    sale = await service.create_sale(stock=5)
    (await service.buy(sale, "ann")).ok(201)
    await stack.recorded(sale)
    assert await sql(stack, "SELECT count(*) FROM flashguard.webhook_deliveries") == 1
    await sql(
        stack,
        """
        INSERT INTO flashguard.simulations (id, environment, buyers, stock, strategies, created_at)
        VALUES ('0123456789ab', 'x', 1, 1, '{}', 'infinity');
        UPDATE flashguard.webhook_endpoints SET failing_since = 'infinity', delivered_at = '-infinity';
        UPDATE flashguard.webhook_deliveries SET at = 'infinity', due_at = '-infinity';
        """,
    )
    try:
        assert [hook["id"] for hook in (await service.admin("GET", "/v1/webhooks"))["data"]] == [made]
        assert len((await service.admin("GET", f"/v1/webhooks/{made}/deliveries"))["data"]) == 1
        assert (await service.admin("GET", "/v1/simulations"))["data"][0]["id"] == "0123456789ab"
        code, found = doctor(stack)
        assert code == 1
        assert "webhook message" in found["ledger: rows"]["found"]
    finally:
        await sql(
            stack,
            "DELETE FROM flashguard.simulations; DELETE FROM flashguard.webhook_deliveries; "
            "DELETE FROM flashguard.webhook_endpoints",
        )


async def test_the_ledger_refuses_what_it_could_not_read_also_when_its_rules_were_added_again(stack: Stack):
    """One bad row keeps no other rule away, and doctor names the rule that is missing."""
    service = stack.service
    await stack.ready()
    sale = await service.create_sale(stock=5)
    await service.buy(sale, "ann")
    await stack.recorded(sale)
    connection = await asyncpg.connect(stack.servers.database_url)
    try:
        await connection.execute("UPDATE flashguard.items SET price_minor = 10 ^ 12 WHERE sale_id = $1", sale)
        _, found = doctor(stack)
        assert all(name in found["ledger: ranges"]["found"] for name in CONSTRAINTS)
        await add_rules(connection, *CONSTRAINTS, refused="items_price_in_range")
        _, found = doctor(stack)
        assert found["ledger: ranges"]["state"] == "warning"
        assert "items_price_in_range" in found["ledger: ranges"]["found"]
        assert found["ledger: ranges"]["found"].count("_in_range") == 1
        for table, change in [
            *(("sales", bad) for bad in BAD_SALES if "_at" in bad),
            *(("reservations", bad) for bad in BAD_ORDERS if "_at" in bad),
            ("reservations", "created_at = 'infinity'"),
            ("reservations", "expires_at = '-infinity'"),
            ("reservations", "ended_at = '-infinity'"),
            ("sales", "closed_at = 'infinity'"),
            ("sales", "room_opened_at = '-infinity'"),
            ("items", "stock = 2 ^ 60"),
        ]:
            of = "id" if table == "sales" else "sale_id"
            with pytest.raises(asyncpg.CheckViolationError, match="in_range"):
                await connection.execute(f"UPDATE flashguard.{table} SET {change} WHERE {of} = $1", sale)
        await connection.execute("UPDATE flashguard.items SET price_minor = 1 WHERE sale_id = $1", sale)
        await add_rules(connection, "items_price_in_range")
        _, found = doctor(stack)
        assert found["ledger: ranges"]["state"] == "ok"
    finally:
        await connection.close()


async def add_rules(connection: Any, *names: str, refused: str = "") -> None:
    """Add the constraints as schema.sql has them, which doctor advises; a row breaks the refused one."""
    await connection.execute("SET search_path = flashguard")
    for name in names:
        rule = re.search(rf"CONSTRAINT {name} (CHECK .*?),?$", SCHEMA.read_text(), re.MULTILINE)
        assert rule is not None, name
        add = f"ALTER TABLE {CONSTRAINTS[name]} ADD CONSTRAINT {name} {rule[1]}"
        if name == refused:
            with pytest.raises(asyncpg.CheckViolationError, match=name):
                await connection.execute(add)
        else:
            await connection.execute(add)
