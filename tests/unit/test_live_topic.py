"""What viewers of a sale are sent, without any server."""

import json
from datetime import UTC, datetime, timedelta

import msgspec

from flashguard.api.schemas.views import sale_view
from flashguard.journal import Counters, SaleChange
from flashguard.live import Snapshot
from flashguard.live.channel import RING_EVENTS, Channel, Viewer
from flashguard.live.topic import Topic
from flashguard.model import Item, MinorUnits, Sale, SaleId, SaleStatus, Sku, to_millis

SALE = SaleId("drop")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def item(sku: str, sold: int = 0) -> Item:
    return Item(
        sku=Sku(sku), name=sku, price_minor=MinorUnits(1), currency="EUR", stock=10, held=0, sold=sold
    )


def sale(*items: Item, status: SaleStatus = SaleStatus.OPEN, name: str = "Drop") -> Sale:
    return Sale(id=SALE, name=name, status=status, items=items or (item("a"), item("b")), created_at=NOW)


def counted(sku: str, sold: int) -> Counters:
    return Counters(SALE, Sku(sku), 10, 0, sold)


def change(status: str) -> SaleChange:
    return SaleChange(SALE, status, [], 0, 0, "", 0, 60_000, 60_000, 0)


def topic(seq: int = 5, epoch: int = 1) -> Topic:
    loaded = Topic(SALE, sale_view)
    loaded.adopt(Snapshot(sale(), epoch, seq, 0), 0)
    return loaded


class Watcher:
    """Reads what a topic's channel publishes from now on."""

    def __init__(self, topic: Topic) -> None:
        self.viewer = Viewer(topic.channel, b"", lambda: None)

    async def events(self) -> list[tuple[str, str | None, dict]]:
        """What is there for it now."""
        await self.viewer.next() if self.viewer._first is not None else None
        if self.viewer._place == self.viewer._channel.published:
            return []
        return parse(await self.viewer.next() or b"")


def parse(raw: bytes) -> list[tuple[str, str | None, dict]]:
    events = []
    for block in raw.decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        events.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return events


async def test_changes_of_many_entries_become_one_event_with_the_newest_counters():
    drop = topic()
    watcher = Watcher(drop)
    for seq in (6, 7, 8):
        drop.take(1, seq, counted("a", seq))
    drop.flush(1, 8)
    [(name, id_, data)] = await watcher.events()
    assert (name, id_) == ("stock", "1-8")
    assert [(one["sku"], one["sold"], one["available"]) for one in data["items"]] == [("a", 8, 2)]
    drop.flush(1, 9)  # nothing of this sale
    assert await watcher.events() == []


async def test_what_a_snapshot_had_already_is_not_taken_again():
    drop = topic(seq=5)
    watcher = Watcher(drop)
    drop.take(1, 4, counted("a", 9))
    drop.take(1, 5, counted("a", 9))
    drop.take(2, 6, counted("a", 9))  # another history
    drop.flush(1, 6)
    assert await watcher.events() == []


async def test_what_comes_while_a_sale_is_loading_is_not_lost():
    drop = Topic(SALE, sale_view)
    drop.take(1, 5, counted("a", 1))  # the snapshot below has this one
    drop.take(1, 7, counted("b", 7))
    drop.take(1, 7, change("paused"))
    drop.adopt(Snapshot(sale(item("a", 1), item("b")), 1, 6, 0), 0)
    [(name, _, data)] = parse(drop.first_event(None))
    assert (name, data["status"]) == ("sale", "paused")
    assert [one["sold"] for one in data["items"]] == [1, 7]


async def test_a_change_of_the_sale_brings_all_of_it_in_one_event():
    drop = topic()
    watcher = Watcher(drop)
    drop.take(1, 6, counted("a", 1))
    drop.take(1, 6, change("paused"))
    drop.flush(1, 6)
    [(name, id_, data)] = await watcher.events()
    assert (name, id_, data["status"], data["items"][0]["sold"]) == ("sale", "1-6", "paused", 1)


async def test_a_change_that_viewers_know_already_brings_nothing():
    drop = topic()
    watcher = Watcher(drop)
    drop.adopt(Snapshot(sale(status=SaleStatus.PAUSED), 1, 5, 0), 0)  # the clock's doing, not journalled yet
    drop.flush(1, 5)
    assert [name for name, _, _ in await watcher.events()] == ["sale"]
    paused = SaleChange(SALE, "paused", [], 0, 0, "", 0, 120_000, 120_000, 0)
    drop.take(1, 6, paused)
    drop.flush(1, 6)
    assert await watcher.events() == []


