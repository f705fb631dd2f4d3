"""`flashguard up`, as a user meets it: one command, one Ctrl-C, and whatever happens in between."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from flashguard.cli.demo import DemoSaleError, open_demo_sale
from flashguard.cli.port import claim_port
from flashguard.cli.up import PATIENCE_SECONDS
from flashguard.embedded import EmbeddedPostgres, EmbeddedServers
from flashguard.embedded.admin_key import keep_admin_key, read_admin_key
from flashguard.embedded.places import identity_of
from flashguard.embedded.program import Program
from flashguard.embedded.run_file import Run, find_run, started_of, write_run
from flashguard.embedded.supervisor import PartFailedError, Supervisor
from flashguard.errors import ConfigurationError, FlashGuardError
from flashguard.kernel import keys
from flashguard.settings import reachable_host
from tests.support.forked import run_flashguard
from tests.support.service import clean_env
from tests.support.up import READY, START_TIMEOUT_SECONDS, Up, alive, sh, wait_until


def available(url: str) -> int:
    with urllib.request.urlopen(f"{url}/v1/sales/demo", timeout=5) as answer:
        units = json.load(answer)["items"][0]["available"]
    assert isinstance(units, int)
    return units


def taken_port() -> socket.socket:
    """A port that is taken, with the next one likely free."""
    taken = socket.create_server(("127.0.0.1", 0))
    assert taken.getsockname()[1] < 65535
    return taken


def test_one_command_brings_everything_up_and_the_next_one_finds_it_again(folder: Path) -> None:
    with Up(folder, "--port", "0", fresh=True) as up:
        output = up.wait_for(READY)
        run = up.run()
        pids = run.pids
        assert set(pids) == {"valkey", "postgres", "recorder", "deliverer", "api"}
        assert f"FlashGuard is ready: {run.url}\n" in output
        key = (up.data_dir / "admin.key").read_text().strip()
        assert f"{key}\n" in output
        assert "\x1b" not in output
        assert [stat.S_IMODE((up.data_dir / each).stat().st_mode) for each in ("admin.key", "run.json")] == [
            0o600
        ] * 2

        lines = re.findall(r"^  (curl .*)$", output, re.MULTILINE)
        assert len(lines) == 3
        order, sale, orders = (json.loads(sh(f"{line} -sS")) for line in lines)
        assert order["status"] == "confirmed"
        assert sale["items"][0]["available"] == 99
        assert [each["id"] for each in orders["data"]] == [order["id"]]

        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(15) == 0, up.output
        assert not any(map(alive, pids.values()))
        assert not (up.data_dir / "run.json").exists()

    with Up(folder, "--port", "0") as again:
        again.wait_for(READY)
        assert available(again.run().url) == 99
        assert (again.data_dir / "admin.key").read_text().strip() == key


def test_every_part_that_crashes_comes_back_and_a_second_run_is_refused(folder: Path) -> None:
    with Up(folder, "--port", "0") as up:
        up.wait_for(READY)
        first = up.run()
        with pytest.raises(DemoSaleError, match=r"Cannot open the demo sale: .*unauthenticated") as refused:
            asyncio.run(open_demo_sale(first.url, "not-the-key"))
        assert "not-the-key" not in str(refused.value)
        second = Up(folder, "--port", "0")
        assert second.process.wait(30) == 1
        assert f"in use by another run (process {up.process.pid})" in second.output
        for pid in first.pids.values():
            os.kill(pid, signal.SIGKILL)
        for name in first.pids:
            up.wait_for(f"{name} ended with exit code -9; restarting it in 0.05 s")
        wait_until(lambda: not set(up.run().pids.values()) & set(first.pids.values()))
        wait_until(
            lambda: "200" in sh(f"curl -s -o /dev/null -w '%{{http_code}}' {first.url}/readyz || true")
        )
        assert available(first.url) == 100


async def test_a_partition_that_waits_for_a_decision_does_not_end_it(folder: Path) -> None:
    """An operator can decide only while the servers run, and the other partitions sell meanwhile."""
    with Up(folder, "--port", "0") as up:
        up.wait_for(READY)
        run = up.run()
        memory = Redis.from_url(run.redis_url)
        ledger = await asyncpg.connect(run.database_url)
        try:
            demo = await ledger.fetchval("SELECT partition FROM flashguard.sales WHERE id = 'demo'")
            await ledger.execute(
                "UPDATE flashguard.partitions SET seq = 0, token = '' WHERE partition = $1", demo
            )
            await memory.xtrim(keys.journal(demo), maxlen=0)
            os.kill(up.process.pid, signal.SIGKILL)
        finally:
            await memory.aclose()
            await ledger.close()
    with Up(folder, "--port", "0") as again:
        again.wait_for("not ready: recorder is recovering (the ledger had entry ")
        words = ("recover", "--data-dir", str(again.data_dir), "--take", "memory")
        taken = run_flashguard(*words, env=clean_env())
        assert taken.returncode == 0, taken.stderr
        again.wait_for(READY)
        assert available(again.run().url) == 100


def test_nothing_outlives_an_up_that_is_killed_and_the_next_one_works(folder: Path) -> None:
    up = Up(folder, "--port", "0", "--workers", "2")
    up.wait_for(READY)
    pids = [*up.run().pids.values()]
    below = [int(pid) for each in pids for pid in sh(f"pgrep -P {each} || true").split()]
    up.process.kill()
    up.process.wait()
    wait_until(lambda: not any(map(alive, [*pids, *below])), START_TIMEOUT_SECONDS)
    assert find_run(up.data_dir) is None
    with Up(folder, "--port", "0", "--no-demo") as again:
        assert "/v1/sales -H" in again.wait_for(READY)
        assert available(again.run().url) == 100


def test_the_next_up_takes_the_port_of_one_that_was_killed_while_its_api_still_ends(folder: Path) -> None:
    up = Up(folder, "--port", "0", "--workers", "2")
    up.wait_for(READY)
    run = up.run()
    port = int(run.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as slow:  # half a request: the API waits for the rest
        head = f"POST /v1/sales HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {read_admin_key(up.data_dir)}"
        slow.sendall(f"{head}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode())
        assert available(run.url) == 100
        os.kill(
            run.pids["api"], signal.SIGSTOP
        )  # as on a busy machine: it needs longer than it gives its requests
        up.process.kill()
        up.process.wait()
        with Up(folder, "--port", str(port), "--no-demo") as again:
            again.wait_for("waiting until the API of the run before")
            time.sleep(PATIENCE_SECONDS["api"])
            assert again.process.poll() is None
            os.kill(run.pids["api"], signal.SIGCONT)
            again.wait_for(READY)
            assert again.run().url == run.url


async def test_servers_of_ones_own_are_used_as_they_are(folder: Path) -> None:
    async with EmbeddedServers(folder / "own") as own:
        env = {"FLASHGUARD_REDIS_URL": own.redis_url, "FLASHGUARD_DATABASE_URL": own.database_url}
        with Up(folder, "--port", "0", **env, FLASHGUARD_ADMIN_KEY="a-key-of-my-own-making") as up:
            assert "a-key-of-my-own-making" in await asyncio.to_thread(up.wait_for, READY)
            assert set(up.run().pids) == {"recorder", "deliverer", "api"}
            assert not (up.data_dir / "admin.key").exists()
            up.process.terminate()
            assert await asyncio.to_thread(up.process.wait, 15) == 0
        assert own.valkey.running
        assert own.postgres.running


async def test_a_ledger_that_cant_be_migrated_ends_it_with_a_sentence(folder: Path) -> None:
    async with EmbeddedPostgres(folder / "own") as own:
        ledger = await asyncpg.connect(own.url)
        await ledger.execute("ALTER DATABASE flashguard SET default_transaction_read_only = on")
        await ledger.close()
        with Up(folder, "--port", "0", FLASHGUARD_DATABASE_URL=own.url) as up:
            assert await asyncio.to_thread(up.process.wait, 60) == 1
            assert "Cannot migrate the ledger: cannot execute" in up.output
            assert "Traceback" not in up.output


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "70000", "FLASHGUARD_PORT: Input should be less than or equal to 65535\n"),
        ("CORS_ORIGINS", "https://shop.example", "FLASHGUARD_CORS_ORIGINS: must be JSON\n"),
        ("DATABASE_URL", "mysql://secret@x", "FLASHGUARD_DATABASE_URL: write it as in postgresql://"),
        ("URL", "127.0.0.1:8000", "FLASHGUARD_URL: write the full address, as in http://127.0.0.1:8000\n"),
    ],
)
def test_a_setting_that_makes_no_sense_ends_it_with_a_sentence(
    folder: Path, name: str, value: str, sentence: str
) -> None:
    commands = [["up", "--data-dir", str(folder / "data")], ["migrate"], ["sale", "list"], ["simulate"]]
    for command in commands:
        ended = run_flashguard(*command, env=clean_env(**{f"FLASHGUARD_{name}": value}))
        assert ended.returncode == 1
        assert ended.stderr.startswith(sentence)
        assert len(ended.stderr.splitlines()) == 1
        assert "secret" not in ended.stderr


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_a_port_that_was_asked_for_and_is_taken_is_an_error(folder: Path, by: str) -> None:
    with taken_port() as taken:
        port = str(taken.getsockname()[1])
        options, env = (("--port", port), {}) if by == "flag" else ((), {"FLASHGUARD_PORT": port})
        with Up(folder, *options, **env) as up:
            assert up.process.wait(30) == 1
            assert f"Port {port} is in use; choose another with --port" in up.output


def test_only_the_default_port_moves_on() -> None:
    with taken_port() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} is in use"):
            claim_port("127.0.0.1", port, exactly=True)
        moved, claim = claim_port("127.0.0.1", port, exactly=False)
        claim.close()
        assert moved > port
    with pytest.raises(ConfigurationError, match=r"Cannot listen on 192\.0\.2\.1"):
        claim_port("192.0.2.1", 8000, exactly=False)


def test_two_that_start_together_never_choose_the_same_port() -> None:
    port, claim = claim_port("127.0.0.1", 0, exactly=True)
    with claim:
        with pytest.raises(ConfigurationError, match=f"Port {port} is in use"):
            claim_port("127.0.0.1", port, exactly=True)
        next_port, next_claim = claim_port("127.0.0.1", port, exactly=False)
        next_claim.close()
        assert next_port > port
    again, claim = claim_port("127.0.0.1", port, exactly=True)
    claim.close()
    assert again == port


def test_a_wildcard_address_is_called_at_the_loopback() -> None:
    assert [reachable_host(each) for each in ("0.0.0.0", "::", "shop.example")] == [
        "127.0.0.1",
        "[::1]",
        "shop.example",
    ]


def test_the_admin_key_is_made_once_and_an_empty_file_is_no_key(folder: Path) -> None:
    assert read_admin_key(folder) is None
    key = keep_admin_key(folder)
    assert len(key) > 32
    assert keep_admin_key(folder) == key
    (folder / "admin.key").write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        keep_admin_key(folder)


def test_the_run_file_of_another_process_with_our_id_is_not_a_run(folder: Path) -> None:
    run = our_run(folder)
    write_run(folder, run)
    assert find_run(folder) == run
    write_run(folder, msgspec.structs.replace(run, started=1))
    assert find_run(folder) is None
    (folder / "run.json").write_text("{")
    assert find_run(folder) is None


def test_the_run_file_in_a_copy_of_the_data_directory_is_not_a_run(folder: Path) -> None:
    (folder / "data").mkdir()
    write_run(folder / "data", our_run(folder / "data"))
    shutil.copytree(folder / "data", folder / "copy")
    assert find_run(folder / "data") is not None
    assert find_run(folder / "copy") is None


def our_run(data_dir: Path) -> Run:
    pid, directory = os.getpid(), identity_of(data_dir)
    return Run(
        url="u", redis_url="r", database_url="d", pid=pid, started=started_of(pid), data_dir_id=directory,
        pids={},
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
@pytest.mark.timeout(300)
def test_a_full_disk_ends_nothing_for_good_and_room_brings_all_back(disk: Path) -> None:
    with Up(disk.parent, "--port", "0", data="disk/data") as up:
        up.wait_for(READY)
        run = up.run()
        fill(disk)
        for pid in run.pids.values():
            os.kill(pid, signal.SIGKILL)
        for _ in range(15):  # what ends leaves room for some bytes, each time
            fill(disk)
            time.sleep(0.2)
        assert up.process.poll() is None, up.output
        (disk / "filler").unlink()
        wait_until(
            lambda: "200" in sh(f"curl -s -o /dev/null -w '%{{http_code}}' {run.url}/readyz || true"), 60
        )
        wait_until(lambda: all(map(alive, up.run().pids.values())), 30)
        assert available(run.url) == 100
        assert "is full" in up.output
        assert list(up.data_dir.glob("run.json.*")) == []


def fill(disk: Path) -> None:
    """Leaves no byte free."""
    with (disk / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A small disk of its own."""
    mounted = folder / "disk"
    mounted.mkdir()
    sh(f"mount -t tmpfs -o size=256m,mode=755 none {mounted}")
    yield mounted
    sh(f"umount -l {mounted}")


