"""`flashguard.aws.recorder_handler.handler`: the recorder as a scheduled Lambda, the cheaper choice.

It takes all partitions, records what there is, and ends when nothing came for a while, or shortly before its
time does. Between two runs nothing is recorded: a buy then waits for the next run, longer than it is let to.
So it is for installations that only hold between runs, or that can wait; see docs/how-to/aws-lambda.md.
"""

import asyncio
import os
import time
from typing import Any, Final, Protocol

from .emf import Telling
from .recorder import SERVICE, recording, tell
from .settings import settings_on_aws

IDLE: Final = "FLASHGUARD_AWS_IDLE_SECONDS"
IDLE_SECONDS: Final = 5.0
"""With nothing to record for so long, a run ends, unless the variable says otherwise."""
SPARE_SECONDS: Final = 5.0
"""So long before Lambda ends a run it stops by itself, and hands over."""
LOOK_SECONDS: Final = 0.5


class Context(Protocol):
    """What we need of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda cuts the run off."""


def handler(event: Any, context: Context) -> dict[str, Any]:
    """Records for a while; says how much was left."""
    return asyncio.run(_record(context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS))


async def _record(seconds: float) -> dict[str, Any]:
    ends_at = time.monotonic() + max(0.0, seconds)
    idle_seconds = float(os.environ.get(IDLE, IDLE_SECONDS))
    telling = Telling(os.environ.get(SERVICE, "flashguard"))
    left: int | None = None
    busy_at = time.monotonic()
    async with recording(settings_on_aws()) as now:
        while time.monotonic() < ends_at:
            await asyncio.sleep(LOOK_SECONDS)
            state = await now.state()
            left = None if state is None else state.lag_entries
            if state is None or state.lag_entries or state.fenced:
                busy_at = time.monotonic()
            elif time.monotonic() - busy_at >= idle_seconds:
                break
        state = await now.state()
        if state is not None:
            left = state.lag_entries
            tell(telling.line(now.recorder, state))
    return {"lag_entries": left}
