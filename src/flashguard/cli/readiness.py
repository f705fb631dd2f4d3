"""Waits until a service that was started says that it is ready, and says why it is not."""

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from flashguard.errors import FlashGuardError

READY_TIMEOUT_SECONDS: Final = 60.0
"""A service that did not answer at all in this time did not start."""
READY_POLL_SECONDS: Final = 0.1
NOT_READY_SECONDS: Final = 5.0
"""How long a service may answer that it is not ready before the reason is shown, and the time between two."""


class _Component(msgspec.Struct):
    status: str
    detail: str | None = None


class _Readiness(msgspec.Struct):
    components: dict[str, _Component]


async def wait_until_ready(url: str, say: Callable[[str], None]) -> None:
    """Return once the address answers 200; say why it answers otherwise.

    Raises:
        FlashGuardError: nothing answered at all.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + READY_TIMEOUT_SECONDS
    speak = told = None
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        while speak is not None or loop.time() < give_up:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
                    why = _reasons(await answer.read())
                speak = speak or loop.time() + NOT_READY_SECONDS
                if loop.time() >= speak and why != told:
                    say(f"not ready: {why}")
                    speak, told = loop.time() + NOT_READY_SECONDS, why
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(READY_POLL_SECONDS)
    raise FlashGuardError(f"{url} did not answer within {READY_TIMEOUT_SECONDS:g} s.")


def _reasons(answer: bytes) -> str:
    """Return which components of a readiness answer are not ready, and why."""
    try:
        components = msgspec.json.decode(answer, type=_Readiness).components
    except msgspec.DecodeError:
        return "the API answers something else than its readiness"
    bad = {name: one for name, one in components.items() if one.status not in ("ok", "degraded")}
    return "; ".join(
        f"{name} is {one.status}" + (f" ({one.detail})" if one.detail else "") for name, one in bad.items()
    )
