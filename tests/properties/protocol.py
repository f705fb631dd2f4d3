"""The whole protocol in plain Python: memory, its journal, the ledger and its position, and losing memory.

The ledger is specified in one sentence: at every moment it is what memory was after one entry of the ledger's
own history. So each entry keeps a copy of all that is true after it, and recording is taking that copy.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flashguard.kernel.verbs import Verb
from tests.properties.model import Model, Sale

_tags = itertools.count(1)


@dataclass
class Link:
    """A journal entry: who it is, whether in this or in a forked history, and all that is true after it."""

    tag: int
    after: dict[str, Sale]


@dataclass
class Memory:
    """Memory as a whole; a replica is a copy of it."""

    state: Model
    base: int
    """The tag that the first entry of the epoch follows."""
    links: list[Link] = field(default_factory=list)
    fenced: bool = False

    def tag_at(self, seq: int) -> int | None:
        if seq == 0:
            return self.base
        return self.links[seq - 1].tag if seq <= len(self.links) else None


class Protocol:
    """One partition of an installation."""

    def __init__(self, sales: dict[str, Sale], epoch: int) -> None:
        self.sales = sales
        """The ledger's."""
        self.epoch, self.seq, self.tag = epoch, 0, next(_tags)
        self.memory: Memory | None = None
        self.replica: Memory | None = None
        self.now_ms = 0

    # Buyers

    def call(self, verb: Verb, requests: Sequence[tuple[Any, ...]], floor: int) -> list[list[Any]] | None:
        """One script call by somebody who has seen epoch `floor`; None: recovering."""
        memory = self.memory
        if memory is None or memory.fenced or memory.state.epoch < floor:
            return None
        memory.state.now_ms = self.now_ms
        before = memory.state.seq
        results = memory.state.call(verb, requests)
        if memory.state.seq > before:
            memory.links.append(Link(next(_tags), copy.deepcopy(memory.state.sales)))
        return results

    # The recorder

    @property
    def chains(self) -> bool:
        """Whether memory is the history that the ledger recorded."""
        memory = self.memory
        return memory is not None and memory.state.epoch == self.epoch and memory.tag_at(self.seq) == self.tag

    @property
    def sound(self) -> bool:
        return self.chains and self.memory is not None and not self.memory.fenced

    @property
    def unrecorded(self) -> int:
        """Entries that continue the ledger's history."""
        return len(self.memory.links) - self.seq if self.chains and self.memory is not None else 0

    def record(self, count: int) -> None:
        assert self.memory is not None
        self.seq += count
        link = self.memory.links[self.seq - 1]
        self.tag, self.sales = link.tag, copy.deepcopy(link.after)

    def announce(self) -> bool:
        """False: memory has lost the entry since."""
        if not self.sound or self.memory is None:
            return False
        self.memory.state.recorded = self.seq
        return True

    def raise_epoch(self) -> None:
        """Fence, record what chains, raise the epoch: what a rebuild has done once the ledger knows of it."""
        self.record_all()
        self.epoch, self.seq, self.tag = self.epoch + 1, 0, next(_tags)

    def record_all(self) -> None:
        if self.unrecorded:
            self.record(self.unrecorded)

    def build(self) -> None:
        """Memory anew, from the ledger, under the ledger's epoch."""
        state = Model()
        state.sales = copy.deepcopy(self.sales)
        state.epoch, state.now_ms = self.epoch - 1, self.now_ms
        state.rebuild()
        self.memory = Memory(state, self.tag, [Link(next(_tags), copy.deepcopy(self.sales))])

    def fence(self) -> None:
        if self.memory is not None:
            self.memory.fenced = True

    # What goes wrong

    def save(self) -> None:
        self.replica = copy.deepcopy(self.memory)

    def fall_back(self) -> None:
        self.memory = copy.deepcopy(self.replica)

    def flush(self) -> None:
        self.memory = None
