"""What tests share: real embedded servers, and the real service as child processes on top of them."""

import signal
from collections.abc import AsyncIterator
from itertools import groupby

import aiohttp
import pytest

from flashguard.embedded import EmbeddedServers
from tests.support import stacks
from tests.support.finished_sales import retire_sales
from tests.support.service import Service, migrated_servers, serving
from tests.support.stacks import Stack

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell's background job ignores it, and so would each child that a test interrupts."""

pytest_plugins = ["tests.support.browser", "tests.support.up", "tests.support.simulations"]


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[EmbeddedServers]:
    """Valkey and PostgreSQL of this test session, migrated."""
    async with migrated_servers() as started:
        yield started


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with as many connections as a test wants.

    It forgets idle ones before the service closes them (5 s): between tests no loop runs that would notice.
    """
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


if stacks.chosen() == stacks.EMBEDDED:

    @pytest.fixture(scope="session")
    async def stack(servers: EmbeddedServers) -> Stack:
        """What the service runs on."""
        return Stack(servers.redis_url, servers.database_url)

else:

    @pytest.fixture(scope="session")
    async def stack() -> AsyncIterator[Stack]:
        """What this session was asked to run the service on: see `stacks`."""
        async with stacks.running() as started:
            yield started


RUNNING = pytest.StashKey[Service]()


@pytest.fixture(scope="session")
async def service(
    stack: Stack, http: aiohttp.ClientSession, request: pytest.FixtureRequest
) -> AsyncIterator[Service]:
    """The real service."""
    async with serving(stack, http) as running:
        request.session.stash[RUNNING] = running
        yield running


@pytest.fixture(scope="module", autouse=True)
async def finished_sales_retire(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """After each file, its sales no longer cost the service anything: the last file would have thousands."""
    yield
    service = request.session.stash.get(RUNNING, None)
    if service is not None and stacks.chosen() == stacks.EMBEDDED:
        await retire_sales(service)


SLOW_FILES = (
    "test_kernel_model.py", "test_schemathesis.py", "test_up.py", "test_bench.py", "test_simulate.py",
    "test_ledger_fell_back.py", "test_amends_survive.py", "test_kill_everything.py", "test_simulator.py",
    "test_payments_stripe.py", "test_live.py", "test_memory_lost.py", "test_servers_away.py",
    "test_webhooks.py", "test_mixed.py", "test_connection.py", "test_protocol_model.py",
    "test_waiting_room_kept.py",
    "test_campaign.py", "test_lambda.py", "test_recorders_share.py", "test_items_survive.py",
    "test_payments_survive.py", "test_durability.py", "test_ledger_refuses.py", "test_junk.py",
    "test_lambda_recorder.py", "test_spread_survives.py", "test_stop.py", "test_cli.py", "test_doc_pages.py",
    "test_room_spread_survives.py", "test_slots_move.py", "test_packages.py", "test_doctor_on_copies.py",
    "test_facts.py", "test_descriptors.py", "test_simulation.py", "test_mixed_payments.py", "test_targets.py",
)  # fmt: skip
"""Begun first, the longest first, so that no worker is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
    first = sum(item.path.name in rank for item in items)
    items[first:] = _spread_out(items[first:])


def _spread_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with the browser's files among the others: a browser needs a core, most tests wait."""
    files = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
    browsers = [file for file in files if file[0].path.parent.name == "web"]
    others = [file for file in files if file[0].path.parent.name != "web"]
    places = [((n + 0.5) / len(browsers), file) for n, file in enumerate(browsers)]
    places += [(n / len(others), file) for n, file in enumerate(others)]
    return [item for _, file in sorted(places, key=lambda each: each[0]) for item in file]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        if mark.args[0] in stacks.lacks():
            pytest.skip(f"not on {stacks.chosen()}: {mark.args[0]}")
