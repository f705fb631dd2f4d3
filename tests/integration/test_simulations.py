"""Simulations as a service, against the real one."""

import asyncio
import contextlib
import os
import signal
import time

import psutil
import pytest

from tests.support.service import unique
from tests.support.simulations import PATH, over
from tests.support.streams import another_api, stream

SMALL = {"buyers": 200, "stock": 20, "strategies": ["flashguard"]}
LARGE = {"buyers": 5_000, "stock": 50, "strategies": ["row-lock", "optimistic"]}


async def start(service, body) -> dict:
    answer = await service.call("POST", PATH, body, admin=True)
    return answer.ok(202)


def jobs_of(id_: str) -> list[psutil.Process]:
    """The process that runs this simulation."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "flashguard.simulator.job" in line and id_ in line and "trampoline" not in line:
            found.append(process)
    return found


async def no_jobs(id_: str, seconds: float = 5.0) -> None:
    """Waits until no process runs this simulation."""
    async with asyncio.timeout(seconds):
        while jobs_of(id_):
            await asyncio.sleep(0.05)


async def test_a_simulation_runs_tells_what_happens_and_keeps_its_address(service, quiet):
    started = await start(service, SMALL)
    assert started["status"] in ("starting", "running")
    async with stream(service, f"{PATH}/{started['id']}/events") as events:
        seen = await events.rest(60)
    assert seen[0].name == seen[-1].name == "simulation"
    assert {event.name for event in seen} >= {"simulation", "counters", "log", "run"}
    final = seen[-1].data
    assert final["status"] == "finished"
    [run] = final["runs"]
    assert (run["successful_locks"], run["inventory_oversold"], run["errors"]) == (20, 0, 0)
    assert next(event.data for event in seen if event.name == "run") == run
    assert (await service.call("GET", f"{PATH}/{started['id']}")).ok() == final  # without a key
    lines = [event.data["text"] for event in seen if event.name == "log"]
    assert lines == [line["text"] for line in final["log"]][-len(lines) :]
    assert sum(point["locks"] for point in final["series"]) == 20
    listed = (await service.admin("GET", PATH))["data"][0]
    assert listed == {name: final[name] for name in final if name not in ("log", "series")}
    async with stream(service, f"{PATH}/{started['id']}/events") as events:
        assert [event.data for event in await events.rest()] == [final]


async def test_the_same_key_starts_one_simulation_while_it_runs_and_when_it_is_over(service, http, quiet):
    key = unique("sim")
    async with another_api(service, http) as another:
        answers = await asyncio.gather(
            *(one.call("POST", PATH, SMALL, admin=True, key=key) for one in (service, another) * 2)
        )
        started = [answer for answer in answers if answer.status == 202]
        assert len({answer.body["id"] for answer in started}) == 1
        assert len([answer for answer in started if not answer.replayed]) == 1
        for answer in answers:
            if answer not in started:  # it came while the first was being started: to be sent again
                answer.problem(409, "request-in-flight")
        final = await over(service, started[0].body["id"])
        retried = await another.call("POST", PATH, SMALL, admin=True, key=key)
        assert retried.replayed
        assert retried.ok(202) == final
    other = await service.call("POST", PATH, SMALL | {"stock": 21}, admin=True, key=key)
    other.problem(422, "idempotency-mismatch")
    newest = (await service.admin("GET", PATH))["data"]
    assert [each["id"] for each in newest].count(final["id"]) == 1


async def test_only_one_runs_at_a_time_and_any_process_shows_and_stops_it(service, http, quiet):
    async with another_api(service, http) as another:
        running = await start(service, LARGE)
        refused = await another.call("POST", PATH, SMALL, admin=True)
        assert running["id"] in refused.problem(409, "request-in-flight")["detail"]
        async with stream(another, f"{PATH}/{running['id']}/events") as events:
            assert (await events.next()).name == "simulation"
            await events.until("counters", 20)
            stopped_at = time.monotonic()
            assert (await another.call("POST", f"{PATH}/{running['id']}/stop", admin=True)).ok()
            assert (await events.rest(25))[-1].data["status"] == "stopped"
            assert time.monotonic() - stopped_at < 20
        await no_jobs(running["id"])
        again = (await another.call("POST", f"{PATH}/{running['id']}/stop", admin=True)).ok()
        assert again["status"] == "stopped"


async def test_one_whose_process_is_killed_has_failed_and_says_so(service, quiet):
    running = await start(service, LARGE)
    async with stream(service, f"{PATH}/{running['id']}/events") as events:
        await events.until("log", 20)
        [job] = jobs_of(running["id"])
        children = job.children()
        job.kill()
        final = (await events.rest(15))[-1].data
    assert final["status"] == "failed"
    assert "exit code -9" in final["detail"]
    assert final["log"][-1] == {"at_ms": final["log"][-1]["at_ms"], "text": final["detail"], "level": "error"}
    assert (await service.call("GET", f"{PATH}/{running['id']}")).ok() == final
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.wait(5)
    (await service.call("POST", PATH, SMALL, admin=True)).ok(202)


async def test_one_whose_api_process_is_killed_ends_too(service, http, quiet):
    async with another_api(service, http) as another:
        running = await start(another, LARGE)
        async with stream(another, f"{PATH}/{running['id']}/events") as events:
            await events.until("log", 20)
        os.kill(another.process.pid, signal.SIGKILL)
        final = await over(service, running["id"], 30)
    assert final["status"] in ("stopped", "failed")
    await no_jobs(running["id"], 20)


async def test_a_service_that_ends_takes_its_simulation_along(service, http, quiet):
    async with another_api(service, http) as another:
        running = await start(another, LARGE)
        async with stream(another, f"{PATH}/{running['id']}/events") as events:
            await events.until("log", 20)
            started = time.monotonic()
            another.process.send_signal(signal.SIGTERM)
            await events.rest(5)
        await asyncio.to_thread(another.process.wait, 15)
        assert time.monotonic() - started < 8
        await no_jobs(running["id"], 0.5)
    assert (await over(service, running["id"], 15))["status"] in ("stopped", "failed")


async def test_simulations_are_off_in_production_unless_turned_on(service, http, quiet):
    async with another_api(service, http, FLASHGUARD_MODE="production") as another:
        refused = await another.call("POST", PATH, SMALL, admin=True)
        assert "FLASHGUARD_SIMULATIONS" in refused.problem(403, "forbidden")["detail"]
        assert (await another.admin("GET", PATH))["enabled"] is False
        assert (await another.admin("GET", "/v1/system"))["simulations"]["enabled"] is False
    env = {"FLASHGUARD_MODE": "production", "FLASHGUARD_SIMULATIONS": "true"}
    async with another_api(service, http, **env) as another:
        running = await start(another, SMALL)
        assert (await over(another, running["id"]))["runs"][0]["successful_locks"] == 20


@pytest.mark.parametrize(
    "wrong",
    [{"buyers": 20_001}, {"buyers": 0}, {"stock": -1}, {"strategies": []}, {"strategies": ["magic"]}],
)
async def test_what_makes_no_sense_is_refused(service, wrong):
    answer = await service.call("POST", PATH, SMALL | wrong, admin=True)
    answer.problem(422, "invalid-request")


async def test_all_but_reading_one_needs_the_admins_key(service):
    for method, path in (("POST", PATH), ("GET", PATH), ("POST", f"{PATH}/abc/stop")):
        body = SMALL if path == PATH and method == "POST" else None
        (await service.call(method, path, body)).problem(401, "unauthenticated")
    for path in (f"{PATH}/abc", f"{PATH}/abc/events"):
        (await service.call("GET", path)).problem(404, "invalid-request")
