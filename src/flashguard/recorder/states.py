"""What the recorder of one partition does, as a machine: states, events, one table of transitions. No I/O.

    Starting | Recording | Rebuilding | Fenced | Waiting | Paused | HandingOver | Finished

In every state but Recording and Finished, memory is compared with the ledger's position after a pause.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

OTHER_RECORDER_SECONDS: Final = 0.25
"""How long a recorder steps back after another one moved the position: one of the two is about to leave."""
PAUSE_SECONDS_LEAST: Final = 0.05
PAUSE_SECONDS_MOST: Final = 0.25
"""Between two attempts to reach a server that is away, at most: once it is back, it must not wait for us."""
DEFECT_SECONDS: Final = 1.0
"""How long a partition rests after a fault that no transition foresees."""


class Doubt(Struct):
    """Why memory must be rebuilt. It lasts until memory is sound again, whatever comes in between."""

    why: str
    noticed_at: float
    """Seconds, by a clock that only goes forward."""
    certain: bool = True
    """False: a comparison with the ledger found it, and the next comparison may find memory sound."""
    entries: int = 0
    """Entries of the fenced journal that were recorded before the rebuild."""


class Starting(Struct, frozen=True):
    """It has not compared memory with the ledger yet."""

    label = "starting"


class Recording(Struct, frozen=True):
    """Memory is the history that the ledger recorded: it writes group after group."""

    label = "recording"


class Rebuilding(Struct, frozen=True):
    """Memory is wrong: it is built again from the ledger, unless another recorder has done so."""

    doubt: Doubt
    label = "recovering"


class Fenced(Struct, frozen=True):
    """The ledger has lost what it once had: the partition is closed until an operator decides."""

    why: str
    doubt: Doubt | None
    label = "fenced"


class Waiting(Struct, frozen=True):
    """A server does not answer, or refuses a statement."""

    why: str
    seconds: float
    doubt: Doubt | None
    label = "waiting"


class Paused(Struct, frozen=True):
    """It steps back for a moment, then does what `then` does."""

    then: "Starting | Recording | Rebuilding | Fenced | Waiting"
    seconds: float

    @property
    def label(self) -> str:
        return self.then.label


Working = Starting | Recording | Rebuilding | Fenced | Waiting | Paused


class HandingOver(Struct, frozen=True):
    """It works as before, and ends with the first group that another recorder is faster with."""

    work: Working

    @property
    def label(self) -> str:
        return self.work.label


class Finished(Struct, frozen=True):
    """It ends after the group in hand."""

    label = "finished"


State = Working | HandingOver | Finished


class Sound(Struct, frozen=True):
    """Memory is the history that the ledger recorded."""


class Lost(Struct, frozen=True):
    """Memory was found wrong."""

    why: str
    at: float
    certain: bool = True
    """As in `Doubt`."""


class Older(Struct, frozen=True):
    """The ledger is older than memory."""

    why: str


class Outrun(Struct, frozen=True):
    """Another recorder moved the position or rebuilds memory; or the ledger fell back."""


class Away(Struct, frozen=True):
    """A server does not answer."""

    why: str


class Failed(Struct, frozen=True):
    """PostgreSQL refuses a statement for a reason that is no reader's mistake."""

    why: str


class Defect(Struct, frozen=True):
    """An error that no transition foresees."""


class HandOver(Struct, frozen=True):
    """Its process gives the partition up while another recorder takes it."""


class End(Struct, frozen=True):
    """Its process ends it."""


Event = Sound | Lost | Older | Outrun | Away | Failed | Defect | HandOver | End

TRANSITIONS: Final[Mapping[type[Any], Callable[[Working, Any], Working]]] = {
    Sound: lambda work, _: Recording(),
    Lost: lambda work, event: _rebuilding(work, event),
    Older: lambda work, event: Fenced(event.why, doubt_of(work)),
    Outrun: lambda work, _: Paused(_interrupted(work), OTHER_RECORDER_SECONDS),
    Away: lambda work, event: Waiting(event.why, _longer(pause_of(work)), doubt_of(work)),
    Failed: lambda work, event: Waiting(event.why, DEFECT_SECONDS, doubt_of(work)),
    Defect: lambda work, _: Paused(_interrupted(work), DEFECT_SECONDS),
}
"""What the recorder does next, by what happened."""


def after(state: State, event: Event) -> State:
    """Return the state that follows this one when this happens."""
    if isinstance(state, Finished) or isinstance(event, End):
        return Finished()
    if isinstance(state, HandingOver):
        if isinstance(event, Outrun | Older):
            return Finished()
        return state if isinstance(event, HandOver) else HandingOver(_next(state.work, event))
    return HandingOver(state) if isinstance(event, HandOver) else _next(state, event)


def _next(work: Working, event: Event) -> Working:
    return TRANSITIONS[type(event)](work, event)


def work_of(state: State) -> Working | None:
    """Return what it does, whether or not it is handing over; None when it has ended."""
    match state:
        case HandingOver(work):
            return work
        case Finished():
            return None
    return state


def doubt_of(state: State) -> Doubt | None:
    """Return why memory must be rebuilt; None when nothing says so."""
    match work_of(state):
        case Paused(then, _):
            return doubt_of(then)
        case Rebuilding(doubt) | Fenced(_, doubt) | Waiting(_, _, doubt):
            return doubt
    return None


def pause_of(state: State) -> float:
    """Return the seconds to wait before memory is compared with the ledger."""
    match work_of(state):
        case Paused(_, seconds) | Waiting(_, seconds, _):
            return seconds
        case Fenced():
            return OTHER_RECORDER_SECONDS
    return 0.0


def _rebuilding(work: Working, event: Lost) -> Working:
    """Keep the first certain doubt with its own time, and the pause of a server that is away."""
    doubt = doubt_of(work) or Doubt(event.why, event.at, event.certain)
    if event.certain and not doubt.certain:
        doubt = Doubt(event.why, doubt.noticed_at, entries=doubt.entries)
    seconds = pause_of(work)
    return Paused(Rebuilding(doubt), seconds) if seconds else Rebuilding(doubt)


def _interrupted(work: Working) -> Starting | Recording | Rebuilding | Fenced | Waiting:
    return work.then if isinstance(work, Paused) else work


def _longer(seconds: float) -> float:
    return min(PAUSE_SECONDS_MOST, seconds * 2 or PAUSE_SECONDS_LEAST)
