"""Every request has a name: answered back, and in every line of the log that is about it."""

import asyncio
import json
import logging.config
from collections.abc import Iterator
from pathlib import Path

import pytest

from flashguard.telemetry.logs import REQUEST_ID, log_config
from tests.support.forked import Flashguard
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, READY_SECONDS, Service, clean_env, stop

PAST_THE_LANE = {"Content-Encoding": "identity"}
BASKET = {"customer": "ada", "items": [{"sku": "unit", "quantity": 1}]}


@pytest.mark.parametrize("more", [{}, PAST_THE_LANE], ids=["express", "framework"])
async def test_a_sane_request_id_is_answered_back(service, more):
    sale = await service.create_sale(stock=1)
    headers = {"X-Request-Id": "shop-42.a_B"} | more
    for status in (201, 409):
        answer = await service.call("POST", f"/v1/sales/{sale}/orders", BASKET, headers=headers)
        assert (answer.status, answer.headers["X-Request-Id"]) == (status, "shop-42.a_B")


@pytest.mark.parametrize("more", [{}, PAST_THE_LANE], ids=["express", "framework"])
@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "a;b", 'a"b', "{a}"])
async def test_one_that_is_not_sane_is_replaced_by_one_of_ours(service, sent, more):
    sale = await service.create_sale(stock=9)
    headers = {"X-Request-Id": sent} | more
    ours = set()
    for _ in range(2):
        answer = await service.call("POST", f"/v1/sales/{sale}/orders", BASKET, headers=headers)
        answer.ok(201)
        ours.add(answer.headers["X-Request-Id"])
    assert len(ours) == 2
    assert sent not in ours


@pytest.mark.parametrize("path", ["/healthz", "/v1/sales", "/nowhere", "/v1/reservations/x", "/metrics"])
async def test_every_answer_has_a_request_id(service, path):
    assert (await service.call("GET", path)).headers["X-Request-Id"]


async def test_the_log_is_json_by_setting_and_names_requests(servers, service, http, tmp_path: Path):
    sale = await service.create_sale(stock=2)
    port, written = free_port(), tmp_path / "log"
    env = clean_env(
        FLASHGUARD_REDIS_URL=servers.redis_url,
        FLASHGUARD_DATABASE_URL=servers.database_url,
        FLASHGUARD_ADMIN_KEY=ADMIN_KEY,
        FLASHGUARD_PORT=str(port),
        FLASHGUARD_LOG_FORMAT="json",
        FLASHGUARD_ACCESS_LOG="true",
    )
    logging_one = Service(f"http://127.0.0.1:{port}", servers, http)
    with written.open("w") as output:
        child = Flashguard("api", env=env, stderr=output.fileno())
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await logging_one.ready():
                assert child.poll() is None
                await asyncio.sleep(0.05)
        for name, more in (("by-express", {}), ("by-framework", PAST_THE_LANE)):
            headers = {"X-Request-Id": name} | more
            (await logging_one.call("POST", f"/v1/sales/{sale}/orders", BASKET, headers=headers)).ok(201)
        ticket = f"/v1/sales/{sale}/tickets/{'x' * 16}"
        await logging_one.call("GET", ticket, headers={"X-Request-Id": "looks"})
        await logging_one.call("HEAD", "/healthz", headers={"X-Request-Id": "heads"})
    finally:
        child.terminate()
        await stop(child)
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    asked = {line["request_id"]: (line["method"], line["route"]) for line in lines if "route" in line}
    assert asked["looks"] == ("GET", "/v1/sales/{sale}/tickets/{ticket}")
    assert asked["heads"] == ("HEAD", "/healthz")
    assert all({"timestamp", "level", "logger", "message"} <= line.keys() for line in lines)
    assert any(line["logger"].startswith("uvicorn") for line in lines)
    for name in ("by-express", "by-framework"):
        [line] = [line for line in lines if line.get("request_id") == name]
        assert (line["method"], line["route"]) == ("POST", "/v1/sales/{sale}/orders")
        assert line["status"] == 201
        assert line["duration_ms"] > 0
    assert ADMIN_KEY not in written.read_text()


@pytest.fixture
def loggers_as_they_were() -> Iterator[None]:
    ours = [logging.getLogger(name) for name in ("flashguard", "uvicorn", "")]
    before = [(each, list(each.handlers), each.propagate, each.level) for each in ours]
    yield
    for logger, handlers, propagate, level in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.mark.usefixtures("loggers_as_they_were")
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_logged_while_a_request_is_answered_has_its_id(form: str, capfd: pytest.CaptureFixture[str]):
    logging.config.dictConfig(log_config("info", form))
    token = REQUEST_ID.set(b"this-one")
    logging.getLogger("flashguard").warning("memory refused")
    REQUEST_ID.reset(token)
    logging.getLogger("flashguard").warning("nobody's")
    about, nobodys = capfd.readouterr().err.splitlines()
    assert "this-one" in about
    assert "this-one" not in nobodys
    if form == "json":
        assert json.loads(about)["request_id"] == "this-one"
        assert "request_id" not in json.loads(nobodys)
