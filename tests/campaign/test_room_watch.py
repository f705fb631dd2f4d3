"""Whether a room that admits too fast, or too many, is seen, and one that is on time is not."""

import time
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis

from flashguard.embedded import EmbeddedServers
from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from flashguard.model.shards import shard_ids
from tests.campaign.room_watch import RoomWatch, Sample, let_in_twice, pace_broken, too_many_inside

RATE = 5.0
SALE = SaleId("watched-room")


def samples(*admitted: int, every: float = 0.5) -> list[Sample]:
    """Return the samples of a room on one partition."""
    return [Sample(n * every, n * every + 0.01, (count,), min(count, 4)) for n, count in enumerate(admitted)]


def test_a_second_s_worth_at_once_and_the_rate_after_it_is_the_pace() -> None:
    room = samples(0, 5, 8, 10, 13, 15, every=0.5)
    assert list(pace_broken(room, RATE, grants=False)) == []
    assert list(too_many_inside(room, 4)) == []


def test_one_beat_more_is_seen_wherever_it_was() -> None:
    for room in (samples(0, 10, 10, 10), samples(0, 0, 0, 0, 10, 10), samples(9, 9, 1, 11, 11)):
        [sentence] = pace_broken(room, RATE, grants=False)
        assert "10 admitted in 0.51 s" in sentence


def test_over_shards_a_grant_may_be_used_for_a_second() -> None:
    assert list(pace_broken(samples(0, 13), RATE, grants=True)) == []
    assert list(pace_broken(samples(0, 14), RATE, grants=True))


def test_a_loss_of_memory_begins_the_count_again() -> None:
    assert list(pace_broken(samples(0, 8, 0, 8), RATE, grants=False)) == []


def test_more_buyers_inside_than_the_room_takes_are_seen() -> None:
    assert list(too_many_inside(samples(0, 3, 4), 3)) == ["4 buyers were in, of at most 3"]


def test_a_ticket_with_two_places_is_seen_once() -> None:
    room = [Sample(0, 0.1, (1,), 1), Sample(1, 1.1, (1,), 1, ("t",)), Sample(2, 2.1, (1,), 1, ("t",))]
    [sentence] = let_in_twice(room)
    assert "ticket t" in sentence


async def test_two_places_of_a_ticket_are_found_in_valkey(servers: EmbeddedServers) -> None:
    socket = unquote(urlsplit(servers.redis_url).path)
    one, other = (keys.room(partition_of(shard, 2), shard) for shard in shard_ids(SALE, 2))
    async with Redis(unix_socket_path=socket) as client:
        until_ms = int(time.time() * 1000) + 60_000
        await client.zadd(one.active, {"both": until_ms, "in": until_ms, "past": 1})
        await client.zadd(other.active, {"both": until_ms})
        await client.zadd(one.waiting, {"in": 1, "past": 2, "waits": 3})
        sample = await RoomWatch(socket, SALE, 2, 2).sample(client)
    assert (sample.inside, set(sample.twice)) == (3, {"both", "in"})
