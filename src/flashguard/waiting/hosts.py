"""Which sale has the waiting room of a sale: its own, or that of the host whose room it shares."""

from typing import Final

from flashguard.engine.decisions import Decisions
from flashguard.engine.outcomes import refusal
from flashguard.kernel.results import Refusal
from flashguard.kernel.room_results import RoomNow
from flashguard.kernel.verbs import Verb
from flashguard.model import Refused, SaleId, SaleStatus

MOST_KNOWN: Final = 4096
"""Sales whose rooms a process remembers; a forgotten one is asked for again."""


class Hosts:
    """The sales that have the waiting rooms of others. Memory says it: no poll needs the ledger.

    What is remembered holds for good: only a draft changes whose room it shares, and is asked each time.
    """

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._known: dict[SaleId, SaleId] = {}

    async def of(self, sale: SaleId) -> SaleId | Refused:
        """Return the sale that has the room; the sale itself also where that is not known, so that its own
        answer says why. A draft that shares a room is refused, as it issues no tickets."""
        known = self._known.get(sale)
        if known is not None:
            return known
        decision = await self._decisions.ask(Verb.GET_ROOM, sale, (0, 0))
        match decision.result:
            case Refusal("guest", (_, SaleStatus.DRAFT)):
                return refusal(Refusal("sale-not-open", (SaleStatus.DRAFT,)))
            case Refusal("guest", (host, _)):
                return self._remember(sale, SaleId(host))
            case RoomNow():
                return self._remember(sale, sale)
        return sale

    def forget(self, sale: SaleId) -> None:
        """Forget whose room a sale has: it was a draft with a room of its own, and shares one now."""
        self._known.pop(sale, None)

    def _remember(self, sale: SaleId, host: SaleId) -> SaleId:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        return self._known.setdefault(sale, host)
