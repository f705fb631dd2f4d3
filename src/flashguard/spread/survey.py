"""Surveys of a spread sale: the available units of one item by shard, and whether any are in transit."""

from typing import Final

from msgspec import Struct

from flashguard.engine.decision import Decision
from flashguard.engine.outcomes import RETRY_SECONDS, refused_by_status
from flashguard.errors import Code
from flashguard.kernel.results import Surveyed
from flashguard.model import Refused

NOT_LOADED: Final = Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
"""The refusal when a shard is not in memory yet: a recorder is about to load it."""


class Survey(Struct, frozen=True):
    """One reading of all shards; each shard is read at its own instant.

    Parameters:
        available: units by shard; 0 for a shard that did not answer.
        versions: by shard, the number of transfers that left it and the number that arrived.
        settled: True when every shard answered and has no more expired holds to reclaim.
        refused: the refusal of a shard that did not answer.
    """

    available: tuple[int, ...]
    versions: tuple[tuple[int, int], ...]
    settled: bool
    refused: Refused | None

    @property
    def total(self) -> int:
        return sum(self.available)

    @property
    def in_transit(self) -> bool:
        return sum(outs for outs, _ in self.versions) != sum(ins for _, ins in self.versions)


def survey_of(decisions: list[Decision]) -> Survey:
    """Return the survey that the kernel's answers to `survey` make, in the order of the shards."""
    available: list[int] = []
    versions: list[tuple[int, int]] = []
    settled, refused = True, None
    for decision in decisions:
        result = decision.result
        if isinstance(result, Surveyed):
            available.append(max(0, result.available))
            versions.append((result.outs, result.ins))
            settled = settled and result.settled
        else:
            available.append(0)
            versions.append((-1, -1))
            settled = False
            refused = refused_by_status(decision) or NOT_LOADED
    return Survey(tuple(available), tuple(versions), settled, refused)


def nothing_hidden(first: Survey, second: Survey) -> bool:
    """Return True when two surveys, one after the other, can't have missed a unit.

    If each shard shows the same counts of transfers in both surveys, there was an instant between the two at
    which all these counts held. If arrivals equal departures, no unit was in transit at that instant.
    """
    return first.settled and second.settled and first.versions == second.versions and not second.in_transit
