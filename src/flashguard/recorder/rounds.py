"""One round of a duty over the partitions that this process records."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import asyncpg

from flashguard.kernel.errors import MemoryAway, MemoryBroken
from flashguard.ledger import LedgerAway

from .load import LoadRefused

log = logging.getLogger("flashguard.recorder")

T = TypeVar("T")

Suspect = Callable[[str], None]
"""Tells a partition's recorder that memory is wrong, and why: it rebuilds memory."""


async def one_round(
    duty: str, partitions: Mapping[int, Suspect], turn: Callable[[int, Suspect], Awaitable[T]]
) -> list[T]:
    """Give every partition a turn, one after the other; return the results of those that had none fail.

    A server that is away is the partition recorders' matter: the partition has its turn in the next round.
    """
    results: list[T] = []
    for partition, suspect in list(partitions.items()):  # shares change meanwhile
        try:
            results.append(await turn(partition, suspect))
        except MemoryBroken as error:
            log.warning("partition %d, %s: memory is broken and is rebuilt: %s", partition, duty, error)
            suspect(str(error))
        except (MemoryAway, LedgerAway, LoadRefused, asyncpg.PostgresError) as error:
            log.debug("partition %d, %s: next try in the next round: %s", partition, duty, error)
        except Exception:
            log.exception("partition %d, %s: next try in the next round", partition, duty)
    return results
