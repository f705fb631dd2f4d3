"""Waits until a started service is ready, and shows why it is not."""

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from flashguard.errors import FlashGuardError

READY_TIMEOUT_SECONDS: Final = 60.0
"""A service that gives no answer in this time did not start."""
READY_POLL_SECONDS: Final = 0.1
NOT_READY_SECONDS: Final = 5.0
"""Time without readiness before its reason is shown, and between two reasons."""


class _Component(msgspec.Struct):
    status: str
    detail: str | None = None


class _Readiness(msgspec.Struct):
    components: dict[str, _Component]


async def wait_until_ready(url: str, say: Callable[[str], None]) -> None:
    """Return once the address answers 200; show the reason while it does not.

    Raises:
        FlashGuardError: there was no answer.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + READY_TIMEOUT_SECONDS
    show_at = shown = None
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        while show_at is not None or loop.time() < give_up:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
                    why = _reasons(await answer.read())
                show_at = show_at or loop.time() + NOT_READY_SECONDS
                if loop.time() >= show_at and why != shown:
                    say(f"not ready: {why}")
                    show_at, shown = loop.time() + NOT_READY_SECONDS, why
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(READY_POLL_SECONDS)
    raise FlashGuardError(f"{url} did not answer within {READY_TIMEOUT_SECONDS:g} s.")


def _reasons(answer: bytes) -> str:
    """Return which components of a readiness answer are not ready, and why."""
    try:
        components = msgspec.json.decode(answer, type=_Readiness).components
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "the API's answer is not a readiness report"
    bad = {name: each for name, each in components.items() if each.status not in ("ok", "degraded")}
    return "; ".join(
        f"{name} is {each.status}" + (f" ({each.detail})" if each.detail else "")
        for name, each in bad.items()
    )
