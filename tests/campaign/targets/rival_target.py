"""A strategy of the simulator as a target: its service behind FastAPI, on embedded servers of its own."""

from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from flashguard.embedded import EmbeddedServers
from flashguard.simulator.run import baseline_service
from flashguard.simulator.strategies import BASELINES
from tests.campaign.targets.target import About, Answer, Order, Target, Word, buyer_name
from tests.campaign.targets.web import Web

NONE = "It promises nothing: it is here because shops are written so."
ONE_AT_A_TIME = "No unit is sold twice."
PROMISES = {"naive": NONE}


class RivalTarget(Target):
    """One way in which shops sell without FlashGuard. It sells in one step, and knows no keys."""

    def __init__(self, strategy: str) -> None:
        self._strategy = strategy
        self._running = AsyncExitStack()
        self._round = AsyncExitStack()

    async def start(self, folder: Path) -> About:
        self._servers = await self._running.enter_async_context(EmbeddedServers(folder / "rival"))
        return About(
            name=f"strategy {self._strategy}",
            version=version("flashguard"),
            setup="one process of FastAPI and uvicorn, 20 connections to the embedded PostgreSQL; Valkey "
            "where the strategy needs it",
            promise=PROMISES.get(self._strategy, ONE_AT_A_TIME),
            source=f"src/flashguard/simulator/strategies/{BASELINES[self._strategy].__module__.rpartition('.')[2]}.py",
            has_holds=False,
            has_release=False,
            has_keys=False,
        )

    async def stop(self) -> None:
        await self._round.aclose()
        await self._running.aclose()

    async def open(self, units: int, buyers: int) -> None:
        await self._round.aclose()
        service = baseline_service(
            self._strategy, units, self._servers.redis_url, self._servers.database_url, ""
        )
        self._web = await self._round.enter_async_context(Web(await self._round.enter_async_context(service)))

    async def reserve(self, buyer: int, key: str) -> Answer:
        reply = await self._web.call("POST", "/buy", {"customer": buyer_name(buyer)})
        if reply.status == 201:
            return Answer.of(reply, Word.GRANTED, reply.body["order"])
        return Answer.of(reply, Word.REFUSED if reply.status == 409 else Word.UNKNOWN)

    async def confirm(self, buyer: int, hold: str, key: str) -> Answer:
        raise AssertionError("it has no holds")

    async def release(self, buyer: int, hold: str, key: str) -> Answer:
        raise AssertionError("it has no holds")

    async def stock(self) -> int:
        truth = await self._web.must("GET", "/truth")
        return sum(left for _, left in truth["stocks"].values())

    async def orders(self) -> list[Order]:
        found = await self._web.must("GET", "/orders")
        return [Order(order["id"], order["customer"], 1) for order in found]
