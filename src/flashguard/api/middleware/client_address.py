"""The address of a client, also behind trusted proxies."""

import ipaddress
from functools import lru_cache
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FORWARDED_FOR: Final = b"x-forwarded-for"
MAX_HOPS: Final = 20
"""Entries that are read, from the right; further ones are ignored."""


class Addresses:
    """Reads `X-Forwarded-For` as far as trusted proxies wrote it.

    Each proxy appends the address of its peer, so the header is read from the right: the first address that
    does not belong to a trusted proxy is the client's. The client may have invented everything left of it.
    """

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._trusted = tuple(ipaddress.ip_network(each) for each in trusted)

    def bucket(self, peer: str | None, headers: list[tuple[bytes, bytes]]) -> str:
        """Return the client as the name of a rate bucket: an IPv4 address, or an IPv6 network of 64 bits."""
        client = self.client(peer, headers)
        return bucket_of(client) or client

    def client(self, peer: str | None, headers: list[tuple[bytes, bytes]]) -> str:
        """Return the client's address; `unix` where it came by a unix socket."""
        client = peer or "unix"
        if self._trusted and self._is_trusted(client):
            sent = b",".join(value for name, value in headers if name == FORWARDED_FOR).decode("latin-1")
            for hop in reversed(sent.rsplit(",", MAX_HOPS)[-MAX_HOPS:] if sent else ()):
                if bucket_of(hop.strip()) is None:
                    break  # not an address: the proxy that wrote it is the last one known
                client = hop.strip()
                if not self._is_trusted(client):
                    break
        return client

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
    """Return the name under which an address is counted; a whole IPv6 network, because one client owns all of
    it."""
    address = _parsed(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return None if address is None else str(address)
