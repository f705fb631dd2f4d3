"""The processes and servers that a fault works on."""

import random
import time

from tests.campaign.lab_stack import LabStack
from tests.campaign.plan import Plan
from tests.campaign.topologies import ClusterStack, SentinelStack
from tests.campaign.up_stack import UpStack

AnyStack = UpStack | LabStack | ClusterStack | SentinelStack


class Scene:
    """The processes and servers that a fault works on."""

    def __init__(self, plan: Plan, stack: AnyStack, sale: str) -> None:
        self.plan = plan
        self.stack = stack
        self.sale = sale
        self.rng: random.Random = plan.rng("fault")
        self.struck_at = 0.0
        self.first_struck_at = 0.0
        self.note = ""
        self.expected: set[str] = {plan.also} if plan.also else set()
        """Parts that this fault stops."""

    @property
    def up(self) -> UpStack:
        assert isinstance(self.stack, UpStack)
        return self.stack

    @property
    def lab(self) -> LabStack:
        assert isinstance(self.stack, LabStack)
        return self.stack

    @property
    def cluster(self) -> ClusterStack:
        assert isinstance(self.stack, ClusterStack)
        return self.stack

    @property
    def sentinel(self) -> SentinelStack:
        assert isinstance(self.stack, SentinelStack)
        return self.stack

    def struck(self) -> None:
        """The moment from which recovery is measured."""
        self.struck_at = time.monotonic()
        self.first_struck_at = self.first_struck_at or self.struck_at
