"""What Prometheus reads: of one process, of several that share a port, and of the recorder."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import psutil
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from flashguard.cli.recorder_metrics import serving_metrics
from flashguard.embedded import EmbeddedServers
from flashguard.errors import ConfigurationError
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.recorder import Recorder
from flashguard.settings import Mode, Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.forked import Flashguard
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, READY_SECONDS, Service, clean_env, stop

PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool here")
WORKERS = 2
WAIT_SECONDS = 60.0


async def scrape(http: aiohttp.ClientSession, url: str, **headers: str) -> str:
    async with http.get(url, headers=headers) as answer:
        assert answer.status == 200, answer
        return await answer.text()


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(text: str, name: str, labels: Mapping[str, str] | None = None) -> float:
    """The sum of a metric's samples that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and (labels or {}).items() <= sample.labels.items()
    )


def lint(text: str) -> None:
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


class Api(Service):
    """An API of its own, with its settings."""

    process: Flashguard

    def workers(self) -> list[int]:
        """Its worker processes: uvicorn's children that are not its resource tracker."""
        return [
            child.pid
            for child in psutil.Process(self.process.pid).children()
            if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline())
        ]


@asynccontextmanager
async def api(servers: EmbeddedServers, http: aiohttp.ClientSession, **settings: str) -> AsyncIterator[Api]:
    port = free_port()
    running = Api(f"http://127.0.0.1:{port}", servers, http)
    env = clean_env(
        FLASHGUARD_REDIS_URL=servers.redis_url,
        FLASHGUARD_DATABASE_URL=servers.database_url,
        FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
        FLASHGUARD_PORT=str(port),
        FLASHGUARD_LOG_LEVEL="warning",
        **settings,
    )
    running.process = Flashguard("api", env=env)
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await running.ready():
                assert running.process.poll() is None
                await asyncio.sleep(0.05)
        yield running
    finally:
        running.process.send_signal(signal.SIGINT)
        await stop(running.process)


@PROMTOOL
async def test_promtool_finds_nothing_wrong_with_the_services_metrics(service, http):
    sale = await service.create_sale(stock=1)
    await service.buy(sale, "ada")
    lint(await scrape(http, f"{service.url}/metrics"))


@PROMTOOL
async def test_promtool_finds_nothing_wrong_with_the_recorders_metrics(service, http):
    sale = await service.create_sale(stock=1)
    await service.buy(sale, "ada")
    text = await scrape(http, service.recorder_metrics_url)
    lint(text)
    assert value(text, "flashguard_recorder_group_entries_count") >= 1
    assert value(text, "flashguard_recorder_partitions", {"state": "recording"}) == 16


async def test_what_buyers_were_told_is_counted_in_the_shops_words(service, http):
    sale = await service.create_sale(stock=1)
    before = await scrape(http, f"{service.url}/metrics")
    held = (await service.hold(sale, "ada")).ok(201)
    (await service.hold(sale, "bob")).problem(409, "sold-out")
    (await service.buy(sale, "bob")).problem(409, "sold-out")
    (await service.verb(held["id"], "extend")).ok()
    (await service.verb(held["id"], "confirm")).ok()
    after = await scrape(http, f"{service.url}/metrics")
    for verb, outcome in (
        ("reserve", "held"),
        ("reserve", "sold-out"),
        ("buy", "sold-out"),
        ("extend", "held"),
        ("confirm", "confirmed"),
    ):
        labels = {"verb": verb, "outcome": outcome}
        name = "flashguard_outcomes_total"
        assert value(after, name, labels) == value(before, name, labels) + 1, labels


@pytest.mark.parametrize("lane", ["express", "framework"])
async def test_every_answer_is_timed_whichever_lane_gave_it(service, http, lane):
    sale = await service.create_sale(stock=1)
    route = {"route": "/v1/sales/{sale}/orders"}
    name = "flashguard_http_request_duration_seconds_count"
    before = value(await scrape(http, f"{service.url}/metrics"), name, route)
    past_the_lane = {"Content-Encoding": "identity"} if lane == "framework" else {}
    body = {"customer": "ada", "items": [{"sku": "unit", "quantity": 1}]}
    (await service.call("POST", f"/v1/sales/{sale}/orders", body, headers=past_the_lane)).ok(201)
    after = await scrape(http, f"{service.url}/metrics")
    assert value(after, name, route) == before + 1
    assert (
        value(after, "flashguard_http_request_duration_seconds_bucket", route | {"le": "+Inf"}) == before + 1
    )


async def test_requests_that_shared_a_script_call_are_seen_in_its_histogram(service, http):
    sale = await service.create_sale(stock=1)
    verb = {"verb": "reserve_stock"}
    before = await scrape(http, f"{service.url}/metrics")
    await asyncio.gather(*(service.buy(sale, f"c{n}") for n in range(50)))
    after = await scrape(http, f"{service.url}/metrics")
    requests, calls = (
        value(after, name, verb) - value(before, name, verb)
        for name in ("flashguard_script_call_requests_sum", "flashguard_script_call_requests_count")
    )
    assert requests == 50
    assert 1 <= calls <= 50
    waits = "flashguard_ledger_wait_duration_seconds_count"
    assert value(after, waits) == value(before, waits) + 1  # one order, in one batch


