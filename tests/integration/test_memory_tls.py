"""TLS to a real Redis 7.0 with a private authority: one server, Sentinels, a cluster."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest

from flashguard.errors import ConfigurationError
from flashguard.kernel import keys
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from flashguard.valkey.errors import RedisError
from tests.support import stacks
from tests.support.ports import free_ports
from tests.support.stacks import cluster, sentinel
from tests.support.stacks.nodes import HOST, Node

NAMES = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth"


class Authority:
    """A private certificate authority, made by openssl."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.certificate, self._key = folder / f"{name}.crt", folder / f"{name}.key"
        self._run("req", "-x509", "-subj", f"/CN={name}", "-out", self.certificate, "-keyout", self._key)

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate, and its key."""
        asked, certificate, key = (self.folder / f"{name}.{end}" for end in ("csr", "crt", "key"))
        self._run("req", "-subj", f"/CN={name}", "-out", asked, "-keyout", key)
        (self.folder / "names").write_text(NAMES)
        subprocess.run(
            ["openssl", "x509", "-req", "-in", asked, "-CA", self.certificate, "-CAkey", self._key,
             "-CAcreateserial", "-days", "2", "-extfile", self.folder / "names", "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        return certificate, key

    @staticmethod
    def _run(*words: str | Path) -> None:
        more = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
        subprocess.run(["openssl", *words, *more], check=True, capture_output=True)


class Tls:
    """The settings of servers and of clients."""

    def __init__(self, folder: Path) -> None:
        self.binary = stacks.program("redis-server")  # the embedded Valkey is built without TLS
        authority, self.other = Authority(folder, "shop"), Authority(folder, "stranger")
        certificate, key = authority.issue("memory")
        mine, my_key = authority.issue("flashguard")
        self.options = {
            "tls-cert-file": str(certificate), "tls-key-file": str(key), "tls-auth-clients": "yes",
            "tls-ca-cert-file": str(authority.certificate), "tls-replication": "yes",
        }  # fmt: skip
        self.query = {
            "ssl_ca_certs": str(authority.certificate), "ssl_certfile": str(mine), "ssl_keyfile": str(my_key),
        }  # fmt: skip


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


async def says_hello(url: str, query: Mapping[str, str]) -> None:
    """A client reads what it wrote, on every partition."""
    client = connect_kernel(f"{url}?{urlencode(query)}", Settings())
    try:
        for number in range(stacks.PARTITIONS):
            await client.execute_command("SET", keys.mark(number), str(number))
            assert await client.execute_command("GET", keys.mark(number)) == str(number).encode()
    finally:
        await client.aclose()


async def test_a_private_authority_is_trusted_when_named_and_a_stranger_refused_clearly(tls: Tls) -> None:
    with stacks.folder() as place:
        async with Node(place, free_ports(1)[0], tls.options, tls.binary) as node:
            url = f"rediss://{HOST}:{node.port}"
            await says_hello(url, tls.query)
            with pytest.raises(RedisError, match=f"no TLS with {HOST}:{node.port}: .*certificate"):
                await says_hello(url, tls.query | {"ssl_ca_certs": str(tls.other.certificate)})
            with pytest.raises(RedisError, match="certificate"):  # none that the system knows
                await says_hello(url, {})
            with pytest.raises((RedisError, OSError)):  # the server wants to see ours
                await says_hello(url, {"ssl_ca_certs": tls.query["ssl_ca_certs"]})
            with pytest.raises(RedisError):
                await says_hello(f"redis://{HOST}:{node.port}", {})


async def test_sentinels_and_what_they_watch_are_reached_by_tls(tls: Tls) -> None:
    conf = "".join(f"{name} {value}\n" for name, value in tls.options.items())
    with stacks.folder() as place:
        async with sentinel.started(place, tls.binary, tls.options, conf) as watched:
            await says_hello(watched.url.replace("redis+", "rediss+"), tls.query)


async def test_every_node_of_a_cluster_is_reached_by_tls(tls: Tls) -> None:
    with stacks.folder() as place:
        async with cluster.started(place, tls.binary, tls.options | {"tls-cluster": "yes"}) as nodes:
            await says_hello(nodes.url.replace("redis+", "rediss+"), tls.query)


def test_a_certificate_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"/nowhere/ca\.crt"):
        connect_kernel("rediss://localhost?ssl_ca_certs=/nowhere/ca.crt", Settings())
