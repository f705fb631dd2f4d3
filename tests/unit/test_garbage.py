"""What faults leave behind is collected before it is large; our own errors leave nothing to collect."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from flashguard.garbage import THRESHOLDS, collect_rarely
from flashguard.valkey.connection import Connection
from flashguard.valkey.errors import BusyLoadingError

MADE = 5 * THRESHOLDS[0]
MOST_WASTE = 12_000
"""Objects of cycles that may wait for the collector: about 2 MB of tracebacks and frames."""


class Waste:
    """A cycle, as the exception of a failed connection is part of."""

    def __init__(self, alive: "weakref.WeakSet[Waste]") -> None:
        self.me = self
        alive.add(self)


@pytest.fixture
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    gc.collect()


@pytest.mark.usefixtures("_as_before")
def test_cycles_are_collected_while_they_are_few() -> None:
    collect_rarely()
    most, alive = 0, weakref.WeakSet[Waste]()
    for _ in range(MADE):
        Waste(alive)
        most = max(most, len(alive))
    assert 0 < most < MOST_WASTE


async def test_a_refused_command_leaves_no_cycle() -> None:
    connection = Connection()
    asked = asyncio.create_task(_refused(connection))
    await asyncio.sleep(0)
    gc.collect()
    gc.disable()
    try:
        connection.data_received(b"-LOADING Valkey is loading the dataset in memory\r\n")
        error = await asked
        assert error() is None, gc.get_referrers(error())
    finally:
        gc.enable()


async def _refused(connection: Connection) -> "weakref.ref[Any]":
    try:
        await connection.ask(("PING",), 60.0)
    except BusyLoadingError as error:
        return weakref.ref(error)
    raise AssertionError("the command was not refused")
