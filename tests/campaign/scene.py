"""What a fault works on."""

import random
import time

from lab_stack import LabStack
from up_stack import UpStack

from plan import Plan


class Scene:
    """What a fault works on."""

    def __init__(self, plan: Plan, up: UpStack | None, lab: LabStack | None) -> None:
        self.plan = plan
        self.rng: random.Random = plan.rng("fault")
        self.struck_at = 0.0
        self.note = ""
        self.expected: set[str] = {plan.also} if plan.also else set()
        """Parts that this fault ends."""
        self._up = up
        self._lab = lab

    @property
    def up(self) -> UpStack:
        assert self._up is not None
        return self._up

    @property
    def lab(self) -> LabStack:
        assert self._lab is not None
        return self._lab

    @property
    def stack(self) -> UpStack | LabStack:
        return self.up if self.plan.stack == "up" else self.lab

    def struck(self) -> None:
        """The moment from which the way back is measured."""
        self.struck_at = time.monotonic()
