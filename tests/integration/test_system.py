"""What pages ask besides sales: the system, the kernel's scripts, and the orders of a control room."""

import hashlib

from tests.support.streams import stream


async def test_the_system_says_what_runs_and_how_each_part_does(service):
    system = (await service.call("GET", "/v1/system")).ok()
    assert (system["mode"], system["partitions"], system["workers"]) == ("development", 16, 1)
    assert system["environment"] in ("own servers", "container")
    assert {part: state["status"] for part, state in system["components"].items()} == {
        "api": "ok",
        "memory": "ok",
        "ledger": "ok",
        "recorder": "ok",
        "live": "ok",
    }
    assert system["simulations"]["enabled"] is True
    assert "flashguard" in system["simulations"]["strategies"]
    sale = await service.create_sale()
    before = system["components"]["live"]["viewers"]
    async with stream(service, f"/v1/sales/{sale}/events"):
        now = (await service.call("GET", "/v1/system")).ok()
        assert now["components"]["live"]["viewers"] == before + 1


async def test_the_kernels_scripts_are_shown_as_they_are_called(service):
    listed = (await service.call("GET", "/v1/kernel/scripts")).ok()["data"]
    assert {"reserve_stock", "confirm", "release"} <= {script["name"] for script in listed}
    for script in listed:
        shown = (await service.call("GET", f"/v1/kernel/scripts/{script['name']}")).ok()
        assert shown["source"].startswith("#!lua")
        assert hashlib.sha1(shown["source"].encode()).hexdigest() == shown["sha"] == script["sha"]
    for name in ("nope", "..", "lib%2Fpartition"):
        assert (await service.call("GET", f"/v1/kernel/scripts/{name}")).status == 404


async def test_orders_are_found_newest_first_by_customer_and_by_id(service):
    sale = await service.create_sale(stock=10)
    ids = [(await service.buy(sale, f"c{number % 2}")).ok(201)["id"] for number in range(5)]

    async def orders(query: str) -> dict:
        return await service.admin("GET", f"/v1/sales/{sale}/orders?{query}")

    newest = await orders("newest=true&limit=3")
    older = await orders(f"newest=true&limit=3&cursor={newest['next_cursor']}")
    found = [order["id"] for order in newest["data"] + older["data"]]
    oldest = [order["id"] for order in (await orders(""))["data"]]
    assert found == oldest[::-1]
    assert set(found) == set(ids)
    assert older["next_cursor"] is None
    assert {order["id"] for order in (await orders("customer=c1"))["data"]} == {ids[1], ids[3]}
    assert [order["id"] for order in (await orders(f"id={ids[2]}"))["data"]] == [ids[2]]
    for nothing in ("customer=nobody", "id=nonsense", f"id=other-sale.{'0' * 24}", "id=%00"):
        assert (await orders(nothing)) == {"data": [], "next_cursor": None}
    wrong = await service.call("GET", f"/v1/sales/{sale}/orders?customer=%00", admin=True)
    wrong.problem(422, "invalid-request")
    csv = await service.call("GET", f"/v1/sales/{sale}/orders?format=csv&customer=c1", admin=True)
    assert csv.body.count("\n") == 3
