"""The answers of a batch are made in one loop: no task per request, and no request harms another's answer."""

import asyncio

import pytest

from bench import instructions
from bench.offline import RESULTS, OfflineServer
from flashguard.api import buyer_calls
from flashguard.api.server.hot_request import HotRequest
from flashguard.settings import Settings

SETTINGS = Settings(admin_key=instructions.ADMIN_KEY)  # type: ignore[arg-type]
MANY = instructions.CONNECTIONS


@pytest.mark.parametrize("call", RESULTS)
async def test_holds_buys_and_rejections_need_no_task_of_their_own(call):
    server = OfflineServer(SETTINGS, MANY, RESULTS[call])
    await server.answers(instructions.requests(call))  # the settings of the server are read once
    made = []
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()

    def counting(loop: asyncio.AbstractEventLoop, work, **more):
        made.append(work)
        return asyncio.Task(work, loop=loop, **more)

    loop.set_task_factory(counting)
    try:
        answers = await server.answers(instructions.requests(call))
    finally:
        loop.set_task_factory(factory)
    assert len(answers) == MANY
    assert len(made) <= 2  # the batch's own: one sends it, one waits for its commit


async def test_a_defect_in_one_answer_leaves_the_others_of_its_batch(monkeypatch, caplog):
    server = OfflineServer(SETTINGS, MANY, RESULTS["buy"])
    noted, calls = buyer_calls.note_sold, []

    def broken_once(*given):
        calls.append(given)
        if len(calls) == 3:
            raise ZeroDivisionError
        return noted(*given)

    monkeypatch.setattr(buyer_calls, "note_sold", broken_once)
    answers = await server.answers(instructions.requests("buy"))
    statuses = [answer[9:12] for answer in answers]
    assert statuses == [b"500" if number == 2 else b"201" for number in range(MANY)]
    assert b"Unexpected error; it was logged." in answers[2]
    assert "unexpected error in POST /v1/sales/{sale}/orders" in caplog.text


async def test_an_answer_given_at_once_begins_the_connections_idle_time(monkeypatch):
    server = OfflineServer(SETTINGS, 1, RESULTS["buy"])
    [wire] = server.wires
    wire._idle_since = 0.0  # as of a connection that has been idle for long
    monkeypatch.setattr(HotRequest, "start", lambda self, reply, _: reply(self._unexpected()))
    await server.answers(instructions.requests("buy")[:1])
    assert wire._idle_since == pytest.approx(wire.loop.time(), abs=1)
