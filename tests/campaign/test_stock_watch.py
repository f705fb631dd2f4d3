"""Whether a unit that memory has promised twice is seen, and one that the open sale got past the list."""

from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

import pytest
from redis.asyncio import Redis

from flashguard.embedded import EmbeddedServers
from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from flashguard.model.shards import shard_ids
from tests.campaign.stock_watch import Grant, Kept, StockWatch, items_of, promised_twice

SALE = SaleId("watched-stock")
PARTITIONS = 4
LATER_MS = 9_999_999_999_999


def test_held_sold_and_set_aside_units_are_within_the_stock() -> None:
    fields = {b"config": b"{}", b"items": b"3", b"item:a": b"5 2 3", b"item:b": b"5 1 2 2 170"}
    assert items_of(fields) == {"a": (5, 2, 3, 0, 0), "b": (5, 1, 2, 2, 170)}
    assert list(promised_twice(items_of(fields))) == []


def test_one_unit_too_many_is_seen() -> None:
    for counters in ("5 3 3 0 0", "5 1 2 3 170", "5 -1 3 0 0", "-1 0 0 0 0"):
        assert list(promised_twice(items_of({b"item:a": counters.encode()}))) == [("a", counters)]


@pytest.fixture
async def client(servers: EmbeddedServers) -> AsyncIterator[Redis]:
    client = Redis(unix_socket_path=unquote(urlsplit(servers.redis_url).path))
    yield client
    for shard in (SALE, *shard_ids(SALE, 3)):
        its = keys.sale(partition_of(shard, PARTITIONS), shard)
        await client.delete(its.sale, its.queue)
    await client.aclose()


async def test_every_shard_of_a_sale_is_read(client: Redis) -> None:
    last = shard_ids(SALE, 3)[-1]
    key = keys.sale(partition_of(last, PARTITIONS), last).sale
    watch = StockWatch("", {SALE: 3}, PARTITIONS)
    await client.hset(key, "item:a", "5 1 2 2 170")
    await watch.sample(client)
    assert watch.found == {}
    await client.hset(key, "item:a", "5 2 2 2 170")
    await watch.sample(client)
    await watch.sample(client)
    assert list(watch.found.values()) == [f"{last} has a 5 2 2 2 170"]


ONE, TWO = ["pa\0one", "qa\x00000000002\0one"], ["pa\0two", "qa\x00000000001\0two"]


@pytest.mark.parametrize(
    ("counters", "members", "is_kept"),
    [
        (f"5 3 1 1 {LATER_MS}", ONE, True),
        (f"5 4 1 0 {LATER_MS}", ONE, True),
        (f"5 3 1 1 {LATER_MS}", [*ONE, "pb\0other"], True),
        (f"5 3 1 1 {LATER_MS}", [*ONE, *TWO], False),
        (f"5 3 1 1 {LATER_MS}", [], False),
        (f"5 0 4 1 {LATER_MS}", ONE, False),
    ],
    ids=["the same", "taken", "another item's entry", "one more entry", "it left", "it wants too much"],
)
async def test_units_are_kept_for_the_list_as_long_as_the_same_entries_wait(
    client: Redis, counters: str, members: list[str], is_kept: bool
) -> None:
    its = keys.sale(partition_of(SALE, PARTITIONS), SALE)
    watch = StockWatch("", {SALE: 1}, PARTITIONS)
    await client.hset(its.sale, "item:a", f"5 3 1 1 {LATER_MS}")
    await client.zadd(its.queue, dict.fromkeys(ONE, 0))
    await watch.sample(client)
    await client.hset(its.sale, "item:a", counters)
    await client.delete(its.queue)
    if members:
        await client.zadd(its.queue, dict.fromkeys(members, 0))
    await watch.sample(client)
    assert [(each.sale, each.sku) for each in watch.kept] == [(SALE, "a")] * is_kept


async def test_units_whose_time_is_over_or_none_are_not_kept(client: Redis) -> None:
    its = keys.sale(partition_of(SALE, PARTITIONS), SALE)
    for counters in ("5 3 1 1 170", "5 3 1"):
        watch = StockWatch("", {SALE: 1}, PARTITIONS)
        await client.hset(its.sale, "item:a", counters)
        await watch.sample(client)
        await watch.sample(client)
        assert watch.kept == []


def test_only_what_began_in_between_was_given_away() -> None:
    watch = StockWatch("", {SALE: 1}, PARTITIONS)
    watch.kept = [Kept(SALE, "a", 100.5, 150.5)]
    grants = [Grant(f"g{at}", frozenset({"a"}), at) for at in (100, 101, 149, 150)]
    grants.append(Grant("other", frozenset({"b"}), 120))
    assert [each.split()[0] for each in watch.given_away(SALE, grants)] == ["g101", "g149"]
    assert list(watch.given_away("other", grants)) == []
