"""Resolves the names of webhooks' receivers. Apart from `addresses`, because only a deliverer has aiohttp."""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from .addresses import PRIVATE_SETTING, is_public

RESOLVE_SECONDS: Final = 5.0
LOOKUPS_AT_ONCE: Final = 2
"""For one endpoint, in threads of its own: a name server that hangs delays no other endpoint."""


class ForbiddenAddress(OSError):
    """The receiver is at an address that webhooks may not be sent to."""


class CheckedResolver(AbstractResolver):
    """Resolves names for aiohttp, which connects to the addresses that this returns."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            ForbiddenAddress: an address of the name is not public, even if others are.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await loop.run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            )
        if not self._private:
            for *_, where in found:
                if not is_public(ipaddress.ip_address(str(where[0]).partition("%")[0])):
                    raise ForbiddenAddress(
                        f"{host} is at an address that is not public; "
                        f"FLASHGUARD_{PRIVATE_SETTING}=true allows it"
                    )
        return [
            ResolveResult(
                hostname=host, host=str(where[0]), port=int(where[1]), family=kind, proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, where in found
        ]  # fmt: skip

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
