"""A hot call leaves nothing to the garbage collector, whose pauses every buyer would share."""

import gc
import weakref
from types import SimpleNamespace
from typing import Any, cast

from flashguard.api.responses.encoded import Encoded
from flashguard.api.responses.problems import problem
from flashguard.api.server.hot_request import HotRequest
from flashguard.engine.baskets import Basket
from flashguard.engine.decision import Decision, DecisionStatus
from flashguard.engine.selling import Sell
from flashguard.errors import Code
from flashguard.model import CustomerId, Line, Refused, SaleId, Sku


class Queue:
    """Keeps what is submitted until it is settled."""

    def __init__(self) -> None:
        self.asked: list[Sell] = []

    def submit(self, asked: Sell, answer: Any) -> None:
        asked.answer = answer
        self.asked.append(asked)


class Guard:
    """What only the request names."""

    def __init__(self, decisions: Queue) -> None:
        self.decisions = decisions


def test_an_answered_request_is_freed_at_once() -> None:
    queue = Queue()
    guard = Guard(queue)
    answers: list[object] = []
    shared = SimpleNamespace(
        traces=None,
        settings=SimpleNamespace(access_log=False),
        answers=SimpleNamespace(note=lambda *_: None),
    )

    def finish(*_: object) -> Encoded:
        return problem(Refused(code=Code.SOLD_OUT, detail="none left"))

    call = SimpleNamespace(method="POST", path="/v1/sales/{sale}/orders", finish=finish)
    basket = Basket(SaleId("x"), CustomerId("ann"), (Line(Sku("unit"), 1),), "k", True, 0)
    request = HotRequest(
        cast(Any, shared), cast(Any, call), cast(Any, guard), Sell(basket, "id", 1, None), None, b"1", 0.0
    )
    gc.disable()
    try:
        request.start(answers.append, [])
        queue.asked.pop().settle(Decision(DecisionStatus.DECIDED))
        freed = weakref.ref(guard)
        del request, guard
        assert len(answers) == 1
        assert freed() is None
    finally:
        gc.enable()