def test_to_resume_brings_what_changed_since_and_anything_else_a_snapshot():
    drop = topic(seq=5)
    drop.take(1, 6, counted("a", 1))
    drop.flush(1, 6)
    drop.take(1, 7, counted("b", 1))
    drop.flush(1, 7)

    def first(last: str | None) -> tuple[str, list[str]]:
        [(name, id_, data)] = parse(drop.first_event(last))
        assert id_ == "1-7"
        return name, [one["sku"] for one in data["items"]]

    assert first("1-5") == ("stock", ["a", "b"])
    assert first("1-6") == ("stock", ["b"])
    assert first("1-7") == ("stock", [])
    for out_of_reach in (None, "", "1-4", "1-8", "2-6", "0-6", "x-y", "1-6-7", "-1-6", "1-²"):
        assert first(out_of_reach) == ("sale", ["a", "b"])


def test_nobody_resumes_from_before_a_change_of_the_sale():
    drop = topic(seq=5)
    drop.take(1, 6, change("paused"))
    drop.flush(1, 6)
    assert parse(drop.first_event("1-5"))[0][0] == "sale"
    assert parse(drop.first_event("1-6"))[0][0] == "stock"
    drop.adopt(Snapshot(sale(name="Renamed", status=SaleStatus.PAUSED), 1, 6, 0), 0)
    assert parse(drop.first_event("1-6"))[0][0] == "sale"


async def test_an_absence_is_said_once_and_ends_with_the_whole_sale():
    drop = topic()
    watcher = Watcher(drop)
    drop.lose()
    drop.lose()
    drop.flush(1, 6)
    assert [name for name, _, _ in await watcher.events()] == ["away"]
    assert [name for name, _, _ in parse(drop.first_event("1-5"))] == ["sale", "away"]
    drop.adopt(Snapshot(sale(item("a", 3)), 2, 1, 0), 0)
    drop.flush(2, 1)
    [(name, id_, data)] = await watcher.events()
    assert (name, id_, data["items"][0]["sold"]) == ("sale", "2-1", 3)
    assert len(data["items"]) == 1


def test_the_clocks_next_turn_is_told_by_memorys_clock():
    starts, ends = NOW + timedelta(seconds=10), NOW + timedelta(seconds=20)
    drop = Topic(SALE, sale_view)
    assert drop.next_turn_ms() is None
    timed = msgspec.structs.replace(sale(status=SaleStatus.SCHEDULED), starts_at=starts, ends_at=ends)
    now_ms = to_millis(NOW)
    drop.adopt(Snapshot(timed, 1, 1, now_ms), now_ms - 500)  # memory's clock is half a second ahead
    assert drop.next_turn_ms() == to_millis(starts) - 500
    drop.adopt(Snapshot(msgspec.structs.replace(timed, status=SaleStatus.OPEN), 1, 2, now_ms), now_ms)
    assert drop.next_turn_ms() == to_millis(ends)
    drop.adopt(Snapshot(msgspec.structs.replace(timed, status=SaleStatus.CLOSED), 1, 3, now_ms), now_ms)
    assert drop.next_turn_ms() is None


async def test_one_who_falls_behind_the_ring_gets_a_snapshot_and_the_others_every_event():
    channel = Channel(lambda: b"snapshot")
    slow, quick = Viewer(channel, b"first", lambda: None), Viewer(channel, b"first", lambda: None)
    assert await quick.next() == await slow.next() == b"first"
    for number in range(RING_EVENTS + 1):
        channel.publish(b"%d;" % number)
        assert await quick.next() == b"%d;" % number
    assert await slow.next() == b"snapshot"
    channel.publish(b"x;")
    channel.publish(b"y;")
    assert await slow.next() == b"x;y;"


async def test_a_stream_ends_with_its_channel_or_when_its_viewer_leaves():
    left: list[int] = []
    channel = Channel(lambda: b"snapshot")
    stays, goes = Viewer(channel, b"", lambda: left.append(1)), Viewer(channel, b"", lambda: left.append(2))
    await stays.next()
    await goes.next()
    goes.leave()
    goes.leave()
    assert await goes.next() is None
    channel.publish(b"last")
    channel.end()
    assert await stays.next() == b"last"
    assert await stays.next() is None
    stays.leave()
    assert left == [2, 1]
    assert not channel.viewers
