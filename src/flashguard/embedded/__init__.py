"""Valkey and PostgreSQL as child processes: real servers in one data directory, without set-up."""

from .postgres import EmbeddedPostgres
from .server import ServerFailedError
from .servers import EmbeddedServers
from .valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServers", "EmbeddedValkey", "ServerFailedError"]