async def test_what_a_change_or_a_start_raises_ends_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flashguard.embedded.supervisor.FIRST_DELAY_SECONDS", 0.001)
    monkeypatch.setattr("flashguard.embedded.supervisor.MAX_FAILURES", 3)
    monkeypatch.setattr("flashguard.embedded.supervisor.OBSTACLE_POLL_SECONDS", 0.001)
    said: list[str] = []
    full = ["the disk is full"] * 40
    supervisor = Supervisor(
        lambda _, line: said.append(line), lambda: None, lambda: full[-1] if full else None
    )
    part = _Unlucky(full)
    await supervisor.add(part, 1.0)
    failure = asyncio.create_task(supervisor.failure())
    async with asyncio.timeout(20):
        while part.starts < 2:
            await asyncio.sleep(0.01)
    assert not failure.done()
    assert any("the disk is full" in line for line in said)
    assert sum("ValueError: no room" in line for line in said) >= 4
    failure.cancel()
    await supervisor.stop()
    assert "unlucky did not stop cleanly: OSError: [Errno 28] no room" in said


class _Unlucky:
    """Ends at once, then can't start until the disk has room, and can't be stopped either."""

    name, pid = "unlucky", 1

    def __init__(self, full: list[str]) -> None:
        self._full, self.starts = full, 0

    async def start(self) -> None:
        if self.starts and self._full:
            self._full.pop()
            raise ValueError("no room")
        self.starts += 1

    async def wait(self) -> int:
        if self.starts > 1:
            await asyncio.Event().wait()
        return 1

    async def stop(self, timeout_seconds: float) -> None:
        raise OSError(28, "no room")


