"""Reads FLASHGUARD_REDIS_URL: one server, servers watched by Sentinels, or a cluster."""

import copy
import os
import re
import ssl
from enum import StrEnum
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from flashguard.model.whole import whole_number

SENTINEL_PORT: Final = 26379
PORT: Final = 6379
NO: Final = ("0", "f", "false", "n", "no")
SEEDS_MOST: Final = 64
"""Most addresses in one URL."""


class Address:
    """The address of a server and the login, from a `redis://`, `rediss://` or `unix://` URL.

    Raises:
        ValueError: the URL is none of these.
    """

    def __init__(self, url: str) -> None:
        parts = _parts(url)
        self.path: str | None = parts.get("path")
        self.host: str = parts.get("host", "localhost")
        self.port: int = parts.get("port", PORT)
        self.tls = _tls(parts) if url.startswith("rediss:") else None
        self.greeting: list[tuple[Any, ...]] = []
        if parts.get("password"):
            login = (parts["username"], parts["password"]) if parts.get("username") else (parts["password"],)
            self.greeting.append(("AUTH", *login))
        if parts.get("db"):
            self.greeting.append(("SELECT", parts["db"]))

    @property
    def name(self) -> str:
        """The server in logs and messages, without its secrets."""
        return self.path or f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> "Address":
        """Return the address of another server with the same login and TLS."""
        other = copy.copy(self)
        other.path, other.host, other.port = None, host, port
        return other


def _parts(url: str) -> dict[str, Any]:
    """Return a URL's parts under redis-py's names: `scheme://user:password@host:port/db?…`."""
    found = urlsplit(url)
    if found.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    parts: dict[str, Any] = {name: values[0] for name, values in parse_qs(found.query).items()}
    parts |= {
        name: unquote(text)
        for name, text in (("username", found.username), ("password", found.password))
        if text
    }
    if found.scheme == "unix":
        parts["path"] = unquote(found.path)
    else:
        if found.hostname:
            parts["host"] = unquote(found.hostname)
        if found.port:
            parts["port"] = found.port
        database = unquote(found.path).strip("/")
        if database:
            parts["db"] = database
    if "db" in parts:
        database_number = whole_number(str(parts["db"]))
        if database_number is None:
            raise ValueError(f"{parts['db']!r} is not a database number")
        parts["db"] = database_number
    if "ssl_check_hostname" in parts:
        parts["ssl_check_hostname"] = str(parts["ssl_check_hostname"]).lower() not in NO
    return parts


def _tls(parts: dict[str, Any]) -> ssl.SSLContext:
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if parts.get(name) and not os.access(parts[name], os.R_OK):
            raise ValueError(f"{name}: {parts[name]} can't be read")
    context = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif parts.get("ssl_check_hostname") is False:
        context.check_hostname = False
    if parts.get("ssl_certfile"):
        context.load_cert_chain(parts["ssl_certfile"], parts.get("ssl_keyfile"))
    return context


class TopologyKind(StrEnum):
    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Topology(NamedTuple):
    """What a URL names."""

    kind: TopologyKind
    server: Address
    """The server; with Sentinels or a cluster, the login and TLS of any of its servers."""
    seeds: tuple[Address, ...] = ()
    """The Sentinels, or some nodes of the cluster."""
    service: str = ""
    """The Sentinels' name of the primary."""


_MANY: Final = re.compile(
    r"(?P<tls>rediss?)\+(?P<kind>sentinel|cluster)://(?:(?P<login>[^@/]*)@)?(?P<hosts>[^/?@]+)"
    r"(?:/(?P<path>[^?]*))?(?:\?(?P<query>.*))?"
)
_HOST: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+)(?::(?P<port>[0-9]{1,5}))?")


def read_topology(url: str) -> Topology:
    """Return what FLASHGUARD_REDIS_URL names.

    Raises:
        ValueError: the URL can't be read; the message says why, without secrets.
    """
    if "+" not in url.partition("://")[0]:
        return Topology(TopologyKind.SINGLE, Address(url))
    found = _MANY.fullmatch(url)
    if found is None:
        raise ValueError(
            "it must look like redis+sentinel://user:password@host:port,host:port/service "
            "or redis+cluster://user:password@host:port,host:port, with rediss+… for TLS; "
            "a password's @ / ? are written %40 %2F %3F"
        )
    kind, query = TopologyKind(found["kind"]), parse_qs(found["query"] or "")
    login = {name: query.pop(f"sentinel_{name}", [""])[0] for name in ("username", "password")}
    one = f"{found['tls']}://{found['login'] + '@' if found['login'] else ''}localhost"
    more = f"?{urlencode(query, doseq=True)}" if query else ""
    hosts = _hosts(found["hosts"], SENTINEL_PORT if kind is TopologyKind.SENTINEL else PORT)
    path = found["path"] or ""
    if kind is TopologyKind.CLUSTER:
        if path not in ("", "0"):
            raise ValueError(f"a cluster has no database {path!r}: leave the path out")
        server = Address(one + more)
        return Topology(kind, server, tuple(server.at(*each) for each in hosts))
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("the name under which the Sentinels know the primary is missing: …/service")
    if database and whole_number(database) is None:
        raise ValueError(f"{database!r} is not a database number")
    sentinel = Address(f"{found['tls']}://localhost{more}")
    if login["password"]:
        words = (login["username"], login["password"]) if login["username"] else (login["password"],)
        sentinel.greeting = [("AUTH", *words)]
    server = Address(f"{one}/{database}{more}" if database else one + more)
    return Topology(kind, server, tuple(sentinel.at(*each) for each in hosts), service)


def _hosts(text: str, port: int) -> list[tuple[str, int]]:
    names = text.split(",")
    if len(names) > SEEDS_MOST:
        raise ValueError(f"{len(names)} addresses are more than {SEEDS_MOST}")
    hosts = []
    for name in names:
        found = _HOST.fullmatch(name.strip())
        number = int(found["port"] or port) if found else 0
        if found is None or not 0 < number < 65536:
            raise ValueError(f"{name!r} is not host:port")
        hosts.append((found["host"].strip("[]"), number))
    return hosts
