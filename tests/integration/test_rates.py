"""How often somebody may ask: per key, customer and address; exact, bounded, and the same in both lanes."""

import asyncio
import random
import re
import time

import pytest
from redis.asyncio import Redis

from flashguard.access.rate_limits import Bucket, RateLimits
from flashguard.api.middleware.client_address import Addresses
from flashguard.kernel import keys
from flashguard.kernel.circuit import Circuit
from flashguard.kernel.kernel import Kernel
from flashguard.model import RateKind
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.raw_http import exchange, request
from tests.support.service import ADMIN_KEY, unique
from tests.support.streams import another_api

PER_CUSTOMER, PER_KEY, PER_ADDRESS = 3, 6, 9
HOUR = 3600
"""No token comes back while a test runs, however slow the machine."""
BASKET = [{"sku": "unit", "quantity": 1}]
JSON = {"Content_Type": "application/json"}
FRAMEWORK = {"Content-Encoding": "identity"}


@pytest.fixture(scope="module")
async def limited(service, http):
    async with another_api(
        service,
        http,
        FLASHGUARD_RATE_PER_CUSTOMER=f"{PER_CUSTOMER}/{HOUR}",
        FLASHGUARD_RATE_PER_KEY=f"{PER_KEY}/{HOUR}",
        FLASHGUARD_RATE_PER_ADDRESS=f"{PER_ADDRESS}/{HOUR}",
        FLASHGUARD_TRUSTED_PROXIES='["127.0.0.0/8", "10.0.0.0/8"]',
    ) as other:
        yield other


def address() -> dict[str, str]:
    """Somebody who was not here before, as the trusted proxy in front of us says."""
    return {"X_Forwarded_For": f"192.0.{random.randrange(256)}.{random.randrange(256)}"}


def head_of(answer: bytes) -> str:
    return answer.partition(b"\r\n\r\n")[0].decode().lower()


@pytest.mark.parametrize("lane", [{}, FRAMEWORK], ids=["express", "framework"])
@pytest.mark.parametrize("noun", ["orders", "reservations"])
async def test_a_customer_gets_so_many_and_then_is_told_when_to_come_back(service, limited, lane, noun):
    sale = await service.create_sale(stock=100)
    customer = unique("c")
    spellings = [customer, customer.upper(), f" {customer}", f"{customer} "]
    answers = [
        (
            await exchange(
                limited,
                request(
                    f"/v1/sales/{sale}/{noun}",
                    {"customer": spelling, "items": BASKET},
                    **JSON,
                    **lane,
                    **address(),
                ),
            )
        )[0]
        for spelling in spellings
    ]
    assert [answer[9:12] for answer in answers] == [b"201"] * PER_CUSTOMER + [b"429"]
    assert f'ratelimit: "customer";r=0;t={HOUR}' in head_of(answers[PER_CUSTOMER - 1])
    refused = head_of(answers[-1])
    wait = int(re.search(r"retry-after: (\d+)", refused)[1])
    assert HOUR / PER_CUSTOMER - 60 < wait <= HOUR / PER_CUSTOMER
    assert f'ratelimit: "customer";r=0;t={wait}' in refused
    assert (
        f'ratelimit-policy: "address";q={PER_ADDRESS};w={HOUR}, "key";q={PER_KEY};w={HOUR}, '
        f'"customer";q={PER_CUSTOMER};w={HOUR}'
    ) in refused
    assert b'"code":"rate-limited"' in answers[-1]
    item = await service.item(sale)
    assert item["sold"] + item["held"] == PER_CUSTOMER


@pytest.mark.parametrize("lane", [{}, FRAMEWORK], ids=["express", "framework"])
@pytest.mark.parametrize("noun", ["waiting-list", "tickets"])
async def test_places_to_wait_in_count_for_the_customer_too(service, limited, lane, noun):
    room = {"mode": "fifo"} if noun == "tickets" else None
    sale = await service.create_sale(stock=0, waiting_list=10, waiting_room=room)
    customer = unique("c")
    spellings = [customer, customer.upper(), f" {customer}", f"{customer} "]
    statuses = []
    for spelling in spellings:
        body = {"customer": spelling} | ({} if room else {"items": BASKET})
        asked = request(f"/v1/sales/{sale}/{noun}", body, **JSON, **lane, **address())
        statuses.append((await exchange(limited, asked))[0][9:12])
    again = b"200" if room else b"409"
    assert statuses == [b"201", *[again] * (PER_CUSTOMER - 1), b"429"]


