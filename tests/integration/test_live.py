"""Live events of a sale, against the real service."""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flashguard.embedded import EmbeddedServers
from flashguard.ledger import Ledger
from tests.support.eventually import eventually
from tests.support.forked import Flashguard
from tests.support.service import ADMIN_KEY, READY_SECONDS, Service, clean_env, stop
from tests.support.streams import another_api, metric, stream


async def test_the_sale_comes_first_and_a_change_within_300_ms(service):
    sale = await service.create_sale(stock=5)
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        first = await events.next()
        assert first.name == "sale"
        assert first.data == (await service.call("GET", f"/v1/sales/{sale}")).ok()
        await asyncio.sleep(1.2)  # the reader waits for news now
        (await service.buy(sale, "ann")).ok(201)
        bought_at = time.monotonic()
        change = await events.next()
        took = [change.at - bought_at]
        assert change.name == "stock"
        assert change.data["sale_id"] == sale
        assert change.data["items"] == [{"sku": "unit", "stock": 5, "available": 4, "held": 0, "sold": 1}]
        assert tuple(map(int, change.id.split("-"))) > tuple(map(int, first.id.split("-")))
        while min(took) > 0.3 and len(took) < 5:  # on a busy machine one alone says little
            (await service.buy(sale, f"c{len(took)}")).ok(201)
            bought_at = time.monotonic()
            took.append((await events.next()).at - bought_at)
        assert min(took) < 0.3


async def test_a_rush_comes_as_at_most_one_event_per_100_ms_and_ends_with_the_truth(service):
    sale = await service.create_sale(stock=1_000)
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        await events.next()

        async def rush() -> None:
            for start in range(0, 1_000, 20):
                await asyncio.gather(*(service.buy(sale, f"c{start + n}") for n in range(20)))

        rushing = asyncio.create_task(rush())
        times, sold = [], 0
        while sold < 1_000:
            event = await events.until("stock")
            times.append(event.at)
            assert event.data["items"][0]["sold"] >= sold
            sold = event.data["items"][0]["sold"]
        await rushing
    over = times[-1] - times[0]
    assert len(times) <= over / 0.1 + 2
    assert (await service.item(sale))["sold"] == 1_000


async def test_only_changed_items_come_and_a_change_of_the_sale_brings_all_of_it(service):
    sale = await service.create_sale(stock=5, skus=("unit", "other"))
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        await events.next()
        (await service.hold(sale, "ann", 2)).ok(201)
        assert [item["sku"] for item in (await events.next()).data["items"]] == ["unit"]
        await service.admin("POST", f"/v1/sales/{sale}/pause")
        paused = await events.next()
        assert (paused.name, paused.data["status"]) == ("sale", "paused")
        assert paused.data["items"][0]["held"] == 2
        await service.admin("PATCH", f"/v1/sales/{sale}", {"limit_per_customer": 3})
        assert (await events.next()).data["limit_per_customer"] == 3
        await service.admin("PATCH", f"/v1/sales/{sale}", {"name": "Another name"})
        assert (await events.next()).data["name"] == "Another name"


async def test_an_item_that_comes_changes_or_goes_brings_the_whole_sale(service):
    sale = await service.create_sale(skus=("unit", "cap"), spread=1)
    path = f"/v1/sales/{sale}/items"
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        await events.next()
        hat = {"sku": "hat", "name": "Hat", "price_minor": 500, "currency": "EUR", "stock": 3}
        await service.admin("POST", path, hat)
        assert [each["sku"] for each in (await events.until("sale")).data["items"]] == ["unit", "cap", "hat"]
        await service.admin("PATCH", f"{path}/hat", {"price_minor": 700, "on_sale": False})
        *_, changed = (await events.until("sale")).data["items"]
        assert (changed["price_minor"], changed["on_sale"]) == (700, False)
        assert (await service.call("DELETE", f"{path}/cap", admin=True)).status == 204
        assert [each["sku"] for each in (await events.until("sale")).data["items"]] == ["unit", "hat"]
        (await service.buy(sale, "ann")).ok(201)
        [counted] = (await events.until("stock")).data["items"]
        assert (counted["sku"], counted["sold"]) == ("unit", 1)


