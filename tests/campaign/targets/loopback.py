"""Where a target may be: on this machine's loopback, and nowhere else.

The harness sends hundreds of buyers at once. Pointed at a shop of others it would be an attack on it.
"""

import ipaddress
import re
import socket
from typing import Final
from urllib.parse import urlsplit

PLAIN: Final = re.compile(r"[A-Za-z0-9.:/\[\]_~-]+")
"""What an address may consist of: no user name, backslash or escape, which parsers read in several ways."""
NUMBER: Final = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)")


class RefusedTargetError(Exception):
    """The target is not on this machine's loopback."""


def require_loopback(url: str) -> str:
    """Return the address without a path, if it is on this machine's loopback.

    A name counts only if each of its addresses is there.

    Raises:
        RefusedTargetError: it is elsewhere, or can be read in more than one way.
    """
    if not PLAIN.fullmatch(url):
        raise RefusedTargetError(f"{url!r} has more than a scheme, a host, a port and a path.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise RefusedTargetError(f"{url!r} is not an address: {error}.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise RefusedTargetError(f"{url!r} is not an address of HTTP.")
    for address in _addresses(host):
        if not address.is_loopback:
            raise RefusedTargetError(
                f"{host} {'is' if host == str(address) else f'leads to {address}, which is'} not on this "
                "machine's loopback. The harness sends its buyers nowhere else: run the shop here, and name "
                "it as http://127.0.0.1:PORT."
            )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    if ":" in host or NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        # 2130706433, 0x7f.1, 0177.0.0.1, 127.1: some resolvers read them as addresses, each in its own way.
        raise RefusedTargetError(f"{host} is a number that is not written as an address: write 127.0.0.1.")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RefusedTargetError(f"{host} leads to no address: {error}.") from error
    return [ipaddress.ip_address(str(where[0]).partition("%")[0]) for *_, where in found]
