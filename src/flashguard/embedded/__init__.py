"""Valkey and PostgreSQL as children of this process: real servers, one data directory, no set-up."""

from .postgres import EmbeddedPostgres
from .server import ServerFailedError
from .servers import EmbeddedServers
from .valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServers", "EmbeddedValkey", "ServerFailedError"]