async def test_a_sale_that_the_clock_opens_and_closes_says_so(service):
    now = datetime.now(UTC)
    times = {
        "starts_at": (now + timedelta(seconds=2)).isoformat(),
        "ends_at": (now + timedelta(seconds=4)).isoformat(),
    }
    sale = await service.create_sale(**times)
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        assert (await events.next()).data["status"] == "scheduled"
        assert (await events.next()).data["status"] == "open"
        assert datetime.now(UTC) - now > timedelta(seconds=1.9)
        assert (await events.next()).data["status"] == "closed"


async def test_a_viewer_that_comes_back_gets_only_what_changed_since(service):
    sale = await service.create_sale(stock=5, skus=("unit", "other"))
    path = f"/v1/sales/{sale}/events"
    async with stream(service, path) as events:
        first = await events.next()
        (await service.hold(sale, "ann")).ok(201)
        change = await events.next()
    (await service.hold(sale, "bob")).ok(201)
    await asyncio.sleep(0.3)
    async with stream(service, path, {"Last-Event-ID": change.id}) as events:
        since = await events.next()
        assert (since.name, since.data["items"][0]["held"]) == ("stock", 2)
        assert len(since.data["items"]) == 1
    async with stream(service, f"{path}?last_event_id={since.id}") as events:
        nothing = await events.next()
        assert (nothing.name, nothing.data["items"]) == ("stock", [])
    await service.admin("POST", f"/v1/sales/{sale}/pause")
    for old in (first.id, "999-1", "1", "-", "x" * 60, "1-²", "9" * 60 + "-1"):
        async with stream(service, path, {"Last-Event-ID": old}) as events:
            assert (await events.next()).name == "sale"


async def test_pings_come_and_streams_leave_when_their_viewers_do(service):
    sale = await service.create_sale()

    async def there_are(viewers: int) -> bool:
        return await metric(service, "flashguard_live_viewers") == viewers

    await eventually(lambda: there_are(0), "the viewers of other tests have left")
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        await events.next()
        assert await there_are(1)
        assert (await events.next(pings=True)).name == "ping"
    await eventually(lambda: there_are(0), "the viewer has left")


async def test_an_unknown_sale_is_a_problem_before_the_stream_starts(service):
    (await service.call("GET", "/v1/sales/no-such-sale/events")).problem(404, "unknown-sale")


async def test_one_reader_serves_however_many_viewers(service, http):
    sale = await service.create_sale(stock=100)
    async with another_api(service, http) as another:

        async def view(number: int, ready: asyncio.Barrier) -> int:
            async with stream(another, f"/v1/sales/{sale}/events") as events:
                await events.next()
                await ready.wait()
                return (await events.until("stock")).data["items"][0]["sold"]

        ready = asyncio.Barrier(101)
        viewers = [asyncio.create_task(view(number, ready)) for number in range(100)]
        await ready.wait()
        before, started = await metric(another, "flashguard_live_reads_total"), time.monotonic()
        await asyncio.sleep(2.2)
        (await another.buy(sale, "ann")).ok(201)
        assert await asyncio.gather(*viewers) == [1] * 100
        reads = await metric(another, "flashguard_live_reads_total") - before
        assert reads <= (time.monotonic() - started) + 4  # a second each while nothing happens


async def test_a_process_takes_only_so_many_viewers(service, http):
    sale = await service.create_sale()
    path = f"/v1/sales/{sale}/events"
    async with another_api(service, http, FLASHGUARD_MAX_VIEWERS="2") as another:
        async with stream(another, path), stream(another, path):
            refused = await another.call("GET", path)
            refused.problem(503, "overloaded")
            assert refused.headers["Retry-After"]
        await asyncio.sleep(0.2)
        async with stream(another, path) as events:
            assert (await events.next()).name == "sale"


