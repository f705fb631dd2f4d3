"""Valkey and PostgreSQL as children of this process: real servers, one data directory, no set-up."""

from flashguard.embedded.postgres import EmbeddedPostgres
from flashguard.embedded.server import ServerFailedError
from flashguard.embedded.servers import EmbeddedServers
from flashguard.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServers", "EmbeddedValkey", "ServerFailedError"]
