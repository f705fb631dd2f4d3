"""Chooses the client that a topology needs."""

from flashguard.errors import ConfigurationError
from flashguard.settings import Settings

from .address import TopologyKind, read_topology
from .client import ValkeyClient
from .cluster import ClusterClient
from .connection import ServerClient
from .sentinel import SentinelClient


def connect_kernel(url: str, settings: Settings) -> ValkeyClient:
    """Return a client for the kernel; it connects when it is first used.

    Raises:
        ConfigurationError: the URL, or a certificate that it names, can't be read.
    """
    try:
        topology = read_topology(url)
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"FLASHGUARD_REDIS_URL: {error}") from error
    timeout_seconds = settings.memory_timeout_seconds
    match topology.kind:
        case TopologyKind.SENTINEL:
            return SentinelClient(topology, timeout_seconds=timeout_seconds)
        case TopologyKind.CLUSTER:
            return ClusterClient(topology, timeout_seconds=timeout_seconds)
    return ServerClient(topology.server, timeout_seconds=timeout_seconds)
