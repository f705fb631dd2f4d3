"""Connects to memory: the one place that knows which kind of client is meant for what."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flashguard.kernel.connection import Client
from flashguard.settings import Settings


def connect_memory(url: str, settings: Settings) -> "Redis":
    """A client for what is not the hot path: simulations, replicas. Nothing is sent twice.

    Its callers bound their waits: redis-py's own time-out for a command is `asyncio.wait_for`, which on
    Python 3.11 loses a cancellation now and then.
    """
    return Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=settings.memory_timeout_seconds,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        max_connections=256,
    )


def connect_kernel(url: str, settings: Settings) -> Client:
    """A client for the kernel."""
    return Client(url, timeout_seconds=settings.memory_timeout_seconds)
