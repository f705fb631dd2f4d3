"""A rival strategy behind the lane, in the engine's place, so that a comparison measures no framework.

Server, checks and answers are those of FlashGuard's own buys. The simulator and the benchmark run it as a
child process: `python -m flashguard.api.rivals --strategy row-lock …`.
"""

from datetime import UTC, datetime
from typing import Final, cast

import asyncpg
from fastapi import FastAPI
from redis.exceptions import RedisError

from flashguard.api.responses.encoded import Encoded
from flashguard.api.responses.problems import problem
from flashguard.api.schemas.bodies import PlainBasket
from flashguard.api.schemas.views import outcome_response
from flashguard.errors import Code
from flashguard.guard import FlashGuard
from flashguard.ledger import LedgerAway
from flashguard.model import (
    CustomerId,
    Granted,
    Line,
    Refused,
    Reservation,
    ReservationId,
    ReservationStatus,
    SaleId,
    Sku,
)
from flashguard.settings import Settings
from flashguard.simulator import baseline

from .access import Caller
from .hot_calls import BUY, HotCall, Match
from .server.front_door import FrontDoor
from .server.hot_request import HotRequest
from .server.lane import Headers
from .shared import Shared

UNIT: Final = (Line(Sku("drop"), 1),)


class RivalDoor(FrontDoor):
    """The front door with a strategy behind its lane. A buy takes one unit, whatever its basket names.

    Parameters:
        app: the strategy's service, which connects it.
    """

    def __init__(self, app: FastAPI) -> None:
        settings = Settings(rate_per_address=None, rate_per_key=None, rate_per_customer=None)
        super().__init__(app, Shared(settings))
        self.shared.guard = cast(FlashGuard, app)  # the lane plans calls only while the process is connected
        self._buy = HotCall(BUY.method, BUY.path, BUY.right, self._sell, BUY.read_body, has_key=True)

    def plan(
        self, match: Match, headers: Headers, body: bytes, peer: tuple[str, int] | None = None
    ) -> HotRequest | None:
        """Begin a buy; None for any other call."""
        if match.call is not BUY:
            return None
        return super().plan(Match(self._buy, match.names), headers, body, peer)

    async def _sell(
        self, _: FlashGuard, __: Caller, sale: str, body: PlainBasket, ___: str | None
    ) -> Encoded:
        """Return 201 with the order, or the problem.

        Raises:
            LedgerAway: a server of the strategy did not answer in time.
        """
        try:
            order = await self.app.state.strategy.buy(body.customer)
        except (TimeoutError, asyncpg.PostgresError, RedisError) as error:
            raise LedgerAway(str(error)) from error
        if order is None:
            return problem(Refused(code=Code.SOLD_OUT))
        now = datetime.now(UTC)
        reservation = Reservation(
            id=ReservationId(order), sale_id=SaleId(sale), customer=CustomerId(body.customer),
            status=ReservationStatus.CONFIRMED, items=UNIT, created_at=now, confirmed_at=now,
        )  # fmt: skip
        return outcome_response(Granted(reservation), 201)


def create_worker() -> RivalDoor:
    """Return one of several workers."""
    return RivalDoor(baseline.create_worker())


if __name__ == "__main__":
    baseline.main(RivalDoor, "flashguard.api.rivals:create_worker", "flashguard.api.server.wire:Wire")
