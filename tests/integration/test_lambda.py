"""AWS Lambda: the real runtime client, many instances, frozen in between, cut off, killed."""

import asyncio
import base64
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.support.service import ADMIN_KEY, Service, clean_env
from tests.support.stacks.lambda_runtime import Died, Function, Instance, http_api

MANY = 8
SECONDS = 30.0


def env_of(service: Service, **more: str) -> dict[str, str]:
    """What an instance finds in its environment, on the servers of the running service."""
    return clean_env(
        FLASHGUARD_REDIS_URL=service.redis_url,
        FLASHGUARD_DATABASE_URL=service.database_url,
        FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
        **more,
    )


def buying(sale: str, customer: str, key: str | None = None, verb: str = "orders") -> dict:
    """The event of a hold or a buy of one unit."""
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    return event(
        "POST",
        f"/v1/sales/{sale}/{verb}",
        headers,
        f'{{"customer": "{customer}", "items": [{{"sku": "unit", "quantity": 1}}]}}',
    )


def event(method: str, path: str, headers: dict | None = None, body: str | None = None, **more) -> dict:
    path, _, query = path.partition("?")
    about = {"http": {"method": method, "path": path, "sourceIp": "192.0.2.7"}, "stage": "$default"}
    return {
        "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers or {},
        "requestContext": about, "isBase64Encoded": False, "body": body,
    } | more  # fmt: skip


@pytest.fixture(scope="module")
async def function(service: Service) -> AsyncIterator[Function]:
    """Instances on the servers of the running service, frozen whenever they have nothing to do."""
    function = Function(env_of(service), most=MANY, patience_seconds=SECONDS, timeout_seconds=SECONDS)
    await function.warm(MANY)
    yield function
    await function.stop()


@pytest.fixture
async def instance(function: Function) -> Instance:
    """One of them."""
    return function.instances[0]


async def test_eight_instances_at_once_sell_exactly_the_stock(service, function):
    stock, buyers = 60, 200
    sale = await service.create_sale(stock=stock)
    answers = await asyncio.gather(*(function.invoke(buying(sale, f"c{n}")) for n in range(buyers)))
    assert Counter(answer["statusCode"] for answer in answers) == {201: stock, 409: buyers - stock}
    item = await service.item(sale)
    assert (item["sold"], item["available"]) == (stock, 0)
    await service.audit(sale)
    assert sum(each.invocations > 0 for each in function.instances) > 1


async def test_a_frozen_instance_hears_of_no_commit_and_one_that_waits_hears_of_its_own(service, function):
    async with Redis.from_url(service.redis_url) as redis:
        sale = await service.create_sale()
        answer = await function.invoke(buying(sale, "ada"))
        assert answer["statusCode"] == 201
        subscribed = [int(each["sub"]) for each in await redis.client_list() if int(each["sub"])]
        channels = await redis.pubsub_channels()
    assert subscribed == [len(channels)], "only the server's own process is subscribed"


async def test_cut_off_while_it_is_frozen_it_connects_anew_and_sells(service, function, instance):
    sale = await service.create_sale()
    assert (await instance.invoke(buying(sale, "ada"), SECONDS))["statusCode"] == 201
    await cut_all(service)
    for customer in ("bob", "eve"):
        assert (await instance.invoke(buying(sale, customer), SECONDS))["statusCode"] == 201
    await cut_all(service)
    hold = await instance.invoke(buying(sale, "mallory", verb="reservations"), SECONDS)
    assert hold["statusCode"] == 201
    assert (await service.item(sale))["sold"] == 3
    await service.audit(sale)


