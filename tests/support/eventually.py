"""Waiting for what is promised, not for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from flashguard.valkey.errors import RedisError

PATIENCE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.02


async def eventually(
    holds: Callable[[], Awaitable[Any]],
    what: str | Callable[[], str],
    seconds: float = PATIENCE_SECONDS,
    *,
    poll_seconds: float = POLL_SECONDS,
) -> float:
    """Wait until the condition holds; return how long that took, in seconds.

    A server that does not answer does not hold.

    Parameters:
        what: names the condition in the failure.

    Raises:
        AssertionError: it did not hold within the time.
    """
    started = time.monotonic()
    while True:
        error: Exception | None = None
        try:
            if await holds():
                return time.monotonic() - started
        except (RedisError, OSError, TimeoutError) as away:
            error = away
        if time.monotonic() > started + seconds:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {seconds:g} s: {said}") from error
        await asyncio.sleep(poll_seconds)