async def test_an_address_gets_so_many_in_both_lanes_together(service, limited):
    sale = await service.create_sale(stock=100)
    mine = address()
    statuses = []
    for number in range(PER_ADDRESS + 2):
        lane = FRAMEWORK if number % 2 else {}
        body = {"customer": unique("c"), "items": BASKET}
        (answer,) = await exchange(limited, request(f"/v1/sales/{sale}/orders", body, **JSON, **lane, **mine))
        statuses.append(answer[9:12])
    assert statuses == [b"201"] * PER_ADDRESS + [b"429"] * 2
    (other,) = await exchange(limited, request(f"/v1/sales/{sale}", method="GET", **address()))
    assert other.startswith(b"HTTP/1.1 200")
    for path in ("/healthz", "/metrics", "/readyz"):
        (free,) = await exchange(limited, request(path, method="GET", **mine))
        assert free.startswith(b"HTTP/1.1 200")


async def test_reloading_a_sale_counts_for_the_address_in_both_lanes(service, limited):
    sale = await service.create_sale()
    mine = address()
    answers = [
        (
            await exchange(
                limited,
                request(f"/v1/sales/{sale}", method="GET", **mine, **(FRAMEWORK if number % 2 else {})),
            )
        )[0]
        for number in range(PER_ADDRESS + 2)
    ]
    assert [answer[9:12] for answer in answers] == [b"200"] * PER_ADDRESS + [b"429"] * 2
    assert f'ratelimit: "address";r=0;t={HOUR}' in head_of(answers[PER_ADDRESS - 1])


async def test_guessing_keys_is_counted_under_the_guessers_address(limited):
    mine = address()
    statuses = [
        (
            await exchange(
                limited, request("/v1/sales", method="GET", Authorization=f"Bearer fg_live_{n}", **mine)
            )
        )[0][9:12]
        for n in range(PER_ADDRESS + 1)
    ]
    assert statuses == [b"401"] * PER_ADDRESS + [b"429"]


async def test_a_key_gets_so_many_from_wherever_it_is_used(limited):
    admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
    statuses = [
        (await exchange(limited, request("/v1/sales", method="GET", **admin, **address())))[0][9:12]
        for _ in range(PER_KEY + 1)
    ]
    assert statuses == [b"200"] * PER_KEY + [b"429"]


async def test_who_says_to_come_from_elsewhere_is_not_believed(service, limited):
    """The proxy appends whom it heard from: what stands left of that was made up."""
    statuses = [
        (
            await exchange(
                limited,
                request("/v1/sales", method="GET", X_Forwarded_For=f"203.0.113.{n}, 198.51.100.7, 10.1.1.1"),
            )
        )[0][9:12]
        for n in range(PER_ADDRESS + 1)
    ]
    assert statuses[-1] == b"429"


