"""Which addresses a webhook may be sent to: a receiver's URL is untrusted and must not lead into our network.

FlashGuard resolves the name, checks every address, and connects to an address that it checked: a name that
resolves differently the second time changes nothing.
"""

import ipaddress
from typing import Final

from yarl import URL

MAX_URL: Final = 2048
PRIVATE_SETTING: Final = "WEBHOOK_PRIVATE_ADDRESSES"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All addresses that IANA has assigned; every other address is local, special or not assigned."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Return whether this is an address of the internet, also for an IPv4 address inside an IPv6 address.

    Python's tables are as old as its release, so an IPv6 address must also be global unicast.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped or address in _NAT64:  # both lead to the IPv4 internet
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        embedded = address.sixtofour or (address.teredo and address.teredo[1])
        if embedded:
            return is_public(embedded)
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast


def literal(host: str) -> Address | None:
    """Return the address that a host is; None when it is a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def wrong_url(text: str, *, private: bool) -> str | None:
    """Return why no webhook can be sent there; None when one can. Names are resolved when it is sent.

    Parameters:
        private: addresses of our own network, and plain http, are allowed.
    """
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable():
        return f"must be at most {MAX_URL} printable ASCII characters"
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError:
        return "is not a URL"
    if url.scheme not in (("https", "http") if private else ("https",)) or not host or not port:
        if private:
            return "must be an http or https URL"
        return f"must be an https URL; FLASHGUARD_{PRIVATE_SETTING}=true allows http, too"
    if url.user is not None or url.password is not None or url.fragment:
        return "must have no user, password or fragment"
    address = literal(host)
    if (
        address is None and host.rpartition(".")[2][:1].isdigit()
    ):  # no top-level domain is; 127.1 is 127.0.0.1
        return "must have a name, or an address as it is usually written"
    if address is not None and not private and not is_public(address):
        return (
            "must not be a private, loopback, link-local or otherwise reserved address; "
            f"FLASHGUARD_{PRIVATE_SETTING}=true allows it"
        )
    return None
