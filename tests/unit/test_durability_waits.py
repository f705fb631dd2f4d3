"""A hold that waits for its durability is answered, also when the connection is lost meanwhile."""

import asyncio
from typing import Any

from flashguard.engine.durability import DurabilityWaiter
from flashguard.model import Durability
from flashguard.valkey.errors import LostConnection


class SilentLink:
    """A connection to a server that hangs."""

    def __init__(self) -> None:
        self.lost: LostConnection | None = None

    async def ask(self, *_: Any) -> None:
        await asyncio.Event().wait()


class Client:
    """A client with one connection at a time."""

    def __init__(self) -> None:
        self.now = SilentLink()

    def link(self, _: str) -> SilentLink:
        return self.now


async def test_a_hold_that_waits_is_answered_when_another_one_finds_a_new_connection() -> None:
    client = Client()
    waiter = DurabilityWaiter(client, 1, 5.0)  # type: ignore[arg-type]
    first = asyncio.create_task(waiter.reach(Durability.REPLICATED, 0))
    await asyncio.sleep(0.01)
    client.now.lost = LostConnection("demoted")
    client.now = SilentLink()
    second = asyncio.create_task(waiter.reach(Durability.REPLICATED, 0))
    await asyncio.wait([first], timeout=2)
    assert first.done()
    assert not first.cancelled()
    assert first.result() is False
    waiter.close()
    assert await second is False
