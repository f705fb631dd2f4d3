"""Which address a request comes from, where proxies stand in between."""

import ipaddress
from functools import lru_cache
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FORWARDED_FOR: Final = b"x-forwarded-for"
MAX_HOPS: Final = 20
"""Entries that are looked at, from the right; beyond it nobody is believed."""


class Addresses:
    """Reads `X-Forwarded-For` as far as it was written by proxies that are trusted, and no further.

    Each proxy appends whom it heard from. So it is read from the right: the first address that is no trusted
    proxy's is the client's; whatever stands left of it, the client may have made up.
    """

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._trusted = tuple(ipaddress.ip_network(each) for each in trusted)

    def of(self, peer: str | None, headers: list[tuple[bytes, bytes]]) -> str:
        """Who the client is, as the name of a bucket: an IPv4 address, or an IPv6 network of 64 bits."""
        client = peer or "unix"
        if self._trusted and self._is_trusted(client):
            sent = b",".join(value for name, value in headers if name == FORWARDED_FOR).decode("latin-1")
            for hop in reversed(sent.rsplit(",", MAX_HOPS)[-MAX_HOPS:] if sent else ()):
                if bucket_of(hop.strip()) is None:
                    break  # no address: whoever wrote it is as far as we know
                client = hop.strip()
                if not self._is_trusted(client):
                    break
        return bucket_of(client) or client

    def _is_trusted(self, text: str) -> bool:
        return _within(text, self._trusted)


@lru_cache(maxsize=4096)
def _within(text: str, networks: tuple[Network, ...]) -> bool:
    address = _parsed(text)
    return address is not None and any(address in network for network in networks)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.removeprefix("[").partition("]")[0].partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=16_384)
def bucket_of(text: str) -> str | None:
    """The name under which an address is counted: whoever has an IPv6 network has all of its addresses."""
    address = _parsed(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return None if address is None else str(address)