@pytest.mark.parametrize(
    ("trusted", "peer", "sent", "client"),
    [
        ((), "192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        (("192.0.2.0/24",), "192.0.2.1", ["203.0.113.9"], "203.0.113.9"),
        (("192.0.2.0/24",), "198.51.100.1", ["203.0.113.9"], "198.51.100.1"),
        (("192.0.2.0/24",), "192.0.2.1", ["1.2.3.4, 203.0.113.9, 192.0.2.7"], "203.0.113.9"),
        (("192.0.2.0/24",), "192.0.2.1", ["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
        (("192.0.2.0/24",), "192.0.2.1", ["1.2.3.4, nonsense, 192.0.2.7"], "192.0.2.7"),
        (("192.0.2.0/24",), "192.0.2.1", [], "192.0.2.1"),
        (("192.0.2.0/24",), "192.0.2.1", [""], "192.0.2.1"),
        (("192.0.2.0/24",), "192.0.2.1", ["1.1.1.1," * 5_000 + "203.0.113.9"], "203.0.113.9"),
        (("::1/128",), "::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        (("::1/128",), "::1", ["[2001:db8:1:2::7]:4711"], "2001:db8:1:2::/64"),
        (("127.0.0.0/8",), "::ffff:127.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ((), None, ["203.0.113.9"], "unix"),
    ],
)
def test_the_clients_address_is_the_last_one_that_no_trusted_proxy_has(trusted, peer, sent, client):
    headers = [(b"x-forwarded-for", value.encode()) for value in sent]
    assert Addresses(trusted).bucket(peer, headers) == client


class Model:
    """Token buckets, as one would explain them."""

    def __init__(self) -> None:
        self.level: dict[str, tuple[float, float]] = {}

    def take(self, now_ms: int, buckets: list[tuple[str, int, int]]) -> bool:
        filled = {}
        for name, tokens, window_ms in buckets:
            level, at = self.level.get(name, (float(tokens), now_ms))
            filled[name] = min(float(tokens), level + (now_ms - at) * tokens / window_ms)
        if any(level < 1 - 1e-5 for level in filled.values()):
            return False
        for name, level in filled.items():
            self.level[name] = (level - 1, now_ms)
        return True


async def test_the_script_decides_as_token_buckets_do(servers):
    chance = random.Random(7)
    client = connect_kernel(servers.redis_url, Settings())
    redis = Redis.from_url(servers.redis_url, protocol=2)
    kernel = Kernel(client)
    kernel.clock_ms = int(time.time() * 1000)
    model = Model()
    sizes = [(1, 1000), (3, 1000), (7, 500), (100, 60_000)]
    prefix = unique("b")
    try:
        for _ in range(150):
            kernel.clock_ms += chance.choice([0, 1, 20, 150, 333, 1000])
            names = [f"{prefix}-{n}" for n in range(4)]
            asks = [
                sorted(chance.sample(range(4), chance.randint(1, 3))) for _ in range(chance.randint(1, 9))
            ]
            results = await kernel.spend_tokens(
                [keys.bucket("test", name) for name in names],
                [[number for n in ask for number in (n, *sizes[n])] for ask in asks],
            )
            expected = [model.take(kernel.clock_ms, [(names[n], *sizes[n]) for n in ask]) for ask in asks]
            assert [wait == 0 for _, _, _, wait in results] == expected
            for ask, (narrowest, left, full_in, wait) in zip(asks, results, strict=True):
                tokens, window_ms = sizes[ask[narrowest]]
                assert 0 <= left < tokens
                assert 0 <= full_in <= window_ms + 1
                assert 0 <= wait <= window_ms / tokens + 1
        for name in names:
            assert await redis.pttl(keys.bucket("test", name)) <= 60_000
    finally:
        await client.aclose()
        await redis.aclose()


async def test_buckets_leave_memory_when_they_are_full_again(servers):
    client = connect_kernel(servers.redis_url, Settings())
    redis = Redis.from_url(servers.redis_url, protocol=2)
    key = keys.bucket("test", unique())
    try:
        await Kernel(client).spend_tokens([key], [[0, 10, 1000]])
        assert 0 < await redis.pttl(key) <= 100
        async with asyncio.timeout(20):
            while await redis.exists(key):
                await asyncio.sleep(0.02)
    finally:
        await client.aclose()
        await redis.aclose()


async def test_requests_at_once_share_their_calls_and_the_limit_is_exact(servers):
    settings = Settings(rate_per_customer="50/3600", rate_per_address="100000/1")
    client = connect_kernel(servers.redis_url, settings)
    kernel = Kernel(client)
    rates = RateLimits(kernel, Circuit(kernel.ping), settings)
    buckets = [Bucket(RateKind.ADDRESS, unique()), Bucket(RateKind.CUSTOMER, unique())]
    try:
        taken = await asyncio.gather(*(rates.spend(buckets) for _ in range(1_000)))
        assert sum(what.wait_seconds == 0 for what in taken) == 50
        assert kernel.calls <= 4
        before = kernel.calls
        again = await rates.spend(buckets)
        assert again.wait_seconds > 0
        assert kernel.calls == before  # who hammers on an empty bucket costs memory nothing
    finally:
        await client.aclose()


async def test_where_memory_is_away_requests_pass_and_are_counted():
    settings = Settings(rate_per_customer="1/3600", redis_url="unix:///nowhere/valkey.sock")
    client = connect_kernel(settings.redis_url, settings)
    kernel = Kernel(client)
    rates = RateLimits(kernel, Circuit(kernel.ping), settings)
    assert [await rates.spend([Bucket(RateKind.CUSTOMER, "ann")]) for _ in range(3)] == [None] * 3
    assert rates.let_pass == 3
    await client.aclose()


@pytest.mark.parametrize("text", ["0/1", "5", "5/0", "-1/5", "5/1/2", "1.5/1", "99999999/1"])
def test_a_limit_that_can_not_be_is_refused_at_the_start(text):
    with pytest.raises(ValueError, match="rate_per_key"):
        Settings(rate_per_key=text)
