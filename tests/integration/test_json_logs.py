"""`FLASHGUARD_LOG_FORMAT=json`: every line that a part, or `up` around them, writes is a JSON object."""

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

from tests.support.service import ADMIN_KEY
from tests.support.up import Up, run_cli

JSON = {"FLASHGUARD_LOG_FORMAT": "json"}
READY = "FlashGuard is ready: "


def parsed(output: str) -> list[dict[str, Any]]:
    """Every line as the object that it is."""
    lines = [json.loads(line) for line in output.splitlines()]
    for line in lines:
        assert {"level", "logger", "message", "timestamp"} <= set(line), line
    return lines


def test_every_line_of_up_is_json_from_its_start_over_a_crash_to_its_end(folder: Path) -> None:
    more = {"FLASHGUARD_ACCESS_LOG": "true", "FLASHGUARD_LOG_LEVEL": "debug"}
    with Up(folder, "--port", "0", fresh=True, **JSON, **more) as up:
        up.wait_for(READY)
        for name in ("deliverer", "valkey"):
            os.kill(up.run().pids[name], signal.SIGKILL)
            up.wait_for(f"{name} ended with exit code -9")
        up.wait_for("deliverer started; it sends webhooks")
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(30) == 0, up.output
        lines = parsed(up.output)
        said = [(line["logger"], line["message"]) for line in lines]
        assert (
            "flashguard.webhooks",
            "deliverer started; it sends webhooks",
        ) in said  # the child's own object, not one around it
        assert any(re.match("POST /v1/sales 201 in", message) for _, message in said)
        assert any(message.startswith("applied ") for _, message in said)
        assert ("flashguard", "stopping") in said
        assert not any(message.startswith("{") for _, message in said)
        assert (up.data_dir / "admin.key").read_text().strip() not in up.output


def test_an_up_that_can_not_start_says_so_in_json(folder: Path) -> None:
    with Up(folder, "--port", "0", **JSON, FLASHGUARD_MODE="production") as up:
        assert up.process.wait(30) == 1
        assert [line["level"] for line in parsed(up.output)] == ["CRITICAL"]


async def test_each_part_alone_says_in_json_why_it_can_not_start(folder: Path) -> None:
    """Also `up` around a child that ends at once, and an error that nobody expected."""
    for part in ("api", "recorder", "deliverer", "migrate"):
        ran = await run_cli(part, cwd=folder, **JSON, FLASHGUARD_ADMIN_KEY=ADMIN_KEY)
        assert ran.code == 1, ran
        assert "FLASHGUARD_DATABASE_URL" in parsed(ran.out + ran.err)[-1]["message"]
    nowhere = {
        "FLASHGUARD_REDIS_URL": "redis://127.0.0.1:1",
        "FLASHGUARD_DATABASE_URL": "postgresql://127.0.0.1:1/no",
    }
    up = Up(folder, "--port", "0", **JSON, **nowhere)
    with up:
        await asyncio.to_thread(up.wait_for, "retrying in")
    parsed(up.output)


async def test_an_interactive_command_still_answers_in_words(folder: Path) -> None:
    ran = await run_cli("sale", "list", cwd=folder, **JSON, FLASHGUARD_ADMIN_KEY=ADMIN_KEY)
    assert ran.code == 1
    assert ran.err.startswith("No FlashGuard runs on")
