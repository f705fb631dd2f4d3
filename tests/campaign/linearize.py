"""Decides whether a history of concurrent operations is linearizable.

The algorithm is Wing and Gong's (Testing and Verifying Concurrent Objects, 1993) with Lowe's memory of
configurations (Testing for Linearizability, 2017), as in Porcupine: depth first, it puts the operations into
an order that keeps "returned before the other was called", and in which a sequential specification allows
every answer. These rules make it fast, and lose no order:

- An operation that only reads is put in as soon as it is allowed: it can't prevent another.
- What takes units is tried first, by its return; what frees them when it must come, or when nothing else can.
  An operation that never returned may stay out.

A search beyond its budget is undecided, which is no verdict.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

BUDGET: Final = 500_000
"""Steps after which the search ends undecided."""
SEARCHES: Final = 20
"""How often it may begin again within its budget."""
NEVER: Final = math.inf
"""The time of return of an operation without an answer: it may take effect at any time, or not at all."""


class State(Protocol):
    """The state of a sequential specification. It can go back."""

    @property
    def mark(self) -> int:
        """A number that differs between states that the same operations led to."""
        ...

    def moment(self) -> int:
        """Return a place to go back to."""
        ...

    def back_to(self, moment: int) -> None:
        """Undo everything since this moment."""
        ...


S = TypeVar("S", bound=State)
S_contra = TypeVar("S_contra", bound=State, contravariant=True)


class Operation(Protocol[S_contra]):
    """An operation and its answer. Times are seconds of one clock."""

    @property
    def call(self) -> float: ...
    @property
    def returned(self) -> float: ...
    @property
    def changes(self) -> bool:
        """False: the operation only reads."""
        ...

    @property
    def frees(self) -> bool:
        """Whether it gives back what others may have been refused: it is tried after those that take."""
        ...

    @property
    def about(self) -> str:
        """The object's name: where nothing else can come, what frees this object is tried first."""
        ...

    def apply(self, state: S_contra) -> bool:
        """Change the state as this operation does. False: this answer is not allowed in this state."""
        ...


class Verdict(StrEnum):
    LINEARIZABLE = "linearizable"
    NOT = "not linearizable"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Decision(Generic[S]):
    """What the search found."""

    verdict: Verdict
    order: Sequence[Operation[S]]
    """The order that explains the history; without one, the longest that was found."""
    blocked: Operation[S] | None
    """Without an order: the operation that had to come next after the longest, and could not."""
    steps: int


class _Config(NamedTuple):
    """Which operations are in the order."""

    first: int
    """All answered operations before this one, by their returns, are in."""
    later: int
    """The others that are in, as bits from `first` on."""
    pending: int
    """Those without an answer that are in, as bits."""


class _Node(NamedTuple, Generic[S]):
    config: _Config
    moment: int
    length: int
    choices: Iterator[tuple[Operation[S], _Config]]