def test_up_goes_on_when_the_reader_of_its_output_has_gone(folder: Path) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "flashguard", "up", "--port", "0", "--data-dir", str(folder / "data")],
        env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert up.stdout is not None
        up.stdout.close()
        wait_until(lambda: find_run(folder / "data") is not None, 60)
        run = find_run(folder / "data")
        assert run is not None
        os.kill(run.pids["api"], signal.SIGKILL)  # it says so, into a closed pipe
        wait_until(
            lambda: "200" in sh(f"curl -s -o /dev/null -w '%{{http_code}}' {run.url}/readyz || true"), 60
        )
        assert up.poll() is None
    finally:
        up.terminate()
        up.wait(30)


async def test_a_part_that_fails_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flashguard.embedded.supervisor.FIRST_DELAY_SECONDS", 0.001)
    monkeypatch.setattr("flashguard.embedded.supervisor.MAX_FAILURES", 3)
    said: list[tuple[str, str]] = []
    supervisor = Supervisor(lambda name, line: said.append((name, line)), lambda: None)
    await supervisor.add(
        Program(
            "ghost", ["sh", "-c", "printf 'boo\\nlast words'; exit 3"], {}, lambda *line: said.append(line)
        ),
        1.0,
    )
    with pytest.raises(PartFailedError, match="ghost failed 4 times in a row"):
        await supervisor.failure()
    await supervisor.stop()
    assert said.count(("ghost", "boo")) == said.count(("ghost", "last words")) == 4
    assert ("flashguard", "ghost ended with exit code 3; restarting it in 0.001 s") in said


async def test_what_a_program_started_ends_with_it_and_its_longest_line_is_cut(folder: Path) -> None:
    said: list[str] = []
    stubborn = (
        "trap '' TERM; (trap '' TERM; sleep 60) & echo $!; head -c 40000 /dev/zero | tr '\\0' x; echo; wait"
    )
    program = Program("stubborn", ["sh", "-c", stubborn], dict(os.environ), lambda _, line: said.append(line))
    with pytest.raises(FlashGuardError, match="stubborn is not running"):
        _ = program.pid
    await program.stop(1.0)
    await program.start()
    while sum(map(len, said[1:])) < 40000:
        await asyncio.sleep(0.01)
    assert len(said) > 2
    await program.stop(0.1)
    wait_until(lambda: not alive(int(said[0])))