async def cut_all(service: Service) -> None:
    """Ends every connection to memory and ledger, as a firewall does with idle ones, but ours."""
    import asyncpg

    async with Redis.from_url(service.redis_url) as redis:
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    connection = await asyncpg.connect(service.database_url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    await connection.close()
    async with asyncio.timeout(SECONDS):
        while not await service.ready():  # its own connections were cut too
            await asyncio.sleep(0.05)


async def test_killed_in_the_middle_of_a_buy_its_key_tells_the_outcome(service):
    function = Function(env_of(service), most=1, timeout_seconds=SECONDS)
    await function.warm(1)
    doomed = function.instances[0]
    assert doomed.process is not None
    sale = await service.create_sale()
    async with Redis.from_url(service.redis_url) as redis:
        await redis.execute_command("CLIENT", "PAUSE", 2_000, "WRITE")  # the script call waits in the server
        waits = asyncio.ensure_future(doomed.invoke(buying(sale, "ada", "k1"), SECONDS))
        async with asyncio.timeout(SECONDS):
            while not await blocked(redis):
                await asyncio.sleep(0.02)
        doomed.process.send_signal(signal.SIGKILL)
        with pytest.raises(Died):
            await waits
        await redis.execute_command("CLIENT", "UNPAUSE")
    try:
        again = await service.buy(sale, "ada", key="k1")
        assert again.status == 201
        assert (await service.item(sale))["sold"] == 1, "whether the first was taken or not: once"
        await service.audit(sale)
    finally:
        await function.stop()


async def blocked(redis: "Redis") -> bool:
    return int((await redis.info("clients"))["blocked_clients"]) > 0


async def test_an_error_in_init_is_told_to_lambda(service):
    env = env_of(service, FLASHGUARD_MODE="production") | {"FLASHGUARD_ADMIN_KEY": "short"}
    failing = Instance(env)
    with pytest.raises(Died):
        await failing.start()
    assert failing.init_error is not None
    assert "FLASHGUARD_ADMIN_KEY" in failing.init_error["errorMessage"]
    assert failing.init_error["errorType"] == "ConfigurationError"


async def test_an_answer_comes_before_lambda_cuts_the_invocation_off(service, instance):
    sale = await service.create_sale()
    async with Redis.from_url(service.redis_url) as redis:
        await redis.execute_command("CLIENT", "PAUSE", 3_000, "WRITE")
        late = await instance.invoke(buying(sale, "ada", "late"), 1.5)
        await redis.execute_command("CLIENT", "UNPAUSE")
    assert late["statusCode"] == 503
    assert '"overloaded"' in late["body"]
    async with asyncio.timeout(SECONDS):  # its key tells the outcome
        while (await service.buy(sale, "ada", key="late")).status != 201:
            await asyncio.sleep(0.1)
    assert (await service.item(sale))["sold"] == 1


async def test_whatever_is_not_hot_is_answered_by_the_whole_application(service, instance):
    sale = await service.create_sale()
    got = await instance.invoke(event("GET", f"/v1/sales/{sale}"), SECONDS)
    assert got["statusCode"] == 200
    assert got["headers"]["content-type"] == "application/json"
    assert got["headers"]["x-content-type-options"] == "nosniff"
    page = await instance.invoke(event("GET", f"/v1/sales/{sale}/orders?limit=x"), SECONDS)
    assert page["statusCode"] == 401
    got = await instance.invoke(
        event("GET", f"/v1/sales/{sale}/orders?limit=1", {"authorization": f"Bearer {ADMIN_KEY}"}), SECONDS
    )
    assert got["statusCode"] == 200


async def test_a_body_in_base64_counts_as_what_it_is_and_has_its_bound(service, instance):
    sale = await service.create_sale()
    plain = buying(sale, "ada")
    encoded = plain | {"body": base64.b64encode(plain["body"].encode()).decode(), "isBase64Encoded": True}
    assert (await instance.invoke(encoded, SECONDS))["statusCode"] == 201
    large = plain | {"body": plain["body"] + " " * 70_000}
    assert (await instance.invoke(large, SECONDS))["statusCode"] == 413


async def test_events_are_said_to_be_polled_for(service, instance):
    sale = await service.create_sale()
    answer = await instance.invoke(event("GET", f"/v1/sales/{sale}/events"), SECONDS)
    assert answer["statusCode"] == 501
    assert answer["headers"]["content-type"] == "application/problem+json"


async def test_the_client_is_who_the_gateway_heard_from_whatever_headers_say(service):
    function = Function(env_of(service, FLASHGUARD_RATE_PER_ADDRESS="2/60"), most=1, timeout_seconds=SECONDS)
    await function.warm(1)
    try:
        sale = await service.create_sale()
        seen = []
        for number in range(3):
            asked = buying(sale, f"c{number}")
            asked["headers"]["x-forwarded-for"] = f"198.51.100.{number}"
            seen.append((await function.invoke(asked))["statusCode"])
        assert seen == [201, 201, 429]
    finally:
        await function.stop()


async def test_beyond_its_instances_requests_are_throttled(service, http):
    function = Function(env_of(service), most=1, timeout_seconds=SECONDS)
    await function.warm(1)
    sale = await service.create_sale()
    async with http_api(function) as url, Redis.from_url(service.redis_url) as redis:
        await redis.execute_command("CLIENT", "PAUSE", 1_000, "WRITE")
        first = asyncio.ensure_future(http.post(f"{url}/v1/sales/{sale}/orders", json=body("ada")))
        async with asyncio.timeout(SECONDS):
            while not await blocked(redis):
                await asyncio.sleep(0.02)
        async with http.post(f"{url}/v1/sales/{sale}/orders", json=body("bob")) as second:
            assert second.status == 429
        async with await first as answer:
            assert answer.status == 201


def body(customer: str) -> dict:
    return {"customer": customer, "items": [{"sku": "unit", "quantity": 1}]}


async def test_what_is_no_http_request_is_an_error_of_the_function(instance):
    from tests.support.stacks.lambda_runtime import FunctionError

    with pytest.raises(FunctionError, match="payload version"):
        await instance.invoke({"source": "aws.events"}, SECONDS)
