"""`flashguard.aws.recorder_handler.handler`: the recorder as a scheduled Lambda, the cheaper choice.

A run claims all partitions, records what is in their journals, and ends when nothing new arrives for a while,
or shortly before Lambda stops it. Between two runs nothing is recorded, so a buy would wait for the next run
and time out. Use it where buyers only hold between runs, or can wait; see docs/how-to/aws-lambda.md.
"""

import asyncio
import os
import time
from typing import Any, Final

from .context import LambdaContext
from .emf import MetricLines
from .recorder import SERVICE, print_line, recording
from .settings import settings_on_aws

IDLE: Final = "FLASHGUARD_AWS_IDLE_SECONDS"
IDLE_SECONDS: Final = 5.0
"""A run ends after this time without anything to record, unless the variable is set."""
SPARE_SECONDS: Final = 5.0
"""A run stops and hands over this long before Lambda would stop it."""
POLL_SECONDS: Final = 0.5


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Record for a while; return how many journal entries are left."""
    return asyncio.run(_record(context.get_remaining_time_in_millis() / 1000 - SPARE_SECONDS))


async def _record(seconds: float) -> dict[str, Any]:
    ends_at = time.monotonic() + max(0.0, seconds)
    idle_seconds = float(os.environ.get(IDLE, IDLE_SECONDS))
    lines = MetricLines(os.environ.get(SERVICE, "flashguard"))
    left: int | None = None
    busy_at = time.monotonic()
    async with recording(settings_on_aws()) as now:
        while time.monotonic() < ends_at:
            await asyncio.sleep(POLL_SECONDS)
            state = await now.state()
            left = None if state is None else state.lag_entries
            if state is None or state.lag_entries or state.fenced:
                busy_at = time.monotonic()
            elif time.monotonic() - busy_at >= idle_seconds:
                break
        state = await now.state()
        if state is not None:
            left = state.lag_entries
            print_line(lines.line(now.recorder, state))
    return {"lag_entries": left}
