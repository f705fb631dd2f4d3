"""Maps keys to the slots of a cluster, and slots to nodes."""

from binascii import crc_hqx
from functools import lru_cache
from typing import Any, Final, NamedTuple

from .address import Address

SLOTS: Final = 16_384
HOME_TAG: Final = "{recorders}"
"""The hash tag of what all recorders share; its node answers commands without a key."""


@lru_cache(maxsize=65_536)
def slot_of(key: str) -> int:
    """Return the slot of a key: CRC-16 (XMODEM) of the text in its first braces, or of all of it."""
    _, opened, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    return crc_hqx((tag if opened and closed and tag else key).encode(), 0) % SLOTS


KEYLESS: Final = frozenset(
    ("INFO", "CONFIG", "CLUSTER", "PING", "TIME", "ACL", "LATENCY", "MEMORY", "COMMAND", "CLIENT", "WAIT")
)


def key_of(command: tuple[Any, ...]) -> str:
    """Return a key of a command; for a command without one, the hash tag of the recorders."""
    name = command[0]
    if name in KEYLESS:
        return HOME_TAG
    return str(command[command.index("STREAMS") + 1] if name == "XREAD" else command[1])


class SlotRange(NamedTuple):
    """A run of slots, its primary, and its replicas."""

    first: int
    last: int
    primary: Address
    replicas: tuple[Address, ...]


def read_slots(answer: list[Any], asked: Address) -> list[SlotRange]:
    """Return the answer of CLUSTER SLOTS; a node without a host has the host that was asked."""
    return [
        SlotRange(first, last, _node(nodes[0], asked), tuple(_node(each, asked) for each in nodes[1:]))
        for first, last, *nodes in answer
        if nodes
    ]


def _node(node: list[Any], asked: Address) -> Address:
    host = (node[0] or b"").decode()
    return asked.at(host if host not in ("", "?") else asked.host, int(node[1]))
