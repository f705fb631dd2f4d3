"""Free ports for the servers of tests."""

import random
import socket
from typing import Final

HOST: Final = "127.0.0.1"
RANGE: Final = (15_000, 32_000)
"""Below the range that the operating system gives to outgoing connections, so that no client takes one."""


def free_port() -> int:
    """Return a port that nothing listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return different ports that nothing listens on."""
    probes: list[socket.socket] = []
    try:
        while len(probes) < count:
            probe = socket.socket()
            try:
                probe.bind((HOST, random.randrange(*RANGE)))
            except OSError:
                probe.close()
            else:
                probes.append(probe)
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
