"""`flashguard webhooks test` sends a signed event through the deliverer; the example verifies it."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.real_stack import Stack, started
from tests.support.receiver import listening
from tests.support.service import clean_env, stop

EXAMPLE = Path(__file__).parents[2] / "examples" / "webhook_receiver" / "receiver.py"


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession) -> AsyncIterator[Stack]:
    settings = {"PRIVATE_ADDRESSES": "true", "RETRY_SECONDS": "60", "TIMEOUT_SECONDS": "2"}
    async with started(
        http, **{f"FLASHGUARD_WEBHOOK_{name}": value for name, value in settings.items()}
    ) as it:
        it.start("deliverer")
        yield it


async def send_test(stack: Stack, endpoint: str) -> tuple[int, dict]:
    """`flashguard webhooks test ... --json`: its exit code and what it shows."""
    code, out = await run_test(stack, endpoint, "--json")
    return code, json.loads(out)


async def run_test(stack: Stack, endpoint: str, *options: str) -> tuple[int, str]:
    """`flashguard webhooks test`: its exit code and its output."""
    service = stack.service
    words = ("webhooks", "test", endpoint, *options, "--url", service.url, "--admin-key", service.admin_key)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flashguard", *words, env=clean_env(), stdout=subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode or 0, out.decode()


async def endpoint_to(stack: Stack, url: str, **more: object) -> dict:
    made = await stack.service.call("POST", "/v1/webhooks", {"url": url, **more}, admin=True)
    return dict(made.ok(201))


async def test_the_receiver_in_examples_takes_a_test_event_and_refuses_a_forged_one(
    stack: Stack, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    endpoint = await endpoint_to(stack, url, events=["sale.opened"])
    receiver = subprocess.Popen(
        [sys.executable, str(EXAMPLE)],
        env=os.environ | {"WEBHOOK_SECRET": endpoint["secret"], "PORT": str(port)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:

        async def answers() -> bool:
            try:
                async with http.get(url) as answer:
                    return answer.status == 501
            except aiohttp.ClientError:
                return False

        await eventually(answers, "the receiver runs")
        code, line = await send_test(stack, endpoint["id"])
        assert (code, line["state"], line["status"]) == (0, "delivered", 204), line
        assert receiver.stdout is not None
        assert (await asyncio.to_thread(receiver.stdout.readline)).split() == [
            "webhook.test",
            line["message_id"],
        ]
        code, said = await run_test(stack, endpoint["id"])
        assert code == 0
        assert "was delivered: status 204 after" in said
        forged = {
            "webhook-id": line["message_id"], "webhook-timestamp": "1700000000",
            "webhook-signature": "v1," + base64.b64encode(b"x" * 32).decode(),
        }  # fmt: skip
        async with http.post(url, data=b"{}", headers=forged) as answer:
            assert answer.status == 401
    finally:
        receiver.kill()
        await stop(receiver)
        await stack.service.call("DELETE", f"/v1/webhooks/{endpoint['id']}", admin=True)


async def test_a_test_event_that_fails_is_shown_and_waits_once(stack: Stack) -> None:
    async with listening() as receiver:
        endpoint = await endpoint_to(stack, receiver.url())
        path = f"/v1/webhooks/{endpoint['id']}"
        receiver.plan["/hook"] = ["500"]
        code, line = await send_test(stack, endpoint["id"])
        assert (code, line["state"], line["status"]) == (1, "pending", 500), line
        assert "500" in line["error"]
        receiver.plan["/hook"] = ["500"]
        code, said = await run_test(stack, endpoint["id"])
        assert code == 1
        assert f"Test event {line['message_id']} was not delivered: " in said
        assert "Next attempt at " in said
        code, again = await send_test(stack, endpoint["id"])
        assert (code, again["id"], again["state"]) == (0, line["id"], "delivered")
        assert [each.type for each in receiver.received] == ["webhook.test"] * 3
        assert receiver.received[0].data == {"webhook_id": endpoint["id"]}
        log = (await stack.service.call("GET", f"{path}/deliveries", admin=True)).ok()["data"]
        assert [(each["id"], each["sale_id"], each["reservation_id"]) for each in log] == [
            (line["id"], "", None)
        ]

        asked = (await stack.service.call("POST", f"{path}/test", admin=True, key="once")).ok(202)
        await stack.service.call("PATCH", path, {"enabled": False}, admin=True)
        retried = await stack.service.call("POST", f"{path}/test", admin=True, key="once")
        assert retried.replayed
        assert retried.ok(202)["id"] == asked["id"] != line["id"]
        refused = await stack.service.call("POST", f"{path}/test", admin=True)
        assert "is disabled" in refused.problem(422, "invalid-request")["detail"]
        await stack.service.call("DELETE", path, admin=True)
