"""What tests of simulations share: waiting for their end, and a place that is free before and after."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from flashguard.kernel import keys
from tests.support.service import Service

PATH = "/v1/simulations"


async def over(service: Service, id_: str, seconds: float = 60.0) -> dict[str, Any]:
    """The simulation once it has ended."""
    async with asyncio.timeout(seconds):
        while True:
            simulation = (await service.call("GET", f"{PATH}/{id_}")).ok()
            if simulation["finished_at"]:
                return simulation
            await asyncio.sleep(0.1)


@pytest.fixture
async def quiet(service: Service) -> AsyncIterator[None]:
    """Nothing runs before, nothing after."""
    yield
    page = await service.admin("GET", PATH)
    for simulation in page["data"]:
        if simulation["finished_at"] is None:
            await service.admin("POST", f"{PATH}/{simulation['id']}/stop")
            await over(service, simulation["id"])
    async with asyncio.timeout(10):
        while await _place_taken(service):
            await asyncio.sleep(0.1)


async def _place_taken(service: Service) -> bool:
    async with Redis.from_url(service.redis_url) as redis:
        return await redis.get(keys.simulation_running()) is not None
