"""What a connection costs while it is idle, and that it still works when its client is slow or in a hurry."""

import asyncio
import gc
import tracemalloc

from bench import instructions
from bench.offline import RESULTS, OfflineServer
from flashguard.api.server.flow import Flow
from flashguard.settings import Settings

SETTINGS = Settings(admin_key=instructions.ADMIN_KEY)  # type: ignore[arg-type]
CONNECTIONS = instructions.CONNECTIONS
MOST_BYTES = 3_000
"""Of Python's memory, without the event loop's: 10,000 idle connections then fit into a process of 150 MB."""


async def test_an_idle_connection_keeps_little():
    first = OfflineServer(SETTINGS, CONNECTIONS, RESULTS["hold"])
    await first.answers(instructions.requests("hold"))  # caches are filled once
    gc.collect()
    tracemalloc.start()
    wires = [type(first.wires[0])(wire.config, wire.server_state, {}) for wire in first.wires]
    for wire, old in zip(wires, first.wires, strict=True):
        wire.connection_made(old.transport._transport)
    first.wires = wires
    answers = await first.answers(instructions.requests("hold"))
    assert all(answer.startswith(b"HTTP/1.1 201") for answer in answers)
    del answers
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / CONNECTIONS < MOST_BYTES


async def test_a_slow_client_is_waited_for_as_often_as_it_is_slow():
    flow = Flow(None)  # type: ignore[arg-type]
    await flow.drain()
    for _ in range(2):
        flow.pause_writing()
        flow.pause_writing()
        assert flow.write_paused
        waiting = [asyncio.create_task(flow.drain()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        flow.resume_writing()
        await asyncio.gather(*waiting)
        assert not flow.write_paused
        await flow.drain()
