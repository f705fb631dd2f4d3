"""`flashguard facts` and the example: JSON lines, from where the last run stopped."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.service import ADMIN_KEY, Service, clean_env
from tests.support.up import run_cli

EXAMPLE = Path(__file__).parents[2] / "examples" / "facts_to_file" / "follow.py"


def env_of(service: Service) -> dict[str, str]:
    return {"FLASHGUARD_URL": service.url, "FLASHGUARD_ADMIN_KEY": ADMIN_KEY}


def types_of(lines: str, sale: str) -> list[str]:
    """The types of the facts about a sale; one that came twice counts once."""
    facts = {fact["id"]: fact for fact in map(json.loads, lines.splitlines())}
    return [fact["type"] for fact in facts.values() if fact["data"]["sale_id"] == sale]


async def test_the_next_run_goes_on_where_the_last_one_stopped(service: Service, tmp_path: Path) -> None:
    env = env_of(service)
    words = ("facts", "--cursor-file", "cursor")
    first = await run_cli(*words, "--after", "now", cwd=tmp_path, **env)
    assert (first.code, first.out) == (0, "")
    sale = await service.create_sale()
    second = await run_cli(*words, cwd=tmp_path, **env)
    assert types_of(second.out, sale) == ["sale.opened"]
    (await service.buy(sale, "ann")).ok(201)
    third = await run_cli(*words, cwd=tmp_path, **env)
    assert types_of(third.out, sale) == ["order.confirmed"]
    whole = await run_cli("facts", cwd=tmp_path, **env)
    assert types_of(whole.out, sale) == ["sale.opened", "order.confirmed"]


@pytest.mark.parametrize("cursor", ["no cursor", "\udcff"])
async def test_a_cursor_that_can_not_be_is_one_sentence(
    service: Service, tmp_path: Path, cursor: str
) -> None:
    (tmp_path / "cursor").write_bytes(cursor.encode("utf-8", "surrogateescape"))
    ran = await run_cli("facts", "--cursor-file", "cursor", cwd=tmp_path, **env_of(service))
    assert (ran.code, ran.out, "Traceback" in ran.err) == (1, "", False)
    assert "cursor" in ran.err


def written(file: Path, sale: str, count: int) -> Callable[[], "asyncio.Future[bool]"]:
    async def is_written() -> bool:
        return file.exists() and len(types_of(file.read_text(), sale)) == count

    return is_written  # type: ignore[return-value]


@pytest.mark.parametrize("by", ["command", "example"])
async def test_a_follower_appends_each_fact_and_one_that_was_killed_goes_on(
    service: Service, tmp_path: Path, by: str
) -> None:
    file = tmp_path / "facts.jsonl"
    if by == "command":
        command = [sys.executable, "-m", "flashguard", "facts", "--follow", "--cursor-file", "cursor"]
        cursor = tmp_path / "cursor"
    else:
        command = [sys.executable, str(EXAMPLE), str(file)]
        cursor = tmp_path / "facts.jsonl.cursor"
    env = clean_env(**env_of(service), FLASHGUARD_KEY=ADMIN_KEY)

    def start() -> "subprocess.Popen[bytes]":
        with file.open("ab") as out:
            return subprocess.Popen(
                command, env=env, cwd=tmp_path, stdout=out if by == "command" else subprocess.DEVNULL
            )

    page = await service.admin("GET", "/v1/facts?after=now")
    cursor.write_text(page["next_cursor"])
    follower = start()
    sale = await service.create_sale()
    try:
        await eventually(written(file, sale, 1), "the first fact is written")
        follower.kill()
        await asyncio.to_thread(follower.wait)
        (await service.buy(sale, "ann")).ok(201)
        follower = start()
        (await service.buy(sale, "bob")).ok(201)
        await eventually(written(file, sale, 3), "the next ones are written")
        if by == "command":
            follower.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(follower.wait, 10) == 0
    finally:
        follower.kill()
        await asyncio.to_thread(follower.wait)
    assert types_of(file.read_text(), sale) == ["sale.opened", "order.confirmed", "order.confirmed"]


async def test_a_program_that_reads_no_more_ends_the_command_quietly(
    service: Service, tmp_path: Path
) -> None:
    for n in range(3):
        sale = await service.create_sale()
        (await service.buy(sale, f"c{n}")).ok(201)
    command = f"{sys.executable} -m flashguard facts | head -n 1"
    env = os.environ | clean_env(**env_of(service))
    done = await asyncio.to_thread(
        subprocess.run, command, shell=True, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    json.loads(done.stdout)