async def test_the_stock_of_running_sales_is_shown(service, http):
    sale = await service.create_sale(stock=7)
    (await service.buy(sale, "ada", 2)).ok(201)
    text = await scrape(http, f"{service.url}/metrics")
    name = "flashguard_item_units"
    shown = {
        state: value(text, name, {"sale": sale, "state": state}) for state in ("available", "held", "sold")
    }
    assert shown == {"available": 5, "held": 0, "sold": 2}


async def test_a_setting_bounds_how_many_items_are_shown(servers, service, http):
    await service.create_sale(stock=1, skus=("a", "b", "c", "d"))
    async with api(servers, http, FLASHGUARD_METRICS_MAX_ITEMS="3") as bounded:
        text = await scrape(http, f"{bounded.url}/metrics")
    shown = [s for s in families(text)["flashguard_item_units"].samples if s.labels["state"] == "sold"]
    assert len(shown) == 3
    assert value(text, "flashguard_items_not_shown") >= 1


async def test_workers_add_up_and_what_a_killed_one_counted_stays_counted(servers, service, http):
    sale = await service.create_sale(stock=200)
    async with api(servers, http, FLASHGUARD_WORKERS=str(WORKERS)) as several:

        async def bought() -> float:
            text = await scrape(http, f"{several.url}/metrics", Connection="close")
            return value(text, "flashguard_outcomes_total", {"verb": "buy", "outcome": "confirmed"})

        async def buy(count: int, of: str) -> None:
            for number in range(count):
                body = {"customer": f"{of}{number}", "items": [{"sku": "unit", "quantity": 1}]}
                answer = await several.call(
                    "POST", f"/v1/sales/{sale}/orders", body, headers={"Connection": "close"}
                )
                answer.ok(201)

        await buy(40, "a")
        async with asyncio.timeout(WAIT_SECONDS):
            while await bought() != 40:
                await asyncio.sleep(0.1)
        seen = [await bought() for _ in range(20)]
        assert seen == [40] * 20  # whichever worker is asked
        workers = several.workers()
        assert len(workers) == WORKERS
        os.kill(workers[0], signal.SIGKILL)
        async with asyncio.timeout(WAIT_SECONDS):
            while len(several.workers()) < WORKERS or workers[0] in several.workers():
                await asyncio.sleep(0.1)
            while not await several.ready():
                await asyncio.sleep(0.1)
        assert await bought() == 40
        await buy(10, "b")
        async with asyncio.timeout(WAIT_SECONDS):
            while await bought() != 50:
                await asyncio.sleep(0.1)


@pytest.fixture
async def idle_recorder(service, servers: EmbeddedServers) -> AsyncIterator[Recorder]:
    """A recorder that does not run."""
    settings = Settings(redis_url=service.redis_url)
    memory, ledger = connect_kernel(service.redis_url, settings), await Ledger.connect(servers.database_url)
    yield Recorder(Kernel(memory), ledger, settings, 16)
    await memory.aclose()
    await ledger.close()


async def test_in_production_a_recorders_metrics_need_the_admin_key(idle_recorder, http):
    port = free_port()
    settings = Settings(mode=Mode.PRODUCTION, admin_key=ADMIN_KEY, recorder_metrics_port=port)
    url = f"http://127.0.0.1:{port}/metrics"
    async with serving_metrics(idle_recorder, settings):
        for sent in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": ADMIN_KEY}):
            async with http.get(url, headers=sent) as answer:
                assert answer.status == 401
                assert "flashguard_" not in await answer.text()
        text = await scrape(http, url, Authorization=f"Bearer {ADMIN_KEY}")
    assert value(text, "flashguard_recorder_transitions_total") == 0


async def test_whether_a_recorder_runs_is_told_without_a_key_and_nothing_else_is(idle_recorder, http):
    port = free_port()
    settings = Settings(mode=Mode.PRODUCTION, admin_key=ADMIN_KEY, recorder_metrics_port=port)
    async with serving_metrics(idle_recorder, settings):
        async with http.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert answer.status == 404


async def test_a_recorder_says_what_keeps_it_from_serving_metrics(idle_recorder):
    open_to_all = Settings(mode=Mode.PRODUCTION, recorder_metrics_port=free_port())
    with pytest.raises(ConfigurationError, match="FLASHGUARD_ADMIN_KEY"):
        async with serving_metrics(idle_recorder, open_to_all):
            pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(recorder_metrics_port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="Cannot listen"):
            async with serving_metrics(idle_recorder, settings):
                pass