async def test_a_slow_viewer_gets_a_fresh_snapshot_and_the_others_wait_for_nobody(service):
    """A viewer that takes nothing for a while: beyond what sockets hold, nothing is kept for it."""
    skus = tuple(f"{'long-' * 20}{number:04d}" for number in range(200))
    sale = await service.create_sale(skus=skus)  # its snapshots are large
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", int(service.url.rsplit(":", 1)[1])))
    slow.sendall(f"GET /v1/sales/{sale}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    changes = 160
    async with stream(service, f"/v1/sales/{sale}/events") as quick:
        await quick.next()
        for change in range(changes):
            await service.admin("PATCH", f"/v1/sales/{sale}", {"limit_per_customer": change + 1})
            event = await quick.until("sale")
            assert event.data["limit_per_customer"] == change + 1
    last = f'"limit_per_customer":{changes},'.encode()
    seen = await asyncio.to_thread(_read_until, slow, last)
    slow.close()
    assert seen.count(b"event: sale") < changes - 20


def _read_until(connection: socket.socket, text: bytes) -> bytes:
    connection.settimeout(20)
    seen = bytearray()
    while text not in seen[-2_000_000:]:
        chunk = connection.recv(2**20)
        assert chunk, "the stream ended"
        seen += chunk
    return bytes(seen)


async def test_a_server_that_is_told_to_end_ends_its_streams(service, http):
    sale = await service.create_sale()
    async with another_api(service, http) as another, stream(another, f"/v1/sales/{sale}/events") as events:
        await events.next()
        started = time.monotonic()
        another.process.send_signal(signal.SIGTERM)
        await events.rest()
        await asyncio.to_thread(another.process.wait, 10)
        assert time.monotonic() - started < 10  # and not when a ping fails, or a wait is over


async def test_while_memory_is_away_viewers_are_told_and_then_get_the_sale_afresh(http):
    folder = Path(tempfile.mkdtemp(prefix="fg-test-", dir="/tmp"))
    folder.chmod(0o755)
    recorder = None
    try:
        async with EmbeddedServers(folder / "data") as servers:
            ledger = await Ledger.connect(servers.database_url)
            await ledger.migrate(4)
            await ledger.close()
            env = clean_env(
                FLASHGUARD_REDIS_URL=servers.redis_url, FLASHGUARD_DATABASE_URL=servers.database_url
            )
            recorder = Flashguard("recorder", env=env)
            async with another_api(servers, http) as own:
                await _until_ready(own)
                await _away_and_back(own, servers)
            recorder.terminate()
            await stop(recorder)
    finally:
        if recorder is not None and recorder.poll() is None:
            recorder.kill()
        shutil.rmtree(folder, ignore_errors=True)


async def _until_ready(service: Service) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while not await service.ready():
            await asyncio.sleep(0.05)


async def _away_and_back(own: Service, servers: EmbeddedServers) -> None:
    assert own.admin_key == ADMIN_KEY
    sale = await own.create_sale(stock=5)
    path = f"/v1/sales/{sale}/events"
    async with stream(own, path) as events:
        first = await events.next()
        (await own.buy(sale, "ann")).ok(201)
        await events.until("stock")
        os.kill(servers.valkey.pid, signal.SIGKILL)
        assert (await events.until("away")).data["code"] == "recovering"
        async with stream(
            own, path
        ) as late:  # one who comes now sees what the ledger knows, and that it is stale
            assert (await late.next()).data["items"][0]["sold"] == 1
            assert (await late.next()).name == "away"
            await servers.valkey.start()
            for viewer in (events, late):
                again = await viewer.until("sale", 30)
                assert again.data["items"][0]["sold"] == 1
                assert again.id is not None
        await _until_ready(own)
        (await own.buy(sale, "bob")).ok(201)
        assert (await events.until("stock")).data["items"][0]["sold"] == 2
    assert first.id is not None
