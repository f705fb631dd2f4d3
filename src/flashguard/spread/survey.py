"""What all parts of a spread sale have of one item, and whether any of it is on its way between them."""

from typing import Final

from msgspec import Struct

from flashguard.engine.decision import Decision, DecisionStatus
from flashguard.engine.outcomes import RETRY_SECONDS, refused_by_status
from flashguard.errors import Code
from flashguard.model import Refused

NOT_LOADED: Final = Refused(code=Code.RECOVERING, retry_after_seconds=RETRY_SECONDS)
"""A part that memory does not have: it is about to be loaded."""


class View(Struct, frozen=True):
    """One look at all parts, one after the other and not at one instant.

    Parameters:
        available: units by part; of a part that did not answer none.
        versions: by part, how many transfers left it and how many arrived.
        settled: every part answered, and has no ended hold left to take back.
        refused: why a part did not answer.
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


def view_of(decisions: list[Decision]) -> View:
    """The kernel's answers to `survey`, in the order of the parts."""
    available: list[int] = []
    versions: list[tuple[int, int]] = []
    settled, refused = True, None
    for decision in decisions:
        if decision.status is DecisionStatus.DECIDED and isinstance(decision.result[0], int):
            units, outs, ins, drained = decision.result
            available.append(max(0, units))
            versions.append((outs, ins))
            settled = settled and drained
        else:
            available.append(0)
            versions.append((-1, -1))
            settled = False
            refused = refused_by_status(decision) or NOT_LOADED
    return View(tuple(available), tuple(versions), settled, refused)


def nothing_hidden(first: View, second: View) -> bool:
    """Whether no unit was overlooked by two looks, one after the other.

    Each part was seen with the same counts of transfers twice: between the two looks there was an instant
    at which all those counts held together. As many arrivals as departures: then nothing was on its way.
    """
    return first.settled and second.settled and first.versions == second.versions and not second.in_transit
