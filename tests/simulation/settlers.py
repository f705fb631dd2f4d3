"""The process of a run that settles payments, and the faults that only it has."""

import asyncio
import random
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import asyncpg

from flashguard.ledger.payments import PaymentBook
from flashguard.payments import payments, settler
from tests.simulation.processes import Api
from tests.simulation.provider import Card
from tests.simulation.virtual import Dates

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

for module in (payments, settler):
    vars(module)["datetime"] = Dates


class Book(PaymentBook):
    """Claims in an order of its own: that of an UPDATE's rows is not always the same."""

    async def claim(self, *given: Any, **more: Any) -> list[asyncpg.Record]:
        return sorted(await super().claim(*given, **more), key=itemgetter("id"))

    async def claim_refunds(self, *given: Any) -> list[asyncpg.Record]:
        return sorted(await super().claim_refunds(*given), key=itemgetter("payment", "number"))


vars(settler)["PaymentBook"] = Book


class Settler(Api):
    """The part of `flashguard deliverer` that settles payments. Webhooks are not simulated."""

    async def _main(self) -> None:
        await super()._main()
        assert self.payments is not None
        await self.payments.settler.run()


async def kill_settler(shop: "Shop", rng: random.Random) -> None:
    """A process that settles payments, and does nothing else, dies."""
    process = rng.choice(shop.settlers)
    process.kill()
    await asyncio.sleep(rng.uniform(0.05, 2.0))
    if not process.is_alive:
        process.start()


async def hang_provider(shop: "Shop", rng: random.Random) -> None:
    """The provider does not answer for a while."""
    Card.bank.hangs_until = shop.world.now + rng.choice([0.5, 5.0, 20.0]) * rng.random()
