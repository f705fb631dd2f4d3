"""What FLASHGUARD_REDIS_URL may say of a topology."""

import pytest
from pydantic import ValidationError

from flashguard.errors import ConfigurationError
from flashguard.settings import Settings
from flashguard.valkey.address import TopologyKind, read_topology
from flashguard.valkey.connect import connect_kernel


def test_sentinels_and_what_they_call_the_primary_are_read() -> None:
    topology = read_topology(
        "rediss+sentinel://shop:p%40ss@a.example,b.example:26380,[::1]:26381/prime/3"
        "?sentinel_username=looks&sentinel_password=secret&ssl_cert_reqs=none"
    )
    assert (topology.kind, topology.service) == (TopologyKind.SENTINEL, "prime")
    assert [each.name for each in topology.seeds] == ["a.example:26379", "b.example:26380", "::1:26381"]
    assert topology.seeds[0].greeting == [("AUTH", "looks", "secret")]
    assert topology.server.greeting == [("AUTH", "shop", "p@ss"), ("SELECT", 3)]
    assert topology.seeds[0].tls is not None
    assert topology.server.tls is not None


def test_sentinels_are_not_told_the_servers_password() -> None:
    assert read_topology("redis+sentinel://:secret@a/prime").seeds[0].greeting == []


def test_a_cluster_is_read_and_every_node_is_logged_in_to_alike() -> None:
    topology = read_topology("redis+cluster://shop:secret@a:7000,b")
    assert topology.kind is TopologyKind.CLUSTER
    assert [each.name for each in topology.seeds] == ["a:7000", "b:6379"]
    assert {tuple(each.greeting) for each in topology.seeds} == {(("AUTH", "shop", "secret"),)}


def test_one_server_is_read_as_ever() -> None:
    topology = read_topology("redis://:secret@a:7000/2")
    assert (topology.kind, topology.server.name) == (TopologyKind.SINGLE, "a:7000")
    assert topology.server.greeting == [("AUTH", "secret"), ("SELECT", 2)]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+sentinel://:secret@a:26379", "the name under which the Sentinels know the primary"),
        ("redis+sentinel://:secret@a/prime/x", "'x' is not a database number"),
        ("redis+cluster://:secret@a:7000/1", "a cluster has no database '1'"),
        ("redis+cluster://:secret@a:70000", "'a:70000' is not host:port"),
        ("redis+cluster://:secret@a:7000,,b", "'' is not host:port"),
        ("redis+cluster://:sec@ret@a:7000", "it must look like"),
        ("redis+cluster://" + ",".join(["a"] * 65), "65 addresses are more than 64"),
    ],
)
def test_a_wrong_url_is_told_clearly_and_without_its_secret(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        connect_kernel(url, Settings())
    assert why in str(wrong.value)
    assert "FLASHGUARD_REDIS_URL" in str(wrong.value)
    assert "sec" not in str(wrong.value)


@pytest.mark.parametrize("url", ["redis+other://a", "http://a", "sentinel://a/prime"])
def test_a_topology_that_nobody_knows_is_refused_by_the_settings(url: str) -> None:
    with pytest.raises(ValidationError, match="redis_url"):
        Settings(redis_url=url)
