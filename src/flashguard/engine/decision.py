"""One request to the kernel and its answer."""

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from flashguard.kernel.results import Refusal, Result
from flashguard.kernel.verbs import Verb
from flashguard.ledger import RecordedReservation
from flashguard.model import SaleId

if TYPE_CHECKING:  # OpenTelemetry is an extra
    from opentelemetry.trace import Span


class DecisionStatus(Enum):
    """What a request to the kernel came to."""

    DECIDED = auto()
    """Memory decided; where the promise needs it, the ledger has committed the decision."""
    REFUSED_BY_LEDGER = auto()
    """Memory granted what the ledger refused."""
    LOST = auto()
    """Memory lost the decision before it was recorded: nothing happened, a retry is safe."""
    UNKNOWN = auto()
    """No commit was seen in time. A retry with the same idempotency key returns the outcome."""
    RECOVERING = auto()
    """Memory is away, or its partition is being rebuilt. Nothing was decided."""
    OVERLOADED = auto()
    """A queue or the journal is at its limit. Nothing was decided."""


class Decision:
    """The answer to one request.

    Parameters:
        result: what the kernel decided; None unless the status is DECIDED.
        now_ms: the server's clock at the decision, in milliseconds since the Unix epoch.
    """

    __slots__ = ("now_ms", "result", "status")

    def __init__(self, status: DecisionStatus, result: Result | None = None, now_ms: int = 0) -> None:
        self.status = status
        self.result = result
        self.now_ms = now_ms

    @property
    def code(self) -> str:
        """The code of the kernel's refusal; empty where it did not refuse."""
        return self.result.code if isinstance(self.result, Refusal) else ""


SameReservation = Callable[[Result, RecordedReservation], bool]
"""Returns whether a reservation of the ledger is the one that this result of the kernel is about. A memory
that lost its history may grant a key again that the ledger has for another basket."""


def any_reservation(_: Result, __: RecordedReservation) -> bool:
    """Return True: whatever the ledger has under the id is the one."""
    return True


class PendingDecision:
    """A request that waits for its answer.

    Parameters:
        request: what the verb takes, without the sale's index.
        id_: the short id of the reservation it is about, to ask the ledger for; empty where there is none.
        name: what the recorder calls it where there is no reservation: the key, or the entry's id.
        durable: whether this result must be committed in the ledger before it is answered.
        same: whether a reservation that the ledger has under this id is the one asked for.
    """

    __slots__ = ("_same", "answer", "durable", "id", "name", "request", "sale", "span", "verb")

    def __init__(
        self,
        verb: Verb,
        sale: SaleId,
        request: tuple[Any, ...],
        *,
        id_: str = "",
        name: str = "",
        durable: Callable[[Result], bool] | None = None,
        same: SameReservation = any_reservation,
    ) -> None:
        self.verb = verb
        self.sale = sale
        self.request = request
        self.id = id_
        self.name = name or id_
        self.durable = durable
        self._same = same
        self.answer: Callable[[Any, Decision], None]
        self.span: Span | None = None

    def is_same(self, result: Result, found: RecordedReservation) -> bool:
        """Return whether a reservation of the ledger is the one that this result is about."""
        return self._same(result, found)

    def settle(self, decision: Decision) -> None:
        """Give the caller its decision."""
        self.answer(self, decision)
