"""Finds the port that `flashguard up` listens on."""

import errno
import socket
from typing import Final

from flashguard.errors import ConfigurationError

PORTS_TO_TRY: Final = 100


def claim_port(host: str, port: int, *, exactly: bool) -> tuple[int, socket.socket]:
    """Return a port to listen on, and a claim to keep open while this process runs.

    Parameters:
        exactly: use only this port; otherwise the next free one if it is in use. 0 means any free one.

    The API listens only some seconds later. The claim keeps a second `flashguard up` from choosing the same
    port meanwhile: it is a socket name that Linux gives to one process at a time and releases when it dies.

    Raises:
        ConfigurationError: no such port is free.
    """
    last = port if exactly or port == 0 else min(port + PORTS_TO_TRY - 1, 65535)
    for candidate in range(port, last + 1):
        try:
            free = _bind(host, candidate)
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0flashguard/{host}:{free}")
            except OSError:
                claim.close()
                raise
            return free, claim
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise ConfigurationError(
                    f"Cannot listen on {host}, port {candidate}: {problem.strerror}."
                ) from problem
    ports = f"Port {port} is" if last == port else f"The ports from {port} to {last} are"
    raise ConfigurationError(f"{ports} in use; choose another with --port or FLASHGUARD_PORT.")


def _bind(host: str, port: int) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the API does
        probe.bind(address)
        probe.listen()
        return int(probe.getsockname()[1])