def linearize(operations: Sequence[Operation[S]], state: S, *, budget: int = BUDGET) -> Decision[S]:
    """Search for an order of these operations that begins in this state. The state is changed.

    A search that is stuck begins again, with a guess about the operations that were open when the one that it
    was stuck at was called: those that came early come late, and the other way round. Going back step by step
    would try every order of what lies between.
    """
    late: set[int] = set()
    begin, used = state.moment(), 0
    while True:
        found = _search(operations, state, late, min(budget - used, budget // SEARCHES))
        used += found.steps
        state.back_to(begin)
        if found.verdict is not Verdict.UNDECIDED or used >= budget:
            return replace(found, steps=used)
        late ^= _beside(found)


def _beside(found: Decision[S]) -> set[int]:
    """Return what took units in the longest order, and was open when the blocked operation was called."""
    if found.blocked is None:
        return set()
    call = found.blocked.call
    return {id(o) for o in found.order if o.changes and not o.frees and o.returned > call}


def _search(operations: Sequence[Operation[S]], state: S, late: set[int], budget: int) -> Decision[S]:
    graph = _Graph(operations, state, late)
    start = _Config(0, 0, 0)
    order: list[Operation[S]] = []
    longest: list[Operation[S]] = []
    blocked: Operation[S] | None = None
    seen: set[tuple[_Config, int]] = set()
    stack = [_Node(start, state.moment(), 0, graph.choices(start))]
    steps = 0
    while stack and not graph.is_whole(start):
        node = stack[-1]
        state.back_to(node.moment)
        del order[node.length :]
        choice = next(node.choices, None)
        if choice is None:
            if blocked is None or len(order) > len(longest):
                longest, blocked = list(order), graph.forced(node.config)
            stack.pop()
            continue
        operation, config = choice
        order.append(operation)
        steps += 1
        if graph.is_whole(config):
            return Decision(Verdict.LINEARIZABLE, order, None, steps)
        if steps == budget:
            return Decision(Verdict.UNDECIDED, longest, blocked, steps)
        if (config, state.mark) not in seen:
            seen.add((config, state.mark))
            stack.append(_Node(config, state.moment(), len(order), graph.choices(config)))
    return Decision(Verdict.NOT if blocked else Verdict.LINEARIZABLE, longest, blocked, steps)


class _Graph(Generic[S]):
    """Which operations may come next."""

    def __init__(self, operations: Sequence[Operation[S]], state: S, late: set[int]) -> None:
        self._state = state
        self._late = late
        self._answered = sorted((o for o in operations if o.returned < NEVER), key=lambda o: o.returned)
        self._pending = sorted((o for o in operations if o.returned == NEVER), key=lambda o: o.call)
        self._pending_takes = [n for n, o in enumerate(self._pending) if not o.frees]
        self._pending_frees = [n for n, o in enumerate(self._pending) if o.frees]
        self._earliest = [NEVER] * (len(self._answered) + 1)
        """The earliest call among the answered operations from this one on."""
        for n in reversed(range(len(self._answered))):
            self._earliest[n] = min(self._answered[n].call, self._earliest[n + 1])

    def is_whole(self, config: _Config) -> bool:
        """Return whether every answered operation is in the order."""
        return config.first == len(self._answered)

    def forced(self, config: _Config) -> Operation[S]:
        """Return the operation that returns first: no other may come before it that was called after that."""
        return self._answered[config.first]

    def choices(self, config: _Config) -> Iterator[tuple[Operation[S], _Config]]:
        """Yield each operation that may come next, after its change of the state; the caller undoes it."""
        forced = self.forced(config)
        called = [(n, self._answered[n]) for n in self._called(config, forced.returned)]
        for n, operation in called:
            if not operation.changes and operation.apply(self._state):
                yield operation, _with(config, n)
                return
        takes = [(o, _with(config, n)) for n, o in called if o.changes and not o.frees]
        takes += self._unanswered(config, forced, frees=False)
        takes.sort(key=lambda choice: _latest(choice[0]))
        for operation, chosen in takes:
            if id(operation) not in self._late and operation.apply(self._state):
                yield operation, chosen
        for n, operation in called:
            if operation.frees and operation.apply(self._state):
                yield operation, _with(config, n)
        for operation, chosen in takes:
            if id(operation) in self._late and operation.apply(self._state):
                yield operation, chosen
        frees = self._unanswered(config, forced, frees=True)
        for operation, chosen in sorted(frees, key=lambda choice: choice[0].about != forced.about):
            if operation.apply(self._state):
                yield operation, chosen

    def _unanswered(
        self, config: _Config, forced: Operation[S], *, frees: bool
    ) -> Iterator[tuple[Operation[S], _Config]]:
        """Yield the operations without an answer that may be next and are not in yet, by their calls."""
        for n in self._pending_frees if frees else self._pending_takes:
            if self._pending[n].call > forced.returned:
                break
            if not config.pending >> n & 1:
                yield self._pending[n], config._replace(pending=config.pending | 1 << n)

    def _called(self, config: _Config, until: float) -> Iterator[int]:
        """Yield the answered operations that are not in yet and were called by then, by their returns."""
        n, bits = config.first, config.later
        while self._earliest[n] <= until:
            if not bits & 1 and self._answered[n].call <= until:
                yield n
            n, bits = n + 1, bits >> 1


def _latest(operation: Operation[S]) -> float:
    """Return when an operation had taken effect: without an answer most likely soon after its call."""
    return operation.call if operation.returned == NEVER else operation.returned


def _with(config: _Config, n: int) -> _Config:
    """Return the configuration with this answered operation."""
    first, later = config.first, config.later | 1 << (n - config.first)
    while later & 1:
        first, later = first + 1, later >> 1
    return _Config(first, later, config.pending)
