"""Connects to memory: the one place that knows which kind of client a topology needs."""

from flashguard.errors import ConfigurationError
from flashguard.kernel.address import Kind, read_topology
from flashguard.kernel.client import MemoryClient
from flashguard.kernel.cluster import ClusterClient
from flashguard.kernel.connection import Client
from flashguard.kernel.sentinel import SentinelClient
from flashguard.settings import Settings


def connect_kernel(url: str, settings: Settings) -> MemoryClient:
    """A client for the kernel; it connects when it is first used.

    Raises:
        ConfigurationError: the URL, or a certificate that it names, can't be read.
    """
    try:
        topology = read_topology(url)
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"FLASHGUARD_REDIS_URL: {error}") from error
    timeout_seconds = settings.memory_timeout_seconds
    match topology.kind:
        case Kind.SENTINEL:
            return SentinelClient(topology, timeout_seconds=timeout_seconds)
        case Kind.CLUSTER:
            return ClusterClient(topology, timeout_seconds=timeout_seconds)
    return Client(topology.server, timeout_seconds=timeout_seconds)
